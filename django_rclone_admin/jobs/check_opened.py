"""Checks a backup by opening it: its rows, its constraints, and reading it with the site's models."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack

from django.db import DatabaseError
from django.utils.translation import gettext as _

from ..connectors.base import Connector
from ..connectors.registry import get_connector
from ..core.check_marks import Level
from ..core.states import State
from ..exceptions import (
    BackupError,
    CheckFailed,
    NotChecked,
    ProgramFailed,
    ProgramMissing,
    RestoreRefused,
    UsageError,
    gettext_noop,
)
from .check_site import check_site
from .check_stored import Examination, refuse_other_rows, shown
from .checking import FAILURES, Check
from .connections import interruptible
from .facts import ask
from .opening import Stream, opened_in

ATTEMPTS = 2
"""How often a backup is restored before a failure counts."""
EXPECTED = (RestoreRefused, UsageError, ProgramMissing, ProgramFailed, DatabaseError, *FAILURES)
"""Errors of opening a backup that are results of the check. All others interrupt it."""


def check_opened(check: Check, opening: Opening) -> None:
    """Check the opened backup up to the requested level."""
    if not check.begin(Level.RESTORE):
        return
    connector = get_connector(check.backup.database)
    alias = opening.finish(connector)
    check.job.stage(_("Counting rows"))
    try:
        with interruptible(check.job.control, alias, may_go_on=False):
            _compare(check, connector, alias)
            check.passed()
            if check.begin(Level.SITE):
                check.job.stage(_("Reading with the models of the site"))
                check_site(check, connector, alias)
                check.passed()
    except DatabaseError as error:
        check.job.control.raise_if_stopped()
        raise CheckFailed(
            gettext_noop("A query on the restored data failed: %(reason)s"),
            reason=" ".join(str(error).split()),
        ) from error


class Opening:
    """Opens the backup of a check, while it is examined if possible, and closes it at the end of the block."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._stack = ExitStack()
        self._alias = ""
        self._errors: list[Exception] = []
        """Why it could not be opened, an error for each attempt."""

    def __enter__(self) -> Opening:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def beside(self, examination: Examination) -> None:
        """Open the backup while it is examined.

        :raises BackupError: the examination failed. Whether the backup could be opened is told by :meth:`finish`.
        """
        check = self._check
        try:
            self._open(examination.read)
        except EXPECTED as error:
            check.job.control.raise_if_stopped()
            if check.proven is Level.STRUCTURE:
                self._errors.append(error)
            elif isinstance(error, FAILURES):
                raise
        if check.proven is not Level.STRUCTURE:  # the loader has ended it; another attempt will tell why
            examination.read()

    def finish(self, connector: Connector) -> str:
        """Return the alias of the opened backup; a failed restore is repeated once.

        :raises NotChecked: opened backups are not possible here.
        :raises CheckFailed: it can't be restored.
        """
        while not self._alias:
            if self._errors:
                self._judge(connector, self._errors[-1])
            try:
                self._open()
            except EXPECTED as error:
                self._check.job.control.raise_if_stopped()
                self._errors.append(error)
        return self._alias

    def _open(self, stream: Stream | None = None) -> None:
        # What an earlier check has found does not matter: the levels below pass before it is complete.
        state = State.COMPLETE if self._check.backup.manifest else State.LEGACY
        backup = dataclasses.replace(self._check.backup, state=state)
        self._alias = self._stack.enter_context(opened_in(self._check.job, backup, stream)).alias

    def _judge(self, connector: Connector, error: Exception) -> None:
        """Return if another attempt makes sense after an error."""
        if isinstance(error, ProgramMissing):
            raise error
        is_impossible = isinstance(error, RestoreRefused | UsageError)
        if is_impossible or (not isinstance(error, FAILURES) and _says_nothing(connector, error)):
            raise _not_here(error) from error
        if len(self._errors) == ATTEMPTS:
            reason = " ".join(str(error).split())
            raise CheckFailed(gettext_noop("It can't be restored: %(reason)s"), reason=reason) from error
        self._check.job.note(_("Restoring it again, for it failed: %(error)s") % {"error": error})


def _says_nothing(connector: Connector, error: Exception) -> bool:
    """Whether a failed restore is caused by the server, not by the backup."""
    was_killed = isinstance(error, BackupError) and "signal" in error.params
    if was_killed or connector.is_trouble_of_server(error):
        return True
    try:
        ask(connector)
    except BackupError:  # it was deleted meanwhile
        return True
    return False


def _not_here(error: Exception) -> NotChecked:
    hint = error.hint if isinstance(error, BackupError) else ""
    return NotChecked(
        gettext_noop("It can't be opened here: %(reason)s"),
        hint=hint.replace("%", "%%"),
        reason=" ".join(str(error).split()),
    )


def _compare(check: Check, connector: Connector, alias: str) -> None:
    """Compare the restored data with what was read before.

    :raises BackupDamaged: rows are missing.
    :raises CheckFailed: a table is missing, or a constraint is violated.
    """
    found = connector.count_rows(alias)
    counted = {name: rows for name, rows in check.rows.items() if rows is not None}
    manifest = check.backup.manifest
    wanted = set(manifest.tables) if manifest else counted.keys() - {*connector.history_tables}
    if lacking := sorted(wanted - found.keys()):
        raise CheckFailed(
            gettext_noop("Tables missing after the restore: %(names)s."),
            names=shown(lacking),
        )
    check.tables = {
        name: {"expected": counted.get(name), "found": rows} for name, rows in sorted(found.items())
    }
    refuse_other_rows(counted, dict(found))
    if broken := connector.broken(alias):
        raise CheckFailed(
            gettext_noop("Violated constraints: %(names)s."),
            hint=gettext_noop("The live data may break them, too. Correct it there, and make a new backup."),
            names=shown(broken),
        )
