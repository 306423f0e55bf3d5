"""Decides what each statement of a dump may do. Statements that no dump program writes are refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .columns import Default, take_defaults
from .late_keys import LateKeys, referenced_tables, take_late_keys
from .lexer import plain
from .phrase import Foreign, Phrase, Unexpected
from .session import NotForUs, Session
from .statements import Insert
from .written import KINDS, Written, read_definition

FAR_ENGINES = frozenset(
    {"CONNECT", "FEDERATED", "FEDERATEDX", "MERGE", "MRG_ISAM", "MRG_MYISAM", "SPIDER", "S3"}
)
"""Engines whose tables store their rows elsewhere; no dump contains rows for them."""
NOT_IN_TABLES = frozenset({"SELECT", "LOAD_FILE", "OUTFILE", "DUMPFILE", "INFILE"})
ROCKSDB = re.compile(rb"@rocksdb_\w+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that the dump creates."""

    name: str
    engine: str = ""
    is_versioned: bool = False


class Vetter:
    """Checks each statement, and keeps track of the objects that the statements have created.

    :param left_out: tables whose statements are not executed.
    :param is_empty_before: the schema is empty, so keys may be added after the rows: ``late_keys``, for the caller.
    """

    def __init__(self, *, left_out: Collection[str] = (), is_empty_before: bool = False) -> None:
        self.source = ""
        """The dumped database, from the head of the dump."""
        self.session = Session()
        self.tables: dict[str, Table] = {}
        self.sequences: set[str] = set()
        self.definitions: dict[tuple[str, str], Written] = {}
        self.defaults: list[Default] = []
        self.late_keys: dict[str, LateKeys] = {}
        """Keys that the caller must add to tables after all rows were loaded."""
        self._has_late_keys = is_empty_before
        self._needed: set[str] = set()
        """Tables that need their keys at once: a foreign key that does not come later points at them."""
        self._left_out = frozenset(left_out)
        self._has_rocksdb = False
        self._verbs: dict[str, Callable[[Phrase], bytes]] = {
            "SET": lambda phrase: self.session.set([phrase.token(at) for at in range(len(phrase))]),
            "CREATE": self._create,
            "DROP": self._drop,
            "ALTER": self._alter,
            "LOCK": self._lock,
            "UNLOCK": self._unlock,
            "COMMIT": lambda phrase: b"COMMIT",
            "ANALYZE": self._analyze,
            "DO": self._set_sequence,
            "SELECT": self._set_sequence,
        }

    def statement(self, text: bytes) -> bytes:
        """Return what the server should execute for one statement without rows; may be empty.

        :raises Unexpected: no dump program writes this statement.
        """
        if ROCKSDB.search(text):
            self._has_rocksdb = True
            return b""
        phrase = Phrase(text, source=self.source, is_escaped=self.session.is_escaped)
        verb = phrase.key()
        if not len(phrase) or (self._has_rocksdb and verb in ("EXECUTE", "DEALLOCATE")):
            return b""
        if verb == "USE":
            raise Foreign
        if verb not in self._verbs:
            raise Unexpected
        try:
            passed_on = self._verbs[verb](phrase)
        except NotForUs as error:
            raise Unexpected from error
        if passed_on and verb != "SET" and not self.session.is_plain:
            raise Unexpected
        version = phrase.tokens[0].text if phrase.tokens[0].kind == "open" else b""
        return b"%b %b */" % (version, passed_on) if passed_on and verb == "SET" and version else passed_on

    def insert(self, part: Insert) -> bytes:
        """Return the beginning of a statement with rows; empty when its rows are not loaded.

        :raises Unexpected: rows are not allowed at this point.
        """
        name = plain(part.table)
        if not self.session.is_plain:
            raise Unexpected
        table = self.tables.get(name)
        if name in self._left_out:
            return b""
        if table is None or table.engine in FAR_ENGINES:
            raise Unexpected
        return part.text

    # -- statements
    # -----------------------------------------------------------------------------------------------------

    def _create(self, phrase: Phrase) -> bytes:
        ahead = 3 if phrase.key(1) == "OR" else 1
        kind = phrase.key(ahead)
        if kind in ("DATABASE", "SCHEMA"):
            raise Foreign
        if kind in ("TABLE", "SEQUENCE"):
            phrase.at += ahead + 1
            phrase.accept("IF", "NOT", "EXISTS")
            return self._table(phrase) if kind == "TABLE" else self._sequence(phrase)
        definition = read_definition(phrase, self.session)
        if definition.table not in self._left_out:
            self.definitions[definition.kind, definition.name] = definition
        return b""

    def _table(self, phrase: Phrase) -> bytes:
        name = phrase.name()
        if phrase.key() != "(" or NOT_IN_TABLES & set(phrase.keys()):
            raise Unexpected
        columns = phrase.closing(phrase.at)
        defaults = [*take_defaults(phrase, name, columns)]
        _only_here(phrase)
        after = [phrase.token(word).key for word in range(columns + 1, len(phrase))]
        if {"AS", "TABLE", "VALUES"} & set(
            after[: after.index("PARTITION")] if "PARTITION" in after else after
        ):
            raise Unexpected
        at = after.index("ENGINE") + 1 if "ENGINE" in after else len(after)
        engine = next((each for each in after[at:] if each != "="), "")
        self.tables[name] = Table(
            name=name, engine=engine, is_versioned="SYSTEM VERSIONING" in " ".join(after)
        )
        if name in self._left_out:
            return b""
        self.defaults += defaults
        # The session that adds the keys later uses UTF-8.
        is_plain = engine == "INNODB" and self.session.character_set_client.startswith("utf8")
        is_plain &= not self.tables[name].is_versioned and "PARTITION" not in after
        return self._keys_first(phrase, name, columns, may_wait=is_plain) + phrase.written()

    def _keys_first(self, phrase: Phrase, name: str, end: int, *, may_wait: bool) -> bytes:
        """Take the keys of a table for later, or return the statements that must come before the table."""
        if not self._has_late_keys:
            return b""
        if may_wait and name not in self._needed and (late := take_late_keys(phrase, name, end)):
            self.late_keys[name] = late
            return b""
        needed = {*referenced_tables(phrase, end)}
        self._needed |= needed
        known = [self.late_keys[each] for each in sorted(needed & self.late_keys.keys())]
        for each in known:
            self.late_keys[each.table] = dataclasses.replace(each, keys=())
        return b"".join(each.addition(each.keys) for each in known)

    def _sequence(self, phrase: Phrase) -> bytes:
        self.sequences.add(name := phrase.name())
        if any(
            each.kind not in ("word", "number", "sign")
            for each in phrase.tokens[phrase.words[phrase.at] :]
            if each.kind != "space"
        ):
            raise Unexpected
        _only_here(phrase)
        return phrase.written() if name not in self._left_out else b""

    def _drop(self, phrase: Phrase) -> bytes:
        phrase.expect("DROP")
        kind = phrase.key()
        if kind in ("DATABASE", "SCHEMA"):
            raise Foreign
        if kind in KINDS:
            return b""  # each object is dropped right before it is created
        if kind not in ("TABLE", "SEQUENCE"):
            raise Unexpected
        phrase.at += 1
        phrase.accept("IF", "EXISTS")
        name = phrase.name()
        phrase.end()
        self.late_keys.pop(name, None)
        self.tables.pop(name, None)  # the placeholder of a view
        return phrase.written() if name not in self._left_out else b""

    def _alter(self, phrase: Phrase) -> bytes:
        phrase.expect("ALTER")
        if phrase.key() in ("DATABASE", "SCHEMA"):
            return b""  # around a definition, which stores its own collation
        phrase.expect("TABLE")
        name = phrase.name()
        if phrase.key() not in ("ENABLE", "DISABLE", "ADD", "MODIFY"):
            raise Unexpected
        if (NOT_IN_TABLES | {"RENAME", "EXCHANGE", "DISCARD", "IMPORT"}) & set(phrase.keys()):
            raise Unexpected
        _only_here(phrase)
        return phrase.written() if name not in self._left_out else b""

    def _lock(self, phrase: Phrase) -> bytes:
        if not (phrase.accept("LOCK", "TABLES") or phrase.accept("LOCK", "TABLE")):
            raise Unexpected
        name = phrase.name()
        phrase.expect("WRITE")
        phrase.end()
        return phrase.written() if name not in self._left_out else b""

    def _unlock(self, phrase: Phrase) -> bytes:
        phrase.expect("UNLOCK", "TABLES")
        phrase.end()
        return b"UNLOCK TABLES"

    def _analyze(self, phrase: Phrase) -> bytes:
        phrase.expect("ANALYZE", "TABLE")
        phrase.name()
        phrase.expect("UPDATE", "HISTOGRAM", "ON")
        _only_here(phrase)
        return phrase.written()

    def _set_sequence(self, phrase: Phrase) -> bytes:
        phrase.at += 1
        phrase.expect("SETVAL", "(")
        name = phrase.name()
        for _value in range(2):
            phrase.expect(",")
            phrase.accept("-")
            if phrase.token(phrase.at).kind != "number":
                raise Unexpected
            phrase.at += 1
        phrase.expect(")")
        phrase.end()
        return phrase.written() if name not in self._left_out else b""


def _only_here(phrase: Phrase) -> None:
    """Refuse names qualified with a database; the name of the dumped one is removed.

    A foreign key may point into another database: that changes nothing there.
    """
    for word in range(phrase.at, len(phrase) - 2):
        first, dot, second = (phrase.token(word + ahead) for ahead in range(3))
        if dot.key != "." or second.kind not in ("name", "word") or phrase.is_left_out(word):
            continue
        if plain(first.text) == phrase.source:
            phrase.unqualify(word)
        elif phrase.token(word - 1).key != "REFERENCES":
            raise Foreign
