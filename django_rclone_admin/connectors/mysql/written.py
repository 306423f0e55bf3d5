"""Parses the statements that create views, triggers, routines and events, as dumps or the server write them."""

from __future__ import annotations

from dataclasses import dataclass

from .columns import FUNCTIONS
from .lexer import plain
from .phrase import Phrase, Unexpected
from .session import Session

KINDS = ("VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE")
"""The words after ``CREATE``. A package also has a body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A view, trigger, routine or event."""

    kind: str
    """The words after ``CREATE`` and ``DROP``."""
    name: str
    statement: bytes
    """Without the name of the dumped database, and without versioned comments around its parts."""
    typed: bytes
    """The same with the database name where the author typed it, as in ``CREATE TRIGGER site.a …``."""
    silent: bytes
    """Without the database name; an event is created disabled."""
    enabled: bytes
    """Without the database name; an event is created enabled."""
    session: Session
    """The settings that are stored with it."""
    is_enabled: bool = False
    """For an event."""
    table: str = ""
    """Of a trigger."""


def read_definition(phrase: Phrase, session: Session) -> Written:
    """Read a complete statement. The server receives it as one statement, whatever its body contains.

    :raises Unexpected: it creates an object of another kind.
    """
    is_replacing = _read_options(phrase)
    kind = phrase.key()
    phrase.at += 1
    if kind == "PACKAGE" and phrase.accept("BODY"):
        kind = "PACKAGE BODY"
    phrase.accept("IF", "NOT", "EXISTS")
    name = phrase.name()
    place, switch, table = phrase.at - 1, 0, ""
    if kind == "TRIGGER":
        if not (phrase.accept("BEFORE") or phrase.accept("AFTER")):
            raise Unexpected
        phrase.at += 1
        phrase.expect("ON")
        table = phrase.name()
    elif kind == "EVENT":
        switch = _switch(phrase)
    elif kind == "FUNCTION" and "SONAME" in phrase.keys():  # noqa: SIM118  (not a mapping)
        raise Unexpected  # loads native code
    elif kind == "VIEW":
        unqualify(phrase)
        if not is_replacing:
            phrase.replace(0, b"CREATE OR REPLACE")
    statement = phrase.unwrapped(place)
    typed = phrase.unwrapped(place, is_qualified=kind == "TRIGGER")
    is_enabled = phrase.token(switch).key == "ENABLE"
    return Written(
        kind=kind,
        name=name,
        statement=statement,
        typed=typed,
        silent=_switched(phrase, place, switch, b"DISABLE") if is_enabled else statement,
        enabled=_switched(phrase, place, switch, b"ENABLE") if switch else statement,
        session=session.copy(),
        is_enabled=is_enabled,
        table=table,
    )


def unqualify(phrase: Phrase) -> None:
    """Remove the name of the dumped database from the text of a view, in the server's spelling."""
    for word in range(phrase.at, len(phrase) - 2):
        first, dot, second = (phrase.token(word + ahead) for ahead in range(3))
        if dot.key != "." or first.kind != "name" or plain(first.text) != phrase.source:
            continue
        before = word - 1
        while phrase.token(before).key == "(":
            before -= 1
        if second.kind in ("name", "word") and (
            phrase.token(word + 3).key in (".", "(")  # a column or a function
            or phrase.token(before).key in ("FROM", "JOIN", *FUNCTIONS)
        ):
            phrase.unqualify(word)


def _switch(phrase: Phrase) -> int:
    """Return the position of the word that enables or disables an event; 0 for none."""
    for word in range(phrase.at, len(phrase)):
        if (key := phrase.token(word).key) in ("DO", "ENABLE", "DISABLE"):
            return 0 if key == "DO" else word
    return 0


def _switched(phrase: Phrase, place: int, switch: int, text: bytes) -> bytes:
    phrase.replace(switch, text)
    return phrase.unwrapped(place)


def _read_options(phrase: Phrase) -> bool:
    """Read the options before the kind of a definition; return whether it replaces an older one."""
    phrase.expect("CREATE")
    is_replacing = phrase.accept("OR", "REPLACE")
    while phrase.key() not in KINDS:
        if phrase.accept("AGGREGATE"):
            continue
        if phrase.accept("ALGORITHM", "="):
            _read_one_of(phrase, "UNDEFINED", "MERGE", "TEMPTABLE")
        elif phrase.accept("SQL", "SECURITY"):
            _read_one_of(phrase, "DEFINER", "INVOKER")
        else:
            phrase.expect("DEFINER", "=")
            phrase.at += 1
            if phrase.accept("@"):
                phrase.at += 1
            else:
                phrase.accept("(", ")")
    return is_replacing


def _read_one_of(phrase: Phrase, *keys: str) -> None:
    if not any(phrase.accept(key) for key in keys):
        raise Unexpected
