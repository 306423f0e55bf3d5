"""Makes child programs exit when this process dies, even by SIGKILL."""

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
"""Executes a program that receives SIGTERM when the thread that started it ends, and so when this process ends.

It runs in a separate Python: between ``fork`` and ``exec``, a process with threads must not run Python code. SIGTERM
rather than SIGKILL lets rclone remove the parts of an upload, and pg_dump cancel its queries on the server.
"""


def bind(argv: Sequence[str], env: Mapping[str, str]) -> Sequence[str]:
    """Return the argument list that binds a program to this process, on Linux.

    On other systems a program ends when its pipes close.

    :raises FileNotFoundError: the program does not exist.
    """
    program = find_program(argv[0], env)
    python = find_python()
    if sys.platform != "linux" or python is None:
        return argv
    return [python, "-ISc", BIND, str(os.getpid()), program, *argv[1:]]


def find_program(name: str, env: Mapping[str, str]) -> str:
    """Return the path of a program.

    :raises FileNotFoundError: no program has that name.
    """
    program = shutil.which(name, path=env.get("PATH"))
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return program
