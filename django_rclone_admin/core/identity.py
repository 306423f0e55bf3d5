"""A process identity that is never used again, and the clock that all processes of a machine share."""

from __future__ import annotations

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PROC = Path("/proc")
STATE, THREADS, STARTED = 0, 17, 19
"""Fields of ``/proc/<pid>/stat`` after the name of the program. Source: proc(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Identifies one process. Process numbers are reused, and each container has its own."""

    boot: str
    """The boot id of the machine's kernel."""
    namespace: str
    """The namespace in which the process number is valid."""
    pid: int
    started: int
    """When the process started, in ticks of the kernel."""
    epoch: float
    """The machine's start time by the process's own clock, in seconds; see :meth:`time`."""

    def __str__(self) -> str:
        return f"{self.boot} {self.namespace} {self.pid} {self.started} {self.epoch:.6f}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read what ``str`` wrote, or return ``None`` for any other text."""
        try:
            boot, namespace, pid, started, epoch = (text or "").split()
            return cls(boot=boot, namespace=namespace, pid=int(pid), started=int(started), epoch=float(epoch))
        except ValueError:
            return None

    def time(self) -> float:
        """Return seconds since 1970 by the process's clock at its start, unaffected by later clock changes."""
        return self.epoch + uptime()

    def is_dead(self) -> bool | None:
        """Whether the process has ended; ``None`` where this process can't see it."""
        here = current()
        if here is None or (here.boot, here.namespace) != (self.boot, self.namespace):
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # it exists and belongs to another user
        stat = _stat(str(self.pid))
        if stat is None:  # it exists but is hidden from this process
            return False
        is_zombie = stat[STATE] in "ZX" and int(stat[THREADS]) <= 1
        return is_zombie or int(stat[STARTED]) != self.started


def uptime() -> float:
    """Return the seconds since the machine started, unaffected by clock changes."""
    start, clock = _start()
    return start + time.clock_gettime(time.CLOCK_BOOTTIME) - clock


@functools.cache
def _start() -> tuple[float, float]:
    """Return the kernel's uptime and this process's clock at the same moment.

    The kernel's uptime has a precision of 10 ms, so later times are counted by the finer clock.
    """
    return float((PROC / "uptime").read_text().split()[0]), time.clock_gettime(time.CLOCK_BOOTTIME)


def current() -> Identity | None:
    """Return the identity of this process, or ``None`` on systems other than Linux."""
    return _identity(os.getpid())


@functools.lru_cache(maxsize=1)
def _identity(pid: int) -> Identity | None:
    try:
        stat = _stat("self")
        if stat is None or (PROC / "self").readlink().name != str(pid):  # /proc belongs to another namespace
            return None
        return Identity(
            boot=(PROC / "sys/kernel/random/boot_id").read_text().strip(),
            namespace=(PROC / "self/ns/pid").readlink().name.strip("pid:[]"),
            pid=pid,
            started=int(stat[STARTED]),
            epoch=time.time() - uptime(),
        )
    except (OSError, ValueError, IndexError):
        return None


def _stat(process: str) -> list[str] | None:
    """Return the fields of a process after its name, which may contain any character."""
    try:
        return (PROC / process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
