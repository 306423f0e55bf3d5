"""Finds processes that a test started, or made its programs start, and left behind.

On Linux this process adopts the orphans of its descendants, so that an rclone whose ``manage.py`` is gone shows up
among our children. Elsewhere nothing is found.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.support.servers import LIBC, Server
from tests.support.waiting import patience, wait_for

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends before it."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def children() -> set[int]:
    """Return the ids of all our children, zombies included, without the servers of the session."""
    return children_of(os.getpid()) - Server.running


def descendants(pid: int) -> set[int]:
    """Return the ids of what a process started, and of what that started."""
    found = children_of(pid)
    return found.union(*map(descendants, found))


def children_of(pid: int) -> set[int]:
    """Return the ids of what a process started and that nobody has waited for."""
    found: set[int] = set()
    for _each in range(2):  # a child that ends meanwhile can hide the one that follows it in the list
        for listing in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):  # the thread has ended
                found.update(map(int, listing.read_text().split()))
    return found


def name(pid: int) -> str:
    """Return the name of the program that a process is; an empty one when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def bury(pids: Iterable[int], grace: float = 5) -> None:
    """Wait for orphans that we adopted: they have to end by themselves."""
    for pid in pids:
        with suppress(ChildProcessError):
            wait_for(lambda pid=pid: os.waitpid(pid, os.WNOHANG)[0], grace)


@contextmanager
def burying(called: str | None = None) -> Iterator[None]:
    """Wait at the end of the block for the orphans that we adopted in it: they have to end by themselves.

    :param called: only for those of this program.
    """
    before = children()
    yield
    while left := {pid for pid in children() - before if called in (None, name(pid))}:
        bury(left)


@contextmanager
def no_process_left(grace: float = 5) -> Iterator[None]:
    """Fail when the block leaves a process or a zombie that is still there ``grace`` seconds later, with patience."""
    before = children()
    yield
    deadline = monotonic() + grace * patience()
    while left := children() - before:
        _bury_orphans(left)
        if monotonic() > deadline:
            break
        sleep(0.01)
    if left:
        report = "\n".join(_described(pid) for pid in sorted(left))
        for pid in left:  # the next test is not to blame
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        pytest.fail(f"left behind:\n{report}", pytrace=False)


def _bury_orphans(pids: set[int]) -> None:
    """Wait for the adopted ones among the dead: their parent is gone, so nobody else can."""
    for pid in pids:
        state, session = _state_and_session(pid)
        if state == "Z" and session not in {pid, os.getsid(0)}:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _state_and_session(pid: int) -> tuple[str, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[3])


def _described(pid: int) -> str:
    state, _ = _state_and_session(pid)
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return f"{pid} {state} {b' '.join(words).decode(errors='replace') or f'({name}, not waited for)'}"
    return f"{pid} (ended)"
