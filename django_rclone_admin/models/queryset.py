"""A QuerySet over the backup list.

Django builds the query as for any model; :mod:`~django_rclone_admin.models.evaluation` evaluates it over one cached
listing: one ``rclone lsjson`` for databases and one for media backups. Manifests are read by one more call for each,
only for the rows that are returned, unless the query itself uses fields that only manifests contain.

Every process of a site imports this module with the models; the modules that evaluate are imported by the first query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db import NotSupportedError, models
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.utils import create_namedtuple_class
from django.utils import timezone

from .. import api


class BackupIterable(ModelIterable):  # type: ignore[type-arg]
    """Gives the rows as model instances."""

    def __iter__(self) -> Iterator[Any]:
        from . import evaluation

        return iter(evaluation.rows(self.queryset.query))


class BackupQuerySet(models.QuerySet[Any]):
    """Backups on the remote. Reading works as with any QuerySet; the only change possible is ``delete``.

    ``values(…).distinct()`` is distinct in the named fields alone, whatever the ordering.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._iterable_class = BackupIterable

    def _fetch_all(self) -> None:
        if self._result_cache is None:
            self._result_cache = list(self._give())

    def _give(self) -> Iterable[Any]:
        from . import evaluation, lookups

        kind = self._iterable_class
        if kind is BackupIterable:
            return evaluation.rows(self.query)
        names = self._names()
        tuples = evaluation.tuples_of(self.query, names)
        if kind is ValuesIterable:
            return (dict(zip(names, each, strict=True)) for each in tuples)
        if kind is FlatValuesListIterable:
            return (each[0] for each in tuples)
        if kind is ValuesListIterable:
            return tuples
        if kind is NamedValuesListIterable:
            row_class = create_namedtuple_class(*names)
            return map(row_class._make, tuples)
        raise lookups.refuse("this form of a list")

    def _names(self) -> list[str]:
        return list(self.query.values_select) or [field.name for field in self.model._meta.concrete_fields]

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        return iter(self._give())

    def using(self, alias: str | None) -> BackupQuerySet:
        """Return an empty queryset, because no database contains backups. ``dumpdata`` queries each database."""
        return super().using(alias).none()

    def count(self) -> int:
        from . import evaluation

        if self._result_cache is not None:
            return len(self._result_cache)
        if self.query.distinct and self._iterable_class is not BackupIterable:
            return len([*evaluation.tuples_of(self.query, self._names())])
        return len(evaluation.limited(self.query, evaluation.matching(self.query, ordered=False)))

    def exists(self) -> bool:
        return self.count() > 0

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Count, Min, Max, Sum and Avg of plain fields, with ``filter``, ``distinct`` and ``default``."""
        from . import evaluation, lookups

        wanted = {**{each.default_alias: each for each in args}, **kwargs}
        found = {}
        for alias, each in wanted.items():
            name, compute = lookups.aggregate(self.query, each)
            only = getattr(each, "filter", None)
            queryset = self.filter(getattr(only, "condition", only)) if only else self
            found[alias] = evaluation.aggregated(queryset.query, name, each, compute)
        return found

    def dates(self, field_name: str, kind: str, order: str = "ASC") -> Any:
        return sorted({each.date() for each in self.datetimes(field_name, kind)}, reverse=order == "DESC")

    def datetimes(self, field_name: str, kind: str, order: str = "ASC", tzinfo: Any = None) -> Any:
        from . import evaluation, lookups

        field = lookups.field_of(self.query, field_name)
        get, zone = lookups.getter(field), tzinfo or timezone.get_current_timezone()

        def find(objects: Iterable[Any]) -> list[datetime]:
            times = {get(each) for each in objects} - {None}
            return sorted({lookups.truncate(each.astimezone(zone), kind) for each in times})

        question = ("datetimes", field.name, kind, lookups.hashable(zone))
        found = evaluation.derived(self.query, {field.name}, question, find, ordered=False)
        return found[::-1] if order == "DESC" else [*found]

    def delete(self) -> tuple[int, dict[str, int]]:
        """Remove these backups from the remote, with their manifests, pins and otherwise unused file versions."""
        from . import evaluation

        deleted = api.delete_backups([path for (path,) in evaluation.tuples_of(self.query, ["path"])])
        self._result_cache = None
        return deleted, {self.model._meta.label: deleted}

    def _refuse_change(self, *args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError("A backup is made by a run, and never changed.")

    create = bulk_create = bulk_update = get_or_create = update_or_create = update = _refuse_change

    def _refuse_query(self, *args: Any, **kwargs: Any) -> Any:
        from .lookups import refuse

        raise refuse("an annotation, a union or SQL")

    raw = annotate = alias = union = intersection = difference = extra = explain = _refuse_query
