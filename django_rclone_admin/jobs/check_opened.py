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
from .check_stored import refuse_other_rows, shown
from .checking import FAILURES, Check
from .facts import ask
from .opening import opened_in


def check_opened(check: Check) -> None:
    """Open the backup and check it up to the requested level."""
    if not check.begin(Level.RESTORE):
        return
    connector = get_connector(check.backup.database)
    with ExitStack() as stack:
        alias = _open(check, connector, stack)
        check.job.stage(_("Counting rows"))
        try:
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


def _open(check: Check, connector: Connector, stack: ExitStack) -> str:
    """Open the backup until the stack is closed, and return its alias.

    :raises NotChecked: opened backups are not possible here.
    :raises CheckFailed: it can't be restored.
    """
    # Its bytes and its structure have passed by now, whatever an earlier check found.
    state = State.COMPLETE if check.backup.manifest else State.LEGACY
    backup = dataclasses.replace(check.backup, state=state)
    for is_last in (False, True):
        try:
            return stack.enter_context(opened_in(check.job, backup)).alias
        except (RestoreRefused, UsageError) as error:
            raise _not_here(error) from error
        except ProgramMissing:
            raise
        except (ProgramFailed, DatabaseError, *FAILURES) as error:
            check.job.control.raise_if_stopped()
            if not isinstance(error, FAILURES) and _says_nothing(connector, error):
                raise _not_here(error) from error
            if is_last:
                reason = " ".join(str(error).split())
                raise CheckFailed(gettext_noop("It can't be restored: %(reason)s"), reason=reason) from error
            check.job.note(_("Restoring it again, for it failed: %(error)s") % {"error": error})
    raise AssertionError


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
            gettext_noop("%(count)d tables are missing after the restore: %(names)s."),
            count=len(lacking),
            names=shown(lacking),
        )
    check.tables = {
        name: {"expected": counted.get(name), "found": rows} for name, rows in sorted(found.items())
    }
    refuse_other_rows(counted, dict(found))
    if broken := connector.broken(alias):
        raise CheckFailed(
            gettext_noop("%(count)d constraints are violated: %(names)s."),
            hint=gettext_noop("The live data may break them, too. Correct it there, and make a new backup."),
            count=len(broken),
            names=shown(broken),
        )
