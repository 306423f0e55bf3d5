"""Reads the words of one statement in order, and writes it again without some of them."""

from __future__ import annotations

from collections.abc import Iterator

from .lexer import Token, plain, tokens

SILENT = ("space", "comment", "open", "close")
"""Kinds of tokens that are ignored when a statement is read."""


class Unexpected(Exception):
    """The statement was not written by a dump program."""


class Foreign(Unexpected):
    """The statement names a database."""


class Phrase:
    """One statement, with a current position.

    :param source: the dumped database; its name is removed from qualified names.
    """

    def __init__(self, statement: bytes, *, source: str = "", is_escaped: bool = True) -> None:
        self.tokens = list(tokens(statement, is_escaped=is_escaped))
        self.source = source
        self.words = [at for at, each in enumerate(self.tokens) if each.kind not in SILENT]
        """Positions of the significant tokens."""
        self.at = 0
        """The current position among them."""
        self._replaced: dict[int, bytes] = {}
        self._qualifiers: set[int] = set()

    # -- reading ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.words)

    def token(self, word: int) -> Token:
        """Return one of the words; an empty one after the end."""
        return self.tokens[self.words[word]] if 0 <= word < len(self.words) else Token("sign", b"")

    def key(self, ahead: int = 0) -> str:
        """Return the comparison key of the next word, or of a later one."""
        return self.token(self.at + ahead).key

    def accept(self, *keys: str) -> bool:
        """Read these words, if they come next."""
        if any(self.key(ahead) != key for ahead, key in enumerate(keys)):
            return False
        self.at += len(keys)
        return True

    def expect(self, *keys: str) -> None:
        """Read these words.

        :raises Unexpected: other words come next.
        """
        if not self.accept(*keys):
            raise Unexpected

    def name(self) -> str:
        """Read the name of an object of the dumped database.

        :raises Foreign: it belongs to another database.
        :raises Unexpected: the next word is not a name.
        """
        name = self._name()
        if self.accept("."):
            if name != self.source:
                raise Foreign
            self.unqualify(self.at - 2)
            name = self._name()
        if self.key() == ".":
            raise Foreign
        return name

    def _name(self) -> str:
        token = self.token(self.at)
        is_name = token.kind in ("name", "word") or (token.kind == "string" and token.text.startswith(b'"'))
        if not is_name:
            raise Unexpected
        self.at += 1
        return plain(token.text)

    def end(self) -> None:
        """Check that this is the end.

        :raises Unexpected: more words follow.
        """
        if self.at != len(self.words):
            raise Unexpected

    def keys(self) -> Iterator[str]:
        """Give the comparison keys of all remaining words."""
        return (self.token(word).key for word in range(self.at, len(self.words)))

    def closing(self, word: int) -> int:
        """Return the position of the parenthesis that closes this one.

        :raises Unexpected: it is missing.
        """
        depth = 0
        for at in range(word, len(self.words)):
            depth += {"(": 1, ")": -1}.get(self.token(at).key, 0)
            if not depth:
                return at
        raise Unexpected

    def text(self, first: int, last: int) -> bytes:
        """Return the text of some words as it will be written."""
        return self._written(self.words[first], self.words[last] + 1)

    # -- writing ------------------------------------------------------------------------------------------------------

    def leave_out(self, first: int, last: int) -> None:
        """Omit the words from ``first`` to ``last``."""
        for word in range(first, last + 1):
            self._replaced[self.words[word]] = b""

    def unqualify(self, word: int) -> None:
        """Omit this word, a database name, and the dot after it."""
        self._qualifiers |= {self.words[word], self.words[word + 1]}

    def is_left_out(self, word: int) -> bool:
        """Whether a word is omitted."""
        place = self.words[word]
        return place in self._qualifiers or self._replaced.get(place) == b""

    def replace(self, word: int, text: bytes) -> None:
        """Write another text for one word."""
        self._replaced[self.words[word]] = text

    def written(self) -> bytes:
        """Return the statement without comments and omitted words.

        :raises Unexpected: a versioned comment is unbalanced, or there are several statements.
        """
        depth = 0
        for each in self.tokens:
            depth += (each.kind == "open") - (each.kind == "close")
            if depth not in (0, 1) or each.text in (b";", b"'", b'"', b"`", b"\\"):
                raise Unexpected
        if depth:
            raise Unexpected
        return self._written(0, len(self.tokens)).strip()

    def unwrapped(self, word: int, *, is_qualified: bool = False) -> bytes:
        """Return the statement without the versioned comments around its parts.

        Dump programs wrap whole definitions in them. If this word is outside of one, the statement must not contain
        any before it, and is returned unchanged; comments inside a body always stay.

        :param is_qualified: keep the name of the dumped database.
        """
        place, depth = self.words[word], 0
        is_wrapped = _depth(self.tokens[:place]) > 0
        if sum(each.kind == "open" for each in self.tokens[:place]) != sum(
            each.kind == "close" for each in self.tokens[:place]
        ) + int(is_wrapped) or (not is_wrapped and any(each.kind == "open" for each in self.tokens[:place])):
            raise Unexpected
        text = []
        for at, each in enumerate(self.tokens):
            is_outer = (each.kind == "close" and depth == 1) or (each.kind == "open" and depth == 0)
            depth += (each.kind == "open") - (each.kind == "close")
            if not (is_wrapped and is_outer) and (is_qualified or at not in self._qualifiers):
                text.append(self._replaced.get(at, each.text))
        return b"".join(text).strip()

    def _written(self, first: int, last: int) -> bytes:
        return b"".join(
            b" " if each.kind == "comment" else self._replaced.get(at, each.text)
            for at, each in enumerate(self.tokens[first:last], first)
            if at not in self._qualifiers
        )


def _depth(some: list[Token]) -> int:
    return sum((each.kind == "open") - (each.kind == "close") for each in some)
