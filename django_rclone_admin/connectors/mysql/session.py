"""Handles the ``SET`` statements of a dump: few are passed on, some are remembered, and none affects other sessions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from .lexer import Token, unquoted

SAFE_CHARSETS = re.compile(
    r"utf8|utf8mb[34]|latin[1257]|ascii|binary|cp125[0167]|cp85[02]|cp866|koi8[ru]|greek|hebrew|armscii8|geostd8"
    r"|dec8|hp8|keybcs2|macce|macroman|tis620"
)
"""Character sets in which no byte of a multibyte character looks like a quote or a backslash."""
PASSED_ON = frozenset({"time_zone", "character_set_client", "system_versioning_insert_history", "autocommit"})
"""Variables that affect the rows of a dump."""
REMEMBERED = frozenset({"sql_mode", "character_set_client", "collation_connection", "time_zone"})
"""Variables that are stored with views, triggers, routines and events."""
OF_NO_USE = frozenset(
    {
        "character_set_results",
        "collation_connection",
        "foreign_key_checks",
        "note_verbosity",
        "sql_log_bin",
        "sql_mode",
        "sql_notes",
        "sql_quote_show_create",
        "unique_checks",
    }
)
"""Variables that the loading session sets itself."""
TIME_ZONE = re.compile(r"[+-]\d\d:\d\d|[A-Za-z_]+(?:/[A-Za-z_+\-0-9]+)*")


class NotForUs(Exception):
    """A statement that must not be executed."""


@dataclass(slots=True)
class Session:
    """The simulated session that executes the unfiltered text."""

    sql_mode: str = ""
    character_set_client: str = "utf8mb4"
    collation_connection: str = ""
    time_zone: str = ""
    variables: dict[str, str | None] = field(default_factory=dict)
    """User variables that save the value of another variable."""

    def copy(self) -> Session:
        """Return an independent copy of the current state."""
        return replace(self, variables={})

    @property
    def is_escaped(self) -> bool:
        return "NO_BACKSLASH_ESCAPES" not in self.sql_mode.upper()

    @property
    def is_plain(self) -> bool:
        """Whether rows and tables may follow: the server would parse their text in the same way as we do."""
        return (
            self.is_escaped
            and not re.search(r"ANSI", self.sql_mode, re.IGNORECASE)
            and SAFE_CHARSETS.fullmatch(self.character_set_client) is not None
        )

    def set(self, words: list[Token]) -> bytes:
        """Apply one ``SET`` statement, and return the part that the server should execute.

        :raises NotForUs: it affects other sessions, or is not understood.
        """
        if len(words) > 2 and words[1].key == "NAMES":
            return self._names(words[2:])
        passed_on = [text for each in _assignments(words[1:]) if (text := self._assign(each))]
        return b"SET " + b", ".join(passed_on) if passed_on else b""

    def _names(self, words: list[Token]) -> bytes:
        charset = _value(words[0])
        if not SAFE_CHARSETS.fullmatch(charset.lower()) or (len(words) > 1 and words[1].key != "COLLATE"):
            raise NotForUs
        self.character_set_client, self.collation_connection = charset.lower(), ""
        return b"SET NAMES " + charset.encode()

    def _assign(self, words: list[Token]) -> bytes:
        """Apply one assignment; return it if the server should execute it, too."""
        equals = next((at for at, each in enumerate(words) if each.key == "="), 0)
        left, right = words[:equals], words[equals + 1 :]
        if left and left[-1].key == ":":
            left.pop()
        name, is_user_variable, is_global = _variable(left)
        if name == "gtid_purged":  # affects the whole server, and only replicas need it
            return b""
        if is_global or not right:
            raise NotForUs
        if is_user_variable:
            kept, is_other_user_variable, is_global = _variable(right)
            if is_other_user_variable:
                raise NotForUs
            self.variables[name] = getattr(self, kept) if kept in REMEMBERED else None
            return b"@%b = @@%b" % (name.encode(), kept.encode()) if kept in PASSED_ON else b""
        if name not in PASSED_ON | OF_NO_USE:
            raise NotForUs
        return self._set(name, right)

    def _set(self, name: str, right: list[Token]) -> bytes:
        if right[0].key == "@":
            variable, is_user_variable, _is_global = _variable(right)
            value = self.variables.get(variable) if is_user_variable else None
            if name in REMEMBERED and is_user_variable:
                setattr(self, name, value or "")
            return b"%b = @%b" % (name.encode(), variable.encode()) if name in PASSED_ON else b""
        if len(right) != 1:
            raise NotForUs
        value = _value(right[0])
        if name in REMEMBERED:
            setattr(self, name, value.lower() if name == "character_set_client" else value)
        if name == "time_zone":
            if not TIME_ZONE.fullmatch(value):
                raise NotForUs
            return f"time_zone = '{value}'".encode()
        if name == "character_set_client" and not SAFE_CHARSETS.fullmatch(value.lower()):
            return b""  # for a definition: rows may not follow before it has changed again
        return f"{name} = {value}".encode() if name in PASSED_ON else b""


def _assignments(words: list[Token]) -> list[list[Token]]:
    """Split the assignments of one statement."""
    found: list[list[Token]] = [[]]
    for each in words:
        if each.key == ",":
            found.append([])
        else:
            found[-1].append(each)
    return found


def _variable(words: list[Token]) -> tuple[str, bool, bool]:
    """Return the name of a variable, whether it is a user variable, and whether it is global.

    :raises NotForUs: it is not a variable.
    """
    keys = [each.key for each in words]
    at = 0
    while keys[at : at + 1] == ["@"]:
        at += 1
    scope = ""
    if (
        keys[at : at + 1]
        and keys[at] in ("GLOBAL", "SESSION", "LOCAL", "PERSIST", "PERSIST_ONLY")
        and at != 1
    ):
        scope = keys[at]
        at += 2 if keys[at + 1 : at + 2] == ["."] else 1
    if at != len(words) - 1 or words[at].kind != "word" or keys[:3] == ["@", "@", "@"]:
        raise NotForUs
    is_user_variable = keys[0] == "@" and keys[1] != "@"
    name = words[at].text.decode("ascii", "replace")
    if not re.fullmatch(r"[A-Za-z0-9_$]+", name):
        raise NotForUs
    return name.lower(), is_user_variable, scope not in ("", "SESSION", "LOCAL")


def _value(word: Token) -> str:
    """Return a value that is one word, number or plain string.

    :raises NotForUs: it is another expression.
    """
    if word.kind == "string":
        value = unquoted(word.text)
    elif word.kind in ("word", "number"):
        value = word.text.decode("ascii", "replace")
    else:
        raise NotForUs
    if not re.fullmatch(r"[A-Za-z0-9_,:/+\- ]*", value):
        raise NotForUs
    return value
