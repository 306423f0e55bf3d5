"""Makes child programs exit when this process dies, even by SIGKILL."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence

from .interpreter import find_python

BIND = f"""
import sys
from posix import execv, getppid
PR_SET_PDEATHSIG, SIGTERM = 1, {signal.SIGTERM:d}
try:
    from _ctypes import call_function, dlopen, dlsym
    call_function(dlsym(dlopen(None, 0), "prctl"), (PR_SET_PDEATHSIG, SIGTERM))
except (ImportError, TypeError):
    import ctypes
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGTERM)
if getppid() == int(sys.argv[1]):
    execv(sys.argv[2], sys.argv[2:])
"""
"""Executes a program that receives SIGTERM when the thread that started it ends, and so when this process ends.

It runs in a separate Python: between ``fork`` and ``exec``, a process with threads must not run Python code. SIGTERM
rather than SIGKILL lets rclone remove the parts of an upload, and pg_dump cancel its queries on the server.

It imports as little as possible: ctypes, signal and os take as long as the start of that Python, before each stream.
"""


def bind(argv: Sequence[str], env: Mapping[str, str]) -> Sequence[str]:
    """Return the argument list that binds a program to this process, on Linux.

    On other systems, and by a Python without ctypes, a program ends when its pipes close.

    :raises FileNotFoundError: the program does not exist.
    """
    program = find_program(argv[0], env)
    python = find_binder()
    if python is None:
        return argv
    return [python, "-ISc", BIND, str(os.getpid()), program, *argv[1:]]


def find_binder() -> str | None:
    """Return the path of a Python that can call the system for this, or ``None`` if there is none.

    A Python that was built where libffi was missing has no ctypes.
    """
    is_able = sys.platform == "linux" and importlib.util.find_spec("_ctypes") is not None
    return find_python() if is_able else None


def find_program(name: str, env: Mapping[str, str]) -> str:
    """Return the path of a program.

    :raises FileNotFoundError: no program has that name.
    """
    program = shutil.which(name, path=env.get("PATH"))
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return program
