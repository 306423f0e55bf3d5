"""Compares the contents of an opened backup with the live database."""

from __future__ import annotations

from dataclasses import dataclass

from django.apps import apps
from django.db import DatabaseError

from ..connectors.registry import get_connector
from ..exceptions import BackupError
from ..models.opened import OpenedBackup
from .aliases import register
from .migrations import Code, applied
from .opening import find_places

SECONDS = 10
"""Time limit for counting live rows; the remaining tables are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDifference:
    """One table, then and now."""

    name: str
    label: str
    """The name of the table's model; the name of the table if it has none."""
    has_model: bool
    then: int | None
    """Rows in the backup; ``None``: the backup lacks the table."""
    now: int | None
    """Rows now; ``None``: the table does not exist, or was not counted."""
    is_gone: bool
    """Whether the live database lacks the table."""

    @property
    def difference(self) -> int | None:
        """The growth in rows since the backup; ``None`` where it is unknown."""
        if self.is_gone:
            return -(self.then or 0)
        return None if self.now is None else self.now - (self.then or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDifference:
    """What differs between an opened backup and the live database."""

    tables: list[TableDifference]
    unknown_migrations: list[str]
    """Applied in the backup, missing in the code: ``app.name``."""
    missing_migrations: list[str]
    """In the code, not applied in the backup: ``app.name``."""
    uncompared: str
    """A sentence that says why the migrations were not compared; empty where they were."""
    is_live_known: bool
    """Whether the live database answered."""

    @property
    def changed(self) -> list[TableDifference]:
        """The tables whose numbers of rows differ, largest first."""
        found = [each for each in self.tables if each.difference and each.then is not None]
        return sorted(found, key=lambda each: -abs(each.difference or 0))

    @property
    def new(self) -> list[TableDifference]:
        """The tables that the backup lacks."""
        return [each for each in self.tables if each.then is None]

    @property
    def added(self) -> int:
        """The sum of rows that were added, over all tables that have grown."""
        return sum(max(each.difference or 0, 0) for each in self.tables)


def compare(opened: OpenedBackup) -> OpenedDifference:
    """Compare an opened backup with the live database of its alias."""
    now = _live_rows(opened.database)
    names = {
        model._meta.db_table: model._meta.verbose_name_plural
        for model in apps.get_models(include_auto_created=True)
    }
    tables = [
        TableDifference(
            name=name,
            label=str(names.get(name, name)),
            has_model=name in names,
            then=opened.rows.get(name),
            now=(now or {}).get(name),
            is_gone=now is not None and name not in now,
        )
        for name in sorted({*opened.rows, *(now or {})})
    ]
    code = Code.read()
    try:
        alias = register(opened, find_places(opened.server)[1])
        unknown, missing = code.compare(code.leaves(applied(alias)))
    except (BackupError, DatabaseError):
        unknown, missing = [], []
    return OpenedDifference(
        tables=sorted(tables, key=lambda each: (not each.has_model, each.label)),
        unknown_migrations=unknown,
        missing_migrations=missing,
        uncompared=code.uncompared,
        is_live_known=now is not None,
    )


def _live_rows(database: str) -> dict[str, int | None] | None:
    """Return the rows of each live table, as far as counted in time; ``None`` if the database does not answer."""
    try:
        places = get_connector(database).places()
        return dict(places.rows(seconds=SECONDS)) if places else None
    except (BackupError, DatabaseError):
        return None
