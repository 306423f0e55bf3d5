"""Repairs the tables of this app and their rows in ``django_migrations`` after a restore."""

from __future__ import annotations

from django.db import connections, router
from django.db.migrations.recorder import MigrationRecorder

from ..models.runs import BackupRun
from ..models.schedules import BackupSchedule
from ..models.staying import STAYING
from .history import APP, database
from .migrations import own_names


def repair(alias: str) -> None:
    """Create our tables if they are missing, and record them in ``django_migrations``.

    A backup never contains the history, and may be older than this app; ``migrate`` must work in both cases.
    """
    connection = connections[alias]
    recorder = MigrationRecorder(connection)
    recorded = {name for app, name in recorder.applied_migrations() if app == APP}
    if alias != database() and not recorded:
        return
    if not router.allow_migrate_model(alias, BackupRun):
        return
    there = set(connection.introspection.table_names())
    for model in (*STAYING, BackupSchedule):
        if model._meta.db_table not in there:
            with connection.schema_editor() as editor:
                editor.create_model(model)
    recorder.ensure_schema()
    for name in sorted(set(own_names()) - recorded):
        recorder.record_applied(APP, name)
