"""Shared by PostgreSQL's own programs: how they connect to the server, and what their failures mean."""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.command import program_failed
from ...core.temporary import private_folder, remove_folder
from ...exceptions import BackupError, gettext_noop

KEYWORDS = frozenset(
    [
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "passfile",
        "require_auth",
        "channel_binding",
        "connect_timeout",
        "options",
        "application_name",
        "fallback_application_name",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "sslmode",
        "requiressl",
        "sslnegotiation",
        "sslcompression",
        "sslcert",
        "sslkey",
        "sslcertmode",
        "sslrootcert",
        "sslcrl",
        "sslcrldir",
        "sslsni",
        "requirepeer",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "krbsrvname",
        "gssencmode",
        "gsslib",
        "gssdelegation",
        "service",
        "target_session_attrs",
        "load_balance_hosts",
        "scram_client_key",
        "scram_server_key",
        "min_protocol_version",
        "max_protocol_version",
    ]
)
"""Connection options that may be passed to PostgreSQL's programs as arguments. Source: PostgreSQL's documentation,
"Parameter Key Words" of libpq; without ``password`` and ``sslpassword``, which are secrets, and ``client_encoding``,
which Django sets itself."""

PROBLEMS: tuple[tuple[str, str], ...] = (
    (
        r"server version mismatch",
        gettext_noop("Install client programs of the server's version, and set BIN_DIR to their folder."),
    ),
    (
        r"password authentication failed|no password supplied",
        gettext_noop("Nothing was changed. Check USER and PASSWORD."),
    ),
    (
        r"private key file|certificate|SSL error|SSL SYSCALL|no pg_hba.conf entry|service file|definition of service",
        gettext_noop(
            "Nothing was changed. Check the SSL options, the certificates and the service file of the connection."
        ),
    ),
    (
        r"out of shared memory",
        gettext_noop(
            "Nothing was changed. The lock table of the server is too small: raise max_locks_per_transaction and restart it, "
            "or restore with the strategy swap."
        ),
    ),
    (
        r"objects of other schemas would be dropped",
        gettext_noop(
            "Nothing was changed. They depend on what is in the schemas that are backed up. Add their schemas to SCHEMAS in "
            "CONNECTOR_OPTIONS, or drop them before the restore."
        ),
    ),
    (
        r"affected by row-level security",
        gettext_noop(
            "Nothing was changed. A table forces its row security on its owner, so the role sees only some of the rows. "
            "Give it BYPASSRLS, or name another role with that in CONNECTION."
        ),
    ),
    (
        r"connection to server .* failed|could not connect|Connection refused",
        gettext_noop("Nothing was changed. Check HOST and PORT, and that the database server is running."),
    ),
    (
        r"lock timeout",
        gettext_noop(
            "Nothing was changed. Another connection holds a table; end long transactions and try again."
        ),
    ),
    (
        r"permission denied|must be owner",
        gettext_noop("Nothing was changed. The database role lacks a right; see the message."),
    ),
    (
        r"unrecognized configuration parameter",
        gettext_noop("Nothing was changed. Use pg_restore of the server's own version."),
    ),
)


def explain(name: str, status: int, output: str) -> BackupError:
    """Explain a failure of PostgreSQL's programs by the end of their error output."""
    # psql prints the position and the context of an error on further lines; the message is on the first
    lines = [re.sub(r"^psql:<stdin>:\d+: ", "", line) for line in output.splitlines()]
    errors = [line for line in lines if re.search(r"\b(error|ERROR|FATAL):", line)]
    error = program_failed(name, status, "\n".join(errors[:2]) or output)
    for pattern, hint in PROBLEMS:
        if re.search(pattern, output):
            error.hint_template = hint
            break
    return error


def conninfo(settings: Mapping[str, Any], database: str = "") -> str:
    """Return the conninfo by which PostgreSQL's programs connect to a database like Django; it takes precedence over a
    service file.

    It contains no secret: every user of the machine can read the arguments of a program.

    :param database: another database of the same server.
    """
    options = settings.get("OPTIONS", {})
    places = {"host": "HOST", "port": "PORT", "user": "USER", "dbname": "NAME"}
    words = {
        "application_name": "django-rclone-admin",
        **{key: value for key, value in options.items() if key in KEYWORDS and value is not None},
        **{key: settings[place] for key, place in places.items() if settings.get(place)},
        **({"dbname": database} if database else {}),
    }
    return " ".join(f"{key}='{_escaped(str(value))}'" for key, value in words.items())


def password(settings: Mapping[str, Any]) -> str:
    """Return the password of a database's settings; an empty string for none."""
    return str(settings.get("PASSWORD") or settings.get("OPTIONS", {}).get("password") or "")


class ServiceFile:
    """A private service file with the passphrase of the client's key, for which libpq knows no environment variable.

    The file exists as long as this object.
    """

    def __init__(self, service: str, sslpassword: str, env: Mapping[str, str]) -> None:
        folder = private_folder()
        weakref.finalize(self, remove_folder, folder)
        self.service = service or "django-rclone-admin"
        self.path = folder / "services"
        self.path.touch(mode=0o600)
        known = _find_services(env).read_text() if service else ""
        section = f"[{self.service}]\n"
        if section not in known:
            known += f"\n{section}"
        self.path.write_text(known.replace(section, f"{section}sslpassword={sslpassword}\n", 1))


def _find_services(env: Mapping[str, str]) -> Path:
    """Return the service file that libpq would read."""
    if named := env.get("PGSERVICEFILE"):
        return Path(named)
    own = Path.home() / ".pg_service.conf"
    return (
        own if own.exists() else Path(env.get("PGSYSCONFDIR", "/etc/postgresql-common")) / "pg_service.conf"
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def quote(name: str) -> str:
    """Quote an identifier, for SQL and for pg_dump's patterns."""
    return '"' + name.replace('"', '""') + '"'


def pattern(name: str) -> str:
    """Return pg_dump's pattern for a table name: capitals are significant, unless it is a pattern already."""
    if not re.search(r"[A-Z]", name) or re.search(r'["*?\[|(]', name):
        return name
    return ".".join(map(quote, name.split(".")))


def literal(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"
