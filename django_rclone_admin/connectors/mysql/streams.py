"""Runs the client program: as a sink for dumps, and on scripts of our own."""

from __future__ import annotations

import tempfile
import threading
import uuid
from typing import IO

from ...core.command import Command
from ...core.control import Control
from ...core.process import Process
from ...core.programs import Completed
from ...core.transfer import CommandSink
from ...exceptions import ProgramFailed, gettext_noop

PROLOGUE = b"""\
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0, unique_checks = 0, sql_notes = 0;
/*M!100301 SET SESSION innodb_strict_mode = 0, check_constraint_checks = 0, max_statement_time = 0 */;
"""
"""Session settings for a load. The server must accept the tables and rows that it held, whatever its current rules."""


class LoaderSink(CommandSink):
    """The input of the client program; it succeeded if the program executed our last statement.

    Some arguments make the program exit with 0 without reading its input.
    """

    def __init__(self, command: Command, control: Control | None = None) -> None:
        self._mark = f"dra_{uuid.uuid4().hex}"
        epilogue = f"\nSELECT '{self._mark}';\n".encode()
        super().__init__(command, prologue=PROLOGUE, epilogue=epilogue, control=control)

    def commit(self) -> None:
        super().commit()
        if self._mark not in self.output:
            raise ProgramFailed(
                gettext_noop("%(program)s ended well, but has not carried out the whole backup."),
                hint=gettext_noop("Nothing was changed. Look at RESTORE_ARGS in CONNECTOR_OPTIONS."),
                program=self.command.name,
            )

    def _listen(self, pipe: IO[bytes]) -> None:
        while chunk := pipe.read(65536):  # only the end matters
            self._said = [*self._said[-1:], chunk]


def run_script(command: Command, script: bytes) -> tuple[Completed, BaseException | None]:
    """Run a client program on a script to its end; also return an exception that interrupted the wait.

    Its input is a file, not a pipe from us: if this process were killed, a pipe might end in the middle of a statement,
    and the program would execute the first half. From a file, it completes the script without us.
    """
    done: list[Completed] = []
    errors: list[BaseException] = []

    def carry_out() -> None:
        try:
            done.append(_carried_out(command, script))
        except Exception as error:  # noqa: BLE001  (raised below, in the thread that waits)
            errors.append(error)
        finally:
            is_over.set()

    is_over = threading.Event()
    threading.Thread(target=carry_out, daemon=True).start()
    interruption: BaseException | None = None
    while not is_over.is_set():  # an interrupted join marks the thread as ended
        try:
            is_over.wait()
        except BaseException as error:  # noqa: BLE001  (half of the script may be executed: wait for its end)
            interruption = error
    if errors:
        raise errors[0]
    return done[0], interruption


def _carried_out(command: Command, script: bytes) -> Completed:
    with tempfile.TemporaryFile() as file:
        file.write(script)
        file.seek(0)
        process = Process(command, stdin=file, stdout=True)
        try:
            output = process.stdout.read()
            status = process.wait()
        finally:
            process.close()
    return Completed(command=command, status=status, output=output, errors=process.errors)
