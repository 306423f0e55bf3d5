"""A private MariaDB server in a temporary folder, on loopback and a unix socket, both asking for a password."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import uuid4

import pymysql
from pymysql.converters import escape_string

from tests.support.servers import Server, free_port, server_folder, unprivileged_user

PASSWORD = "sh0p:p@ss/w'ord %41#"  # every character that a URL, an option file or a shell would trip over

HISTORY = "django_rclone_admin_backuprun"
OURS = (HISTORY, "django_rclone_admin_openedbackup", "django_rclone_admin_sitehealth")
"""What a restore leaves alone."""

FAST = (
    "--skip-name-resolve",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--event-scheduler=ON",
    "--character-set-server=utf8mb4",
)


def system_server() -> Path | None:
    """Return MariaDB's server program, if it is installed. Debian keeps it out of a user's PATH."""
    found = shutil.which("mariadbd") or shutil.which(
        "mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/libexec"
    )
    return Path(found) if found and shutil.which("mariadb-install-db") else None


TEXTS: dict[tuple[Path, str], bytes] = {}
"""The schemas that others are copies of, as SQL text, by the folder of their server and their name: they do not change."""


@dataclass(frozen=True, kw_only=True)
class MariaDBServer:
    """A running server. ``user`` may do all in schemas whose name begins with ``shop``, and nothing elsewhere."""

    host: ClassVar = "127.0.0.1"
    user: ClassVar = "shop"
    superuser: ClassVar = "root"
    password: ClassVar = PASSWORD

    folder: Path
    port: int

    @classmethod
    @contextmanager
    def started(cls, program: Path, *, on_disk: bool = False) -> Iterator[Self]:
        """Make a new server, and stop and remove it in the end.

        :param on_disk: its data never are in memory.
        """
        with server_folder("mariadb-", on_disk=on_disk) as folder:
            server = cls(folder=Path(folder), port=free_port())
            account = unprivileged_user()
            server._initialise(account)
            process = server._start(program, account)
            try:
                process.wait_until(server._answers)
                server.administer(
                    f"CREATE USER {cls.user}@'%' IDENTIFIED BY '{escape_string(PASSWORD)}'",
                    rf"GRANT ALL ON `shop%`.* TO {cls.user}@'%'",
                )
                yield server
            finally:
                process.stop()

    @property
    def bin_dir(self) -> Path:
        """Folder of the client programs."""
        return Path(shutil.which("mariadb") or "/usr/bin/mariadb").parent

    @property
    def socket(self) -> str:
        return str(self.folder / "socket")

    def create_database(self, name: str | None = None, *, template: str = "", **_: object) -> dict[str, Any]:
        """Create a schema, and return its entry in ``DATABASES``.

        :param template: the schema that it is a copy of, which nobody changes any more.
        """
        name = name or f"shop_{uuid4().hex[:12]}"
        self.administer(f"CREATE DATABASE `{name}`")
        if template not in ("", "template0"):
            options = ["--no-defaults", f"--socket={self.socket}", "--user=root", "--routines", "--events"]
            key = self.folder, template
            if key not in TEXTS:
                TEXTS[key] = self._run("mariadb-dump", *options, template)
            self._run("mariadb", *options[:3], name, text=TEXTS[key])
        return self.entry(name)

    def create_account(self, *grants: str) -> dict[str, str]:
        """Create an account that has these rights alone, such as ``SELECT ON `shop`.*``.

        Its name is its own: the tests of all workers share the server.

        :returns: its entries in ``DATABASES``.
        """
        account = {"USER": f"account_{uuid4().hex[:12]}", "PASSWORD": "secret"}
        self.administer(f"CREATE USER {account['USER']} IDENTIFIED BY '{account['PASSWORD']}'")
        for grant in grants:
            self.grant(account, grant)
        return account

    def grant(self, account: dict[str, str], grant: str) -> None:
        """Give an account another right."""
        self.administer(f"GRANT {grant} TO {account['USER']}")

    def drop_databases(self, prefix: str) -> None:
        """Drop every schema whose name starts with ``prefix``."""
        for name in self.schemas(prefix):
            self.administer(f"DROP DATABASE `{name}`")

    def text(self, name: str) -> str:
        """Return a schema as SQL text: every row and definition, but for what a restore leaves alone."""
        options = [
            "--no-defaults",
            f"--socket={self.socket}",
            "--user=root",
            "--routines",
            "--events",
            "--triggers",
        ]
        options += [
            "--hex-blob",
            "--skip-comments",
            *(f"--ignore-table={name}.{each}" for each in OURS),
            name,
        ]
        return self._run("mariadb-dump", *options).decode(errors="surrogateescape")

    def schemas(self, prefix: str) -> list[str]:
        """Return the names of all schemas that start with ``prefix``."""
        with closing(self.superuser_connection()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY 1")
            return [name for (name,) in cursor.fetchall() if name.startswith(prefix)]

    def entry(self, name: str, *, user: str = user, password: str = PASSWORD) -> dict[str, Any]:
        """Return how ``DATABASES`` describes the schema ``name``, over TCP."""
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": name,
            "USER": user,
            "PASSWORD": password,
            "HOST": self.host,
            "PORT": self.port,
            "OPTIONS": {"charset": "utf8mb4"},  # Django 4.2 has another default, without emoji
        }

    def over_socket(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the same entry of ``DATABASES`` over the unix socket."""
        return entry | {"HOST": self.socket, "PORT": ""}

    def superuser_connection(self) -> "pymysql.Connection[Any]":
        """Connect as the superuser, with autocommit. The caller closes."""
        return pymysql.connect(unix_socket=self.socket, user=self.superuser, autocommit=True)

    def administer(self, *statements: str) -> None:
        """Execute statements as the superuser."""
        with closing(self.superuser_connection()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _initialise(self, account: str | None) -> None:
        if account:
            shutil.chown(self.folder, account)
        self.folder.chmod(0o755)  # clients of other users find the socket in it
        arguments = [
            "--no-defaults",
            f"--datadir={self.folder}/data",
            "--auth-root-authentication-method=normal",
        ]
        done = subprocess.run(
            ["mariadb-install-db", *arguments, "--skip-test-db", "--skip-name-resolve"],
            cwd=self.folder,
            env=self._environment(),
            user=account,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(
                f"mariadb-install-db ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )

    def _start(self, program: Path, account: str | None) -> Server:
        return Server(
            [
                str(program),
                "--no-defaults",
                f"--datadir={self.folder}/data",
                f"--socket={self.socket}",
                f"--bind-address={self.host}",
                f"--port={self.port}",
                f"--pid-file={self.folder}/pid",
                *FAST,
            ],
            log=self.folder / "log",
            env=self._environment(),
            user=account,
        )

    def _answers(self) -> bool:
        # pymysql leaves its socket open where nobody listens.
        with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.connect(self.socket)
            self.superuser_connection().close()
            return True
        return False

    def _run(self, program: str, *arguments: str, text: bytes = b"") -> bytes:
        done = subprocess.run(
            [self.bin_dir / program, *arguments], input=text, capture_output=True, env=self._environment()
        )
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {"LC_ALL": "C", "PATH": f"{self.bin_dir}:/usr/bin:/bin:/usr/sbin", "HOME": str(self.folder)}


class Connection:
    """A connection with the one method that the other drivers have on theirs; autocommit."""

    def __init__(self, entry: dict[str, Any]) -> None:
        host = {"host": entry["HOST"], "port": int(entry["PORT"] or 0)}
        self._connection = pymysql.connect(
            **({"unix_socket": entry["HOST"]} if entry["HOST"].startswith("/") else host),
            user=entry["USER"],
            password=entry["PASSWORD"],
            database=entry["NAME"],
            charset="utf8mb4",
            autocommit=True,
        )

    def execute(self, statement: str) -> Any:
        """Execute one statement and return its cursor."""
        cursor = self._connection.cursor()
        cursor.execute(statement)
        return cursor

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


connect = Connection
