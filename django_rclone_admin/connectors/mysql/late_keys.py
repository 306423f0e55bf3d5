"""Keys that are added to a table after its rows: the server then sorts once, instead of inserting row by row.

This is done only if the table is equal afterwards, to the letter of ``SHOW CREATE TABLE``. Any other table keeps its
keys where the dump has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .lexer import plain, quoted
from .phrase import Phrase

KEYS = ("KEY", "INDEX", "UNIQUE")
NOT_LATER = frozenset(
    {
        "FULLTEXT",
        "SPATIAL",
        "HASH",
        "PERIOD",
        "OVERLAPS",
        "GENERATED",
        "AS",
        "VIRTUAL",
        "PERSISTENT",
        "STORED",
    }
)
"""Words in tables that keep their keys, because such keys add columns or depend on them."""

Item = tuple[int, int]
"""The first and the last word of a column, a key or a constraint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateKeys:
    """The keys to add to one table."""

    table: str
    keys: tuple[bytes, ...]
    foreign_keys: tuple[bytes, ...]

    def addition(self, added: Iterable[bytes]) -> bytes:
        """Return the statement that adds some of them; empty if there are none."""
        items = b", ".join(b"ADD " + each for each in added)
        return b"ALTER TABLE %b %b;\n" % (quoted(self.table), items) if items else b""


def take_late_keys(phrase: Phrase, table: str, end: int) -> LateKeys | None:
    """Remove the keys that can be added later from a table's columns; ``None`` when it has none, or keeps them.

    :param end: the word that closes the columns; the next word opens them.
    """
    items = list(_items(phrase, end))
    keys = [each for each in items if phrase.token(each[0]).key in KEYS]
    foreign = [each for each in items if is_foreign_key(phrase, each)]
    if not (keys or foreign) or not _is_exact(phrase, items, end):
        return None
    found = LateKeys(
        table=table,
        keys=tuple(phrase.text(*each) for each in keys),
        foreign_keys=tuple(phrase.text(*each) for each in foreign),
    )
    for first, last in [*keys, *foreign]:
        phrase.leave_out(first - 1, last)  # including the comma before it
    return found


def referenced_tables(phrase: Phrase, end: int) -> Iterator[str]:
    """Give the tables that foreign keys of a table reference, without their schema."""
    for word in range(phrase.at, end):
        if phrase.token(word).key == "REFERENCES":
            is_qualified = phrase.token(word + 2).key == "."
            yield plain(phrase.token(word + 3 if is_qualified else word + 1).text)


def is_foreign_key(phrase: Phrase, item: Item) -> bool:
    """Whether an item is a foreign key."""
    first, last = item
    return phrase.token(first).key == "CONSTRAINT" and "FOREIGN" in (
        phrase.token(word).key for word in range(first, min(first + 4, last))
    )


def _items(phrase: Phrase, end: int) -> Iterator[Item]:
    first, depth = phrase.at + 1, 0
    for word in range(first, end):
        key = phrase.token(word).key
        depth += {"(": 1, ")": -1}.get(key, 0)
        if key == "," and not depth:
            yield first, word - 1
            first = word + 1
    yield first, end - 1


def _is_exact(phrase: Phrase, items: list[Item], end: int) -> bool:
    """Whether the table is equal if its keys are added later."""
    words = {phrase.token(word).key for word in range(phrase.at, end)}
    if words & NOT_LATER or any(each.kind == "open" for each in phrase.tokens):
        return False
    primary = next((first for first, _last in items if phrase.token(first).key == "PRIMARY"), None)
    if primary is None:  # another key determines the storage order of the rows
        return False
    functional = any(
        phrase.token(word).key == phrase.token(word + 1).key == "("
        for first, last in items
        if phrase.token(first).key in KEYS
        for word in range(first, last)
    )
    counted = [
        plain(phrase.token(first).text)
        for first, last in items
        if "AUTO_INCREMENT" in (phrase.token(word).key for word in range(first, last + 1))
    ]
    # PRIMARY KEY (`id`, …
    return not functional and (not counted or counted == [plain(phrase.token(primary + 3).text)])
