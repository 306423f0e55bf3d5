"""A private pgbouncer on loopback, in front of a private PostgreSQL."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.support.postgresql import PASSWORD, PostgreSQLServer, connect
from tests.support.servers import Server, free_port, missing, unprivileged_user

CONFIGURATION = """\
[databases]
* = host={host} port={port}{forced}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
min_pool_size = 0
server_login_retry = 0.1
"""
QUOTE, LOGIN_PASSWORD = "'", "of the pooler"


class PgBouncer:
    """One pooler. It knows every database of its server by its own name.

    :param mode: ``session`` or ``transaction``.
    :param size: how many connections to the server each pair of database and user may have.
    :param login: a user that the pooler alone knows, and whom it connects as the server's ordinary one.
    """

    def __init__(self, server: PostgreSQLServer, mode: str, *, size: int = 4, login: str = "") -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        self._program = program or missing("pgbouncer is not installed")
        self.folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self.port = free_port()
        account = unprivileged_user()
        files = {
            "pgbouncer.ini": CONFIGURATION.format(
                host=server.host,
                port=server.port,
                listen=self.port,
                folder=self.folder,
                mode=mode,
                size=size,
                forced=f" user={server.user} password='{PASSWORD.replace(QUOTE, 2 * QUOTE)}'"
                if login
                else "",
            ),
            "users": f'"{login}" "{LOGIN_PASSWORD}"\n' * bool(login)
            + "".join(f'"{user}" "{PASSWORD}"\n' for user in (server.user, server.superuser)),
        }
        self._login = {"USER": login, "PASSWORD": LOGIN_PASSWORD} if login else {}
        for name, text in files.items():
            (self.folder / name).write_text(text)
        if account:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, account)
        self.server = Server(
            [self._program, str(self.folder / "pgbouncer.ini")],
            log=self.folder / "log",
            env={"PATH": "/usr/bin:/bin"},
            user=account,
        )
        self._first = server.entry("postgres") | {"PORT": self.port} | self._login

    def __enter__(self) -> Self:
        self.server.wait_until(self._answers)
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.stop()
        shutil.rmtree(self.folder)

    def in_front_of(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the same entry of ``DATABASES`` through the pooler, as its documentation tells Django to use it."""
        return entry | {"PORT": self.port, "DISABLE_SERVER_SIDE_CURSORS": True} | self._login

    def _answers(self) -> bool:
        with suppress(psycopg.DatabaseError):
            connect(self._first).close()
            return True
        return False
