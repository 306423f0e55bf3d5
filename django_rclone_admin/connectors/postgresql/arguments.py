"""The site's own arguments of pg_dump and pg_restore: some exclude objects, some would make the result unusable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...exceptions import UsageError, gettext_noop

RESTORE = frozenset(
    [
        "--verbose",
        "-v",
        "--no-comments",
        "--no-publications",
        "--no-security-labels",
        "--no-subscriptions",
        "--no-table-access-method",
        "--no-tablespaces",
        "--no-owner",
        "-O",
        "--no-privileges",
        "--no-acl",
        "-x",
        "--no-policies",
        "--no-statistics",
        "--statistics",
        "--role",
        "--superuser",
        "--disable-triggers",
        "--enable-row-security",
        "--use-set-session-authorization",
        "--restrict-key",
        "--exit-on-error",
        "-e",
    ]
)
"""Arguments of pg_restore that exclude no table and no row. Others make it restore only a part, and exit with 0."""

WHOLE = frozenset(
    [
        "--verbose",
        "-v",
        "--no-owner",
        "-O",
        "--no-privileges",
        "--no-acl",
        "-x",
        "--no-tablespaces",
        "--no-table-access-method",
        "--no-toast-compression",
        "--no-sync",
        "--no-statistics",
        "--statistics",
        "--lock-wait-timeout",
        "--extra-float-digits",
        "--inserts",
        "--column-inserts",
        "--attribute-inserts",
        "--rows-per-insert",
        "--quote-all-identifiers",
        "--disable-dollar-quoting",
        "--disable-triggers",
        "--load-via-partition-root",
        "--large-objects",
        "--blobs",
        "-b",
        "--serializable-deferrable",
        "--role",
        "--superuser",
        "-S",
        "--use-set-session-authorization",
        "--strict-names",
        "--compress",
        "-Z",
        "--include-foreign-data",
        "--sync-method",
        "--restrict-key",
    ]
)
"""Arguments of pg_dump that exclude nothing that a restore needs."""

EVERYTHING = "everything"
TABLES = (
    *(
        "tables",
        "views",
        "materialized_views",
        "foreign_tables",
        "sequences",
        "triggers",
        "policies",
        "rules",
    ),
    *("rows", "publications", "statistics"),
)
OBJECTS = (*TABLES, "functions", "types", "extensions", "event_triggers", "casts", "servers", "subscriptions")
LEAVE_OUT: tuple[tuple[Sequence[str], str], ...] = (
    (
        [EVERYTHING],
        "--schema -n --exclude-schema -N --table -t --table-and-children --extension -e --filter --section",
    ),
    ([EVERYTHING], "--statistics-only"),
    (TABLES, "--exclude-table -T --exclude-table-and-children"),
    (["rows"], "--exclude-table-data --exclude-table-data-and-children --no-unlogged-table-data"),
    (["rows", "large_objects"], "--schema-only -s --no-data"),
    ([kind for kind in OBJECTS if kind != "rows"], "--data-only -a --no-schema"),
    (["large_objects"], "--no-large-objects --no-blobs -B"),
    (["extensions"], "--exclude-extension"),
    (["policies"], "--no-policies"),
    (["publications"], "--no-publications"),
    (["subscriptions"], "--no-subscriptions"),
    (["comments"], "--no-comments"),
    (["security_labels"], "--no-security-labels"),
    (["hidden_rows"], "--enable-row-security"),
)
NARROWING = {name: kinds for kinds, names in LEAVE_OUT for name in names.split()}
"""Arguments of pg_dump that exclude objects, with the kinds that they exclude."""

VALUES = frozenset(
    [
        "--schema",
        "-n",
        "--exclude-schema",
        "-N",
        "--table",
        "-t",
        "--filter",
        "--extension",
        "-e",
        "--section",
        "--table-and-children",
        "--exclude-table",
        "-T",
        "--exclude-table-and-children",
        "--exclude-table-data",
        "--exclude-table-data-and-children",
        "--exclude-extension",
        "--lock-wait-timeout",
        "--extra-float-digits",
        "--rows-per-insert",
        "--role",
        "--superuser",
        "-S",
        "--compress",
        "-Z",
        "--include-foreign-data",
        "--sync-method",
        "--restrict-key",
    ]
)
"""Arguments whose value may be the next argument."""


def check_restore(alias: str, arguments: Sequence[str]) -> None:
    """Refuse arguments with which a restore would be incomplete.

    :raises UsageError: such an argument is set.
    """
    for argument in arguments:
        if argument.partition("=")[0] not in RESTORE:
            raise UsageError(
                gettext_noop(
                    "RESTORE_ARGS of “%(database)s” contains %(argument)s, which could restore only part of the backup."
                ),
                hint=gettext_noop("These are allowed: %(allowed)s."),
                database=alias,
                argument=argument.partition("=")[0],
                allowed=", ".join(sorted(RESTORE)),
            )


def narrowed(alias: str, arguments: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the kinds that arguments of pg_dump exclude, by argument.

    :raises UsageError: an argument is unknown, or changes the format of the dump.
    """
    found: dict[str, Sequence[str]] = {}
    for name, _words in _parsed(arguments):
        if name in NARROWING:
            found[name] = NARROWING[name]
        elif name not in WHOLE:
            raise UsageError(
                gettext_noop(
                    "DUMP_ARGS of “%(database)s” contains %(argument)s, with which no backup can be made."
                ),
                hint=gettext_noop("These are allowed, written out: %(allowed)s."),
                database=alias,
                argument=name,
                allowed=", ".join(sorted(WHOLE | NARROWING.keys())),
            )
    return found


def whole(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of pg_dump that exclude nothing."""
    return [word for name, words in _parsed(arguments) if name in WHOLE for word in words]


def _parsed(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Give each argument by its name, with the words that it consists of."""
    left = list(arguments)
    while left:
        words = [left.pop(0)]
        name = words[0].partition("=")[0]
        if not name.startswith("--") and len(name) > 2:
            name = name[:2]  # a short option with its value, or combined with others
            if name.startswith("-") and name not in VALUES:
                left.insert(0, f"-{words[0][2:]}")
                words = [name]
        elif name in VALUES and "=" not in words[0] and left:
            words.append(left.pop(0))
        yield name, words
