"""``BACKUP_BEFORE_MIGRATE``: backs up a database before ``migrate`` changes it, and aborts the migration on failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import mail
from django.core.management.base import CommandError
from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.recorder import MigrationRecorder
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import api, wording
from .conf import get_settings
from .exceptions import BackupError

NAMED = 2
"""How many migrations the label of the backup names."""
LABEL_CHARACTERS = 200

Plan = Sequence[tuple[Migration, bool]]
"""The plan of ``migrate``: migrations, each with whether it is reversed."""

_backed_up: set[str] = set()
"""The aliases that this process has already backed up before a migration."""


def back_up(*, using: str, plan: Plan, verbosity: int = 1, stdout: Any = None, **kwargs: Any) -> None:
    """Back up when ``pre_migrate`` is received.

    ``migrate --plan`` and ``migrate --check`` do not send it, and an empty plan changes nothing.

    :raises CommandError: the backup failed, so the migration must not begin.
    """
    if not plan or using in _backed_up or _is_test_run() or not get_settings().backup_before_migrate:
        return
    if using not in api.all_databases() or _is_empty(using):
        return
    from .management.base import origin  # imported late: a site starts faster without it

    say = stdout.write if stdout and verbosity else _say_nothing
    say(_("Backing up “%(database)s” before it is migrated.") % {"database": using})
    try:
        run = api.backup_database(using, label=label(plan), origin=origin())
    except BackupError as error:
        sentence, hint = wording.describe(error)
        text = _("Nothing was migrated, because the backup before it failed: %(sentence)s\nHint: %(hint)s")
        raise CommandError(text % {"sentence": sentence, "hint": hint}, returncode=error.exit_code) from error
    _backed_up.add(using)
    say(run.message)


def label(plan: Plan) -> str:
    """Return the label of a backup that is made before these migrations."""
    names = [f"{migration.app_label}.{migration.name}" for migration, _is_back in plan]
    found = _("before migrate: %(names)s") % {"names": ", ".join(names[:NAMED])}
    if more := len(names) - NAMED if len(names) > NAMED else 0:
        found += ngettext(", and %(count)d more", ", and %(count)d more", more) % {"count": more}
    return found if len(found) <= LABEL_CHARACTERS else f"{found[: LABEL_CHARACTERS - 1]}…"


def _is_test_run() -> bool:
    """Whether Django's test environment is set up: then test databases are migrated."""
    return hasattr(mail, "outbox")


def _is_empty(alias: str) -> bool:
    """Whether the database is still empty, so that a first migration is about to create every table."""
    connection = connections[alias]
    if MigrationRecorder(connection).applied_migrations():
        return False
    if connection.introspection.django_table_names(only_existing=True):
        return False
    # PostGIS and SpatiaLite create tables of their own.
    features: Any = connection.features
    return features.gis_enabled or not connection.introspection.table_names()


def _say_nothing(text: str) -> None:
    pass
