"""What PostgreSQL's own programs have in common: how they find the server, and what their failures mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db.backends.postgresql.client import DatabaseClient

from ...core.command import program_failed
from ...exceptions import BackupError, gettext_noop

LIBPQ = {
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "sslcrl": "PGSSLCRL",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslsni": "PGSSLSNI",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcertmode": "PGSSLCERTMODE",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "hostaddr": "PGHOSTADDR",
    "client_encoding": "PGCLIENTENCODING",
}
"""Connection options that Django's database client does not pass on → the environment variable that libpq reads.
Source: PostgreSQL's documentation, "Environment Variables" of libpq."""

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
        r"connection to server .* failed|could not connect|Connection refused",
        gettext_noop("Nothing was changed. Check HOST and PORT, and that the database server runs."),
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
    """Explain a failure of PostgreSQL's programs by their last words."""
    # psql shows the position and the context of an error on further lines; the sentence is on the first
    lines = [re.sub(r"^psql:<stdin>:\d+: ", "", line) for line in output.splitlines()]
    errors = [line for line in lines if re.search(r"\b(error|ERROR|FATAL):", line)]
    error = program_failed(name, status, "\n".join(errors[:2]) or output)
    for pattern, hint in PROBLEMS:
        if re.search(pattern, output):
            error.hint_template = hint
            break
    return error


def connection_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment by which libpq's programs reach this database; nothing goes into argument lists."""
    options = settings.get("OPTIONS", {})
    _arguments, env = DatabaseClient.settings_to_cmd_args_env({**settings, "OPTIONS": options}, [])
    known = {
        variable: str(options[name]) for name, variable in LIBPQ.items() if options.get(name) is not None
    }
    places = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGDATABASE": "NAME"}
    given = {variable: str(settings[key]) for variable, key in places.items() if settings.get(key)}
    return {"PGAPPNAME": "django-rclone-admin", **known, **given, **(env or {})}


def quote(name: str) -> str:
    """Quote an identifier, for SQL and for pg_dump's patterns alike."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"
