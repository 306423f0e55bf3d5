"""The site's arguments of the client programs: which are allowed, and what they exclude from a dump."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...exceptions import UsageError, gettext_noop

WITH_VALUE = frozenset({
    "as-of", "character-sets-dir", "compatible", "connect-timeout", "default-auth",
    "default-character-set", "fields-enclosed-by", "fields-escaped-by", "fields-optionally-enclosed-by",
    "fields-terminated-by", "host", "ignore-database", "ignore-error", "ignore-table", "ignore-table-data",
    "init-command", "lines-terminated-by", "log-error", "max-allowed-packet", "max-statement-time",
    "net-buffer-length", "parallel", "plugin-dir", "port", "protocol", "result-file",
    "server-public-key-path", "set-gtid-purged", "socket", "ssl-ca", "ssl-capath", "ssl-cert",
    "ssl-cipher", "ssl-crl", "ssl-crlpath", "ssl-key", "ssl-mode", "system", "tab", "tls-version", "user",
    "where",
})  # fmt: skip
"""Long options whose value may be the next argument."""
SHORT = {
    "A": "all-databases",
    "B": "databases",
    "C": "compress",
    "E": "events",
    "F": "flush-logs",
    "H": "dump-history",
    "K": "disable-keys",
    "N": "no-set-names",
    "P": "port",
    "Q": "quote-names",
    "R": "routines",
    "S": "socket",
    "T": "tab",
    "V": "version",
    "X": "xml",
    "Y": "all-tablespaces",
    "a": "create-options",
    "c": "complete-insert",
    "d": "no-data",
    "e": "extended-insert",
    "f": "force",
    "h": "host",
    "i": "comments",
    "l": "lock-tables",
    "n": "no-create-db",
    "p": "password",
    "q": "quick",
    "r": "result-file",
    "t": "no-create-info",
    "u": "user",
    "v": "verbose",
    "w": "where",
    "x": "lock-all-tables",
    "y": "no-tablespaces",
    "?": "help",
    "#": "debug",
}
"""Short options of the dump programs."""
TO_LEAVE_OUT = {
    "no-data": "rows",
    "where": "rows",
    "ignore-table-data": "rows",
    "ignore-table": "tables",
    "skip-triggers": "triggers",
    "skip-routines": "routines",
    "skip-events": "events",
    "skip-dump-history": "history",
}
"""Options that exclude something from a dump, and what they exclude."""
NOT_FOR_US = frozenset({
    "add-drop-database", "all-databases", "all-tablespaces", "apply-slave-statements", "as-of", "compact",
    "compatible", "databases", "default-character-set", "defaults-extra-file", "defaults-file",
    "defaults-group-suffix", "delete-master-logs", "delete-source-logs", "dump-replica", "dump-slave",
    "flush-privileges", "force", "help", "host", "ignore-error", "insert-ignore", "master-data",
    "no-create-info", "no-defaults", "password", "port", "print-defaults", "result-file", "skip-comments",
    "skip-create-options", "skip-tz-utc", "socket", "source-data", "system", "tab", "tables", "user",
    "version", "xml",
})  # fmt: skip
"""Options whose dump could not be restored, or would not come from the database of the settings."""
KNOWN = sorted(
    {
        *WITH_VALUE,
        *SHORT.values(),
        *(each.removeprefix("skip-") for each in (*TO_LEAVE_OUT, *NOT_FOR_US)),
        *[
            "add-drop-table",
            "add-drop-trigger",
            "add-locks",
            "allow-keywords",
            "column-statistics",
            "compress-output",
            "copy-s3-tables",
            "delayed-insert",
            "dump-date",
            "hex-blob",
            "gtid",
            "include-master-host-port",
            "insert-ignore",
            "log-queries",
            "no-autocommit",
            "no-data-med",
            "opt",
            "order-by-primary",
            "order-by-size",
            "replace",
            "set-charset",
            "single-transaction",
            "ssl",
            "ssl-verify-server-cert",
            "skip-opt",
            "tz-utc",
            "verbose",
        ],
    }
)
"""Names of options, to resolve abbreviations like the programs."""
HARMLESS = (
    "--comments",
    "--compress",
    "--connect-timeout",
    "--debug-info",
    "--net-buffer-length",
    "--progress-reports",
    "--quick",
    "--show-warnings",
    "--silent",
    "--skip-progress-reports",
    "--ssl-ca",
    "--ssl-cert",
    "--ssl-cipher",
    "--ssl-key",
    "--ssl-verify-server-cert",
    "--tls-version",
    "--unbuffered",
    "--verbose",
    "--zstd-compression-level",
)
"""Arguments of the client program with which a restore is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpArguments:
    """The site's arguments of the dump program."""

    arguments: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    """The kinds that they exclude: ``rows``, ``triggers``, ``routines``, ``events`` or ``history``."""
    tables: frozenset[str] = frozenset()
    """Tables and views that they exclude."""
    rows: frozenset[str] = frozenset()
    """Tables whose rows they exclude."""


def read_dump_arguments(alias: str, schema: str, arguments: Sequence[str]) -> DumpArguments:
    """Find out what the arguments in ``DUMP_ARGS`` exclude.

    :raises UsageError: with one of them, the dump could not be restored or would be of another database.
    """
    kinds: set[str] = set()
    tables: set[str] = set()
    rows: set[str] = set()
    for name, value in _options(arguments):
        if not name or name in NOT_FOR_US:
            raise UsageError(
                gettext_noop(
                    "DUMP_ARGS of “%(database)s” contains %(argument)s, with which a backup could not be restored."
                ),
                hint=gettext_noop("Remove it. The setting CONNECTION names the server to dump from."),
                database=alias,
                argument=f"--{name}" if name else value,
            )
        if name in ("ignore-table", "ignore-table-data"):
            place, _dot, table = value.partition(".")
            if place == schema:
                (tables if name == "ignore-table" else rows).add(table)
        elif name in TO_LEAVE_OUT:
            kinds.add(TO_LEAVE_OUT[name])
    return DumpArguments(
        arguments=tuple(arguments), kinds=frozenset(kinds), tables=frozenset(tables), rows=frozenset(rows)
    )


def without_leaving_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that exclude nothing and are allowed."""
    found = []
    for position, argument in enumerate(arguments):
        names = [name for name, _value in _options(arguments[position : position + 1])]
        if argument.startswith("-") and not any(
            not name
            or name in TO_LEAVE_OUT
            or name in NOT_FOR_US
            or (name in WITH_VALUE and "=" not in argument)
            for name in names
        ):
            found.append(argument)
    return found


def check_restore_arguments(alias: str, arguments: Sequence[str]) -> None:
    """Refuse arguments of the client program with which a restore could be incomplete.

    :raises UsageError: such an argument is set.
    """
    for argument in arguments:
        name = argument.partition("=")[0].replace("_", "-")
        if name not in HARMLESS:
            raise UsageError(
                gettext_noop(
                    "RESTORE_ARGS of “%(database)s” contains %(argument)s, which could restore only part of the backup."
                ),
                hint=gettext_noop("These are allowed: %(allowed)s."),
                database=alias,
                argument=name,
                allowed=", ".join(HARMLESS),
            )


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each option by its long name, with its value; other arguments under an empty name."""
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument.startswith("--") and argument != "--":
            yield _long(argument[2:], rest)
        elif argument.startswith("-") and argument not in ("-", "--"):
            yield from _short(argument[1:], rest)
        else:
            yield "", argument


def _long(text: str, rest: list[str]) -> tuple[str, str]:
    written, equals, value = text.partition("=")
    name = written.replace("_", "-").lower().removeprefix("loose-")
    is_off = value.lower() in ("0", "off", "false")
    for prefix in ("skip-", "disable-"):
        if name.startswith(prefix) and name not in KNOWN:
            name, is_off = name.removeprefix(prefix), True
    name = _whole(name.removeprefix("enable-"))
    if name in WITH_VALUE and not equals and not is_off:
        value = rest.pop(0) if rest else ""
    return f"skip-{name}" if is_off and name not in WITH_VALUE else name, value


def _whole(name: str) -> str:
    """Return the full name of an abbreviated option, if it is unique."""
    if name in KNOWN:
        return name
    found = [each for each in KNOWN if each.startswith(name)]
    return found[0] if len(found) == 1 else name


def _short(letters: str, rest: list[str]) -> Iterator[tuple[str, str]]:
    while letters:
        name, letters = SHORT.get(letters[0], letters[0]), letters[1:]
        if name in WITH_VALUE:
            yield name, letters or (rest.pop(0) if rest else "")
            return
        if name in ("password", "debug"):
            letters = ""
        yield name, ""
