"""Column defaults that use a sequence. They are set last: a dump may create a sequence after the table that uses it,
and a swap moves both to another schema.
"""

from __future__ import annotations

from dataclasses import dataclass

from .lexer import plain, quoted
from .phrase import Phrase

FUNCTIONS = ("NEXTVAL", "LASTVAL", "SETVAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """The default of a column that takes its value from a sequence."""

    table: str
    column: str
    expression: bytes
    """As SQL, without the name of the dumped database."""
    sequences: tuple[str, ...]
    """The sequences of the dumped database that it uses."""

    def alteration(self, schema: str) -> bytes:
        """Return the statement that sets it in a schema; sequences are those of the current schema."""
        table = quoted(schema) + b"." + quoted(self.table)
        return b"ALTER TABLE %b ALTER COLUMN %b SET DEFAULT %b" % (
            table,
            quoted(self.column),
            self.expression,
        )


def take_defaults(phrase: Phrase, table: str, end: int) -> list[Default]:
    """Remove the defaults that need a sequence from the columns of a table, and return them."""
    found, column, depth = [], "", 0
    word = phrase.at
    while word < end:
        key = phrase.token(word).key
        depth += {"(": 1, ")": -1}.get(key, 0)
        if (key == "(" and word == phrase.at) or (key == "," and depth == 1):
            column = plain(phrase.token(word + 1).text)
        if key == "DEFAULT" and depth == 1:
            first = word + 1
            opening = first if phrase.token(first).key == "(" else first + 1
            last = phrase.closing(opening) if phrase.token(opening).key == "(" else first
            sequences = _sequences(phrase, first, last)
            if sequences is not None:
                expression = phrase.text(first, last)
                found.append(Default(table=table, column=column, expression=expression, sequences=sequences))
                phrase.leave_out(word, last)
                word = last
        word += 1
    return found


def _sequences(phrase: Phrase, first: int, last: int) -> tuple[str, ...] | None:
    """Return our sequences in an expression, and remove the dumped database from their names; ``None`` if it uses
    none."""
    found, is_used = [], False
    for word in range(first, last):
        if phrase.token(word).key not in FUNCTIONS or phrase.token(word + 1).key != "(":
            continue
        is_used, name = True, word + 2
        if phrase.token(name + 1).key == ".":
            if plain(phrase.token(name).text) != phrase.source:
                continue
            phrase.unqualify(name)
            name += 2
        found.append(plain(phrase.token(name).text))
    return tuple(found) if is_used else None
