"""Starts ``manage.py`` by a fork of a process that has Django imported already; see ``fork_server``."""

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.fork_server import LENGTH
from tests.support.servers import Server

REPOSITORY = Path(__file__).resolve().parents[2]

READ_AT_START = ("COVERAGE_", "FAKETIME", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON")
"""How the variables begin that Python and the C library read only when a program starts."""


class ForkServer:
    """Starts ``manage.py`` for this test process.

    :param env: the environment in which the processes start that it forks from.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._start = env
        self._origins: dict[str, Origin] = {}

    def can_give(self, env: Mapping[str, str]) -> bool:
        """Whether a forked process is like a new one that starts in this environment."""
        return _read_at_start(env) == _read_at_start(self._start)

    def fork(self, argv: Sequence[str], env: Mapping[str, str], streams: Sequence[int]) -> int:
        """Start ``manage.py`` with these arguments and standard streams, and return its id."""
        origin = self._origin("set-up")
        if origin.settings_read & set(json.loads(env.get("SHOP_SETTINGS", "{}"))):
            origin = self._origin()
        return origin.fork(argv, env, streams)

    def _origin(self, *arguments: str) -> "Origin":
        key = " ".join(arguments)
        if key not in self._origins:
            self._origins[key] = Origin(self._start, *arguments)
        return self._origins[key]

    def stop(self) -> None:
        """End what it forks from, but nothing that it forked."""
        for origin in self._origins.values():
            origin.stop()


class Origin:
    """A process that has imported Django; with the argument ``set-up`` it has set up the apps of the shop, too."""

    def __init__(self, env: Mapping[str, str], *arguments: str) -> None:
        self.connection, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", *arguments],
                cwd=REPOSITORY,
                env=env,
                stdin=theirs,
                process_group=0,  # Ctrl-C is for pytest
            )
        Server.running.add(self.process.pid)
        self.settings_read = frozenset(json.loads(self._receive()))

    def fork(self, argv: Sequence[str], env: Mapping[str, str], streams: Sequence[int]) -> int:
        message = json.dumps({"argv": argv, "env": dict(env)}).encode()
        socket.send_fds(self.connection, [LENGTH.pack(len(message))], streams)
        self.connection.sendall(message)
        return int(self._receive())

    def _receive(self) -> bytes:
        """Return its next message."""
        head = self.connection.recv(LENGTH.size, socket.MSG_WAITALL)
        if not head:
            raise RuntimeError(f"the process to fork from ended with {self.process.wait()}")
        return self.connection.recv(*LENGTH.unpack(head), socket.MSG_WAITALL)

    def stop(self) -> None:
        self.connection.close()
        self.process.wait()
        Server.running.discard(self.process.pid)


class ForkedProcess(subprocess.Popen[bytes]):
    """A ``manage.py`` that the server forked; to its owner it is a process like every other."""

    def __init__(self, server: ForkServer, argv: Sequence[str], **options: Any) -> None:
        self._server = server
        super().__init__(argv, **options)

    def _execute_child(self, args: Any, *details: Any) -> None:
        # Popen has made the pipes and calls this to start its program, in all versions that we support.
        env, pipes = details[5], details[9:15]
        ends = pipes[0], pipes[3], pipes[5]
        streams = [number if end == -1 else end for number, end in enumerate(ends)]
        try:
            self.pid = self._server.fork(args, env, streams)
            self._child_created = True
        finally:
            self._close_pipe_fds(*pipes)


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in env.items()
        if name.startswith(READ_AT_START) and name != "PYTHONPATH"  # which a forked process follows, too
    }
