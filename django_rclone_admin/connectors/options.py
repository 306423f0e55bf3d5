"""The options of a connector in ``CONNECTOR_OPTIONS``: which every connector knows, and their types."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..core.command import can_be_given, is_variable
from ..exceptions import UsageError, gettext_noop

LISTS = ("EXCLUDE_TABLES", "SCHEMAS", "DUMP_ARGS", "RESTORE_ARGS")
"""Options that are lists of text."""
OPTIONS = frozenset({*LISTS, "BIN_DIR", "ENV", "CONNECTION"})


def check_options(alias: str, options: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse unknown options and those of a wrong type.

    :param known: the options that the connector knows.
    :raises UsageError: there is one.
    """
    if unknown := set(options) - set(known):
        raise UsageError(
            gettext_noop("CONNECTOR_OPTIONS of %(database)s has an unknown key: %(key)s."),
            hint=gettext_noop("Known keys: %(known)s."),
            database=alias,
            key=min(unknown),
            known=", ".join(sorted(known)),
        )
    for key in LISTS:
        text_list(alias, options, key)
    connection, env = options.get("CONNECTION", {}), options.get("ENV", {})
    if not isinstance(connection, Mapping):
        raise _wrong_type(
            alias, "CONNECTION", gettext_noop("It replaces entries of DATABASES: {“HOST”: “…”}.")
        )
    if not isinstance(env, Mapping) or not all(isinstance(each, str) for each in (*env, *env.values())):
        raise _wrong_type(alias, "ENV", gettext_noop("Its keys and values are text: {“NAME”: “value”}."))
    if not isinstance(options.get("BIN_DIR"), str | os.PathLike | None):
        raise _wrong_type(alias, "BIN_DIR", gettext_noop("It is the path of a folder."))
    unfit = [key for key, value in options.items() if not all(map(can_be_given, _texts(value)))]
    if not all(is_variable(*each) for each in env.items()):
        unfit.append("ENV")
    if unfit:
        raise UsageError(
            gettext_noop("%(key)s in CONNECTOR_OPTIONS of %(database)s can't be given to a program."),
            hint=gettext_noop(
                "It has a NUL character, one that the system can't encode, or a variable without a name or with “=” in it."
            ),
            key=unfit[0],
            database=alias,
        )


def text_list(alias: str, options: Mapping[str, Any], key: str) -> list[str]:
    """Return an option that is a list of text; empty where it is not set.

    :raises UsageError: it is something else.
    """
    value = options.get(key, [])
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise UsageError(
            gettext_noop("%(key)s in CONNECTOR_OPTIONS of %(database)s must be a list of text."),
            hint=gettext_noop('Write it as a list, also when it has one element: ["…"].'),
            key=key,
            database=alias,
        )
    return list(value)


def _texts(value: object) -> Iterator[str]:
    """Give every text in an option, however deep."""
    if isinstance(value, str | os.PathLike):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _wrong_type(alias: str, key: str, hint: str) -> UsageError:
    return UsageError(
        gettext_noop("%(key)s in CONNECTOR_OPTIONS of %(database)s has the wrong type."),
        hint=hint,
        key=key,
        database=alias,
    )
