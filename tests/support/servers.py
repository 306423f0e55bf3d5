"""A program that serves in the background for as long as a test session lasts."""

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import ClassVar, NoReturn, TypeVar

import pytest

from tests.support.waiting import patience

T = TypeVar("T")

LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1


def missing(reason: str) -> NoReturn:
    """Skip the test on a laptop, fail it where ``CI`` is set: there, everything has to be installed."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


PORTS = range(10_000, 30_000)
"""Ports that no system gives to a connection of its own accord, as it does with higher ones."""
_ports = count(os.getpid() * 97)


def free_port() -> int:
    """Return a TCP port of the loopback interface that nothing listens on, and that nobody else is given now."""
    for number in _ports:
        port = PORTS[number % len(PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


MEMORY = Path("/dev/shm")  # noqa: S108 (the folder that TemporaryDirectory makes in it has a random name)
MEMORY_BYTES = 4 << 30
"""What must be free in memory, so that the data of a server may be there."""


def server_folder(prefix: str, *, on_disk: bool = False) -> TemporaryDirectory[str]:
    """Make a folder for the data of a server, in memory where there is room: hundreds of databases come and go.

    Not below pytest's folder: that is for one's own eyes only, and too deep for a socket's path (107 bytes).
    """
    has_room = not on_disk and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    return TemporaryDirectory(prefix=prefix, dir=MEMORY if has_room else None)


def unprivileged_user() -> str | None:
    """Return whom to run a database server as where we are root: servers refuse to be that."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Server:
    """A started program whose output goes to a file. It dies with the test session, however that ends."""

    running: ClassVar[set[int]] = set()
    """Process ids of all servers of this session: they outlive a test on purpose."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        user: str | int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = argv[0]
        self.log = log
        self.stop_signal = stop_signal
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env=env,
                user=user,
                process_group=0,  # Ctrl-C is for pytest, which then stops us in order
                preexec_fn=self._die_with_the_session,  # noqa: PLW1509 (it takes no lock)
            )
        self.running.add(self.process.pid)

    def wait_until(self, ready: Callable[[], T | None], timeout: float = 30) -> T:
        """Ask ``ready`` again and again until it has an answer, and return that."""
        started = monotonic()
        while not (answer := ready()):
            with suppress(subprocess.TimeoutExpired):
                code = self.process.wait(0.02)
                raise RuntimeError(f"{self.name} ended with {code}:\n{self.output()}")
            if monotonic() - started > timeout * patience():
                raise RuntimeError(f"{self.name} is not ready:\n{self.output()}")
        return answer

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """Stop the program and wait for its end."""
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.running.discard(self.process.pid)

    def _die_with_the_session(self) -> None:
        # Linux only: elsewhere, a test session that is killed leaves its servers behind.
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, self.stop_signal.value)


@contextmanager
def own_settings(folder: Path) -> Iterator[None]:
    """Change or compare settings of a shared server in the block: no test of another worker changes them meanwhile.

    :param folder: of the server.
    """
    with (folder / "settings.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or this process is gone
        yield
