"""What the site's own arguments for pg_dump and pg_restore come to: some leave something out, some would break what we build on."""

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
"""Arguments of pg_restore that leave out no table and no row. Others make it restore a part, and end well."""

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
"""Arguments of pg_dump that leave nothing out of what a restore brings back."""

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
"""Arguments of pg_dump that leave something out, and the kinds of what they leave out."""

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
"""Those that may have their value in the next argument."""


def check_restore(alias: str, arguments: Sequence[str]) -> None:
    """Refuse arguments with which a restore would not bring everything back.

    :raises UsageError: there is one.
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
    """Return what arguments of pg_dump leave out: the kinds, by argument.

    :raises UsageError: one is unknown, or changes what a dump is.
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
    """Return those arguments of pg_dump that leave nothing out."""
    return [word for name, words in _parsed(arguments) if name in WHOLE for word in words]


def _parsed(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Give each argument by its name, with the words that it is written in."""
    left = list(arguments)
    while left:
        words = [left.pop(0)]
        name = words[0].partition("=")[0]
        if not name.startswith("--") and len(name) > 2:
            name = name[:2]  # a short one with its value, or with other short ones
            if name.startswith("-") and name not in VALUES:
                left.insert(0, f"-{words[0][2:]}")
                words = [name]
        elif name in VALUES and "=" not in words[0] and left:
            words.append(left.pop(0))
        yield name, words
