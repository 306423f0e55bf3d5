"""Has a program end with us, even when we are killed, so that none of ours works on alone."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Mapping, Sequence

from .interpreter import find_python

BIND = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Becomes a program that gets SIGTERM when the thread that started it ends, and so when we do.

In a Python of its own: between ``fork`` and ``exec``, a process with threads must not run any. SIGTERM and not SIGKILL,
so that rclone takes back the parts of an upload, and pg_dump cancels what the server does for it.
"""


def bind(argv: Sequence[str], env: Mapping[str, str]) -> Sequence[str]:
    """Return the argument list that runs a program so, where the system can do it: on Linux.

    Elsewhere a program ends when its pipes do.

    :raises FileNotFoundError: there is no such program.
    """
    program = find_program(argv[0], env)
    python = find_python()
    if sys.platform != "linux" or python is None:
        return argv
    return [python, "-ISc", BIND, str(os.getpid()), program, *argv[1:]]


def find_program(name: str, env: Mapping[str, str]) -> str:
    """Return the path of a program.

    :raises FileNotFoundError: there is none of that name.
    """
    program = shutil.which(name, path=env.get("PATH"))
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return program
