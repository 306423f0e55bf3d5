"""The SQL text that mysqldump and mariadb-dump write: known to be whole by its last line, and fit for another schema."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from ...core.command import Command
from ...core.process import Process
from ...core.programs import Completed
from ...core.transfer import CommandSink, CommandSource
from ...exceptions import ProgramFailed, WrongFormat, gettext_noop

END = b"-- Dump completed"
"""Begins the last line; both programs write it only after everything else succeeded."""
HEAD = re.compile(rb"\s*(/\*M?!\d+\\- [^\n]*\n)?\s*-- (MySQL|MariaDB) dump ")
"""The first words, behind the line by which newer ones of MariaDB switch their client into its sandbox mode."""
SANDBOX = re.compile(rb"\s*/\*M?!\d+\\- [^\n]*\n")
"""That line: MySQL's own client takes it for a command that it does not know."""
LINE_BYTES = 1 << 16
"""How much of a line is waited for before it is judged; only lines of data are longer."""
TAIL_BYTES = 256

FOREIGN = re.compile(rb"^(?:/\*!\d+ )?(?:USE `|CREATE DATABASE |DROP DATABASE )", re.MULTILINE)
"""Statements that leave the schema into which the text is to be loaded."""
TABLE = re.compile(rb"^(?:/\*!50001 )?CREATE (?:TABLE|SEQUENCE|VIEW) (`(?:[^`]|``)+`)", re.MULTILINE)
EVENT = re.compile(
    rb"^(/\*!50106 CREATE\*/ .*?EVENT (`(?:[^`]|``)+`) ON SCHEDULE .*? ON COMPLETION (?:NOT )?PRESERVE) ENABLE\b",
    re.MULTILINE,
)
STATEMENT = (
    rb"^((?:/\*!\d+ )?(?:DROP TABLE IF EXISTS|CREATE TABLE(?: IF NOT EXISTS)?|LOCK TABLES|ALTER TABLE|INSERT(?: IGNORE)? INTO"
    rb"|REPLACE INTO) )%b"
)
"""The beginning of the lines that are about one table."""
ENABLED = re.compile(r"( ON COMPLETION (?:NOT )?PRESERVE) (?:ENABLE|DISABLE)\b")


class DumpText:
    """A stage that lets the text of a dump through, and looks at where its lines begin.

    :param renamed: tables that get another name, with all statements about them.
    :param silence_events: have the events created disabled, so that none of them works on rows that are not live yet.
    """

    def __init__(self, *, silence_events: bool = False, renamed: Mapping[str, str] | None = None) -> None:
        self.tables: set[str] = set()
        """Names of the tables and views that it creates."""
        self.enabled_events: set[str] = set()
        """Names of the events that it would have created enabled."""
        self._silence_events = silence_events
        self._renamed = {
            re.compile(STATEMENT % re.escape(_quoted(old)), re.MULTILINE): rb"\1" + _quoted(new)
            for old, new in (renamed or {}).items()
        }
        self._rest = b""
        self._tail = b""
        self._is_inside_line = False
        self._is_first = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Let some of the text through.

        :raises WrongFormat: it names a schema by itself.
        """
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        if self._is_inside_line:
            end = data.find(b"\n") + 1
            if not end:
                yield data
                return
            yield data[:end]
            data, self._is_inside_line = data[end:], False
        text = self._rest + data
        cut = text.rfind(b"\n") + 1
        if len(text) - cut > LINE_BYTES:
            cut, self._is_inside_line = len(text), True
        text, self._rest = text[:cut], text[cut:]
        if text:
            yield self._judged(text)

    def finish(self) -> bytes:
        """Return what is left.

        :raises WrongFormat: the text does not end as a whole dump does.
        """
        if not is_whole(self._tail):
            raise WrongFormat(
                gettext_noop(
                    "The backup is cut off: it does not end with the line of mysqldump that says it is complete."
                ),
                hint=gettext_noop("Nothing was changed. Choose another backup."),
            )
        return self._judged(self._rest)

    def _judged(self, text: bytes) -> bytes:
        if self._is_first and text:
            text, self._is_first = text[found.end() :] if (found := SANDBOX.match(text)) else text, False
        if FOREIGN.search(text):
            raise WrongFormat(
                gettext_noop("The dump names its own target database."),
                hint=gettext_noop(
                    "Nothing was changed. It was made with --databases; load it with the client program."
                ),
            )
        for pattern, replacement in self._renamed.items():
            text = pattern.sub(replacement, text)
        self.tables.update(_plain(name) for name in TABLE.findall(text))
        return EVENT.sub(self._silenced, text) if self._silence_events else text

    def _silenced(self, match: re.Match[bytes]) -> bytes:
        self.enabled_events.add(_plain(match[2]))
        return match[1] + b" DISABLE"


class LoaderSink(CommandSink):
    """The input of the client program; it has succeeded when it has carried out the last statement, which is ours.

    Some arguments make it end well without having read anything.
    """

    def __init__(self, command: Command) -> None:
        self._mark = f"dra_{uuid.uuid4().hex}"
        super().__init__(command, epilogue=f"\nSELECT '{self._mark}';\n".encode())

    def commit(self) -> None:
        super().commit()
        if self._mark not in self.output:
            raise ProgramFailed(
                gettext_noop("%(program)s ended well, but has not carried out the whole backup."),
                hint=gettext_noop("Nothing was changed. Look at RESTORE_ARGS in CONNECTOR_OPTIONS."),
                program=self.command.name,
            )

    def _listen(self, pipe: IO[bytes]) -> None:
        while chunk := pipe.read(65536):  # only its end matters
            self._said = [*self._said[-1:], chunk]


class DumpSource:
    """What several dump programs write, one after the other; each has to succeed and to end as a whole dump does."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._sources = [CommandSource(each) for each in commands]
        self._position = 0
        self._tail = b""
        self._aborted = False

    def open(self) -> None:
        self._sources[0].open()

    def read(self) -> bytes:
        while not self._aborted:
            source = self._sources[self._position]
            if data := source.read():
                self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
                return data
            self.finish()
            if self._position + 1 == len(self._sources):
                break
            source.close()
            self._position += 1
            self._sources[self._position].open()
        return b""

    def finish(self) -> None:
        source = self._sources[self._position]
        source.finish()
        if not is_whole(self._tail):
            raise ProgramFailed(
                gettext_noop("%(program)s ended without the line that says its dump is complete."),
                hint=gettext_noop("Nothing was stored. Take --compact and --skip-comments out of DUMP_ARGS."),
                program=source.command.name,
            )

    def abort(self) -> None:
        self._aborted = True
        self._sources[self._position].abort()

    def close(self) -> None:
        self._sources[self._position].close()


def is_whole(tail: bytes) -> bool:
    """Whether the end of a text is that of a whole dump."""
    lines = tail.rstrip().rsplit(b"\n", 1)
    return tail.endswith(b"\n") and lines[-1].startswith(END)


def enable(statement: str, *, is_enabled: bool) -> str:
    """Return the statement that creates an event with its switch in the right position."""
    return ENABLED.sub(rf"\1 {'ENABLE' if is_enabled else 'DISABLE'}", statement, count=1)


def run_script(command: Command, script: str) -> Completed:
    """Run a client program on a script of statements.

    Its input is a file and not a pipe from us: were we killed, a pipe might end in the middle of a statement, and the
    program would carry out the first half of it. So it comes to the end of the script without us.
    """
    with tempfile.TemporaryFile() as file:
        file.write(script.encode())
        file.seek(0)
        process = Process(command, stdin=file, stdout=True)
        try:
            output = process.stdout.read()
            status = process.wait()
        finally:
            process.close()
    return Completed(command=command, status=status, output=output, errors=process.errors)


def _quoted(name: str) -> bytes:
    return b"`" + name.replace("`", "``").encode() + b"`"


def _plain(name: bytes) -> str:
    return name[1:-1].replace(b"``", b"`").decode()
