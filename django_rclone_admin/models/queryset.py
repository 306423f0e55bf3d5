"""A QuerySet over the backup list.

Django builds the query as for any model; :mod:`~django_rclone_admin.models.lookups` evaluates it over one cached
listing: one ``rclone lsjson`` for databases and one for media backups. Manifests are read by one more call for each,
only for the rows that are returned, unless the query itself uses fields that only manifests contain.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db import NotSupportedError, models
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.sql import Query
from django.db.models.utils import create_namedtuple_class
from django.utils import timezone

from .. import api
from ..cached_listing import cached_objects, with_lists, with_manifests
from ..core.catalog import BACKUPS, StoredObject
from ..core.manifest import LISTS, ThinManifest
from .lookups import (
    LISTED,
    aggregate,
    condition,
    field_of,
    fields_in,
    getter,
    orderings,
    refuse,
    sort,
    truncate,
)


def matching(query: Query, shown: Collection[str] = (), *, ordered: bool = True) -> list[StoredObject]:
    """Return all objects that match the conditions of a query, in its order, without its limits.

    :param shown: the fields that the caller will read.
    :raises NotSupportedError: the query has a part that can't be evaluated.
    :raises BackupError: the remote can't be listed.
    """
    if query.is_empty():
        return []
    if query.annotations or query.combinator or query.extra or query.distinct_fields or query.group_by:
        raise refuse("an annotation, a union or a group")
    test, order = condition(query.where, _selected), orderings(query) if ordered else []
    asked = fields_in(query.where) | {field.name for field, _reverse, _nulls in order} | {*shown}
    objects = _knowing(asked, [each for each in cached_objects() if each.state in BACKUPS])
    if query.where:
        objects = [each for each in objects if test(each)]
    if ordered and "?" in query.order_by:
        random.shuffle(objects)
    sort(objects, order)
    return objects


def _knowing(asked: Collection[str], objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with the manifests that are needed for these fields."""
    if not LISTED.issuperset(asked):
        return with_manifests(objects)
    if "size" in asked and (media := [each for each in objects if each.kind == "media"]):
        known = {each.path: each for each in with_manifests(media)}
        return [known.get(each.path, each) for each in objects]
    return objects


def _limited(query: Query, items: Sequence[Any]) -> list[Any]:
    return list(items[query.low_mark : query.high_mark])


def rows(query: Query) -> list[Any]:
    """Evaluate a query: filter, order, slice, and read the manifests of the result."""
    assert query.model is not None
    found = with_manifests(_limited(query, matching(query)))
    # The lists of a long manifest are loaded for a single row; for many rows, only when they are accessed.
    return to_backups(query.model, with_lists(found) if len(found) == 1 else found)


def _tuples(query: Query, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Evaluate a query for some fields of each row."""
    fields = [field_of(query, name) for name in names]
    if query.distinct and any(isinstance(field, models.JSONField) for field in fields):
        raise refuse("“distinct” on this field")
    asked = {field.name for field in fields}
    objects = matching(query, asked if query.distinct else ())
    if not query.distinct:
        objects = _knowing(asked, _limited(query, objects))
    if not asked.isdisjoint(LISTS):
        objects = with_lists(objects)
    gets = [getter(field) for field in fields]
    tuples = [tuple(get(each) for get in gets) for each in objects]
    return _limited(query, list(dict.fromkeys(tuples))) if query.distinct else tuples


def _selected(query: Query) -> Collection[Any]:
    """Return the values that a subquery in a condition selects."""
    if query.get_meta().label != "django_rclone_admin.Backup":
        raise refuse("a condition on another model")
    names = list(query.values_select) or ["pk"]
    return {each[0] for each in _tuples(query, names[:1])}


def to_backups(model: type[models.Model], objects: Iterable[StoredObject]) -> list[Any]:
    """Return the rows of these objects, as instances of the model."""
    fields = model._meta.concrete_fields
    gets = {field.attname: getter(field) for field in fields}
    short = {name: get for name, get in gets.items() if name not in LISTS}

    def make(stored: StoredObject) -> Any:
        known = short if isinstance(stored.manifest, ThinManifest) else gets
        return model.from_db("default", [*known], [get(stored) for get in known.values()])

    return [make(each) for each in objects]


class BackupIterable(ModelIterable):  # type: ignore[type-arg]
    """Gives the rows as model instances."""

    def __iter__(self) -> Iterator[Any]:
        return iter(rows(self.queryset.query))


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
        kind = self._iterable_class
        if kind is BackupIterable:
            return rows(self.query)
        names = self._names()
        tuples = _tuples(self.query, names)
        if kind is ValuesIterable:
            return [dict(zip(names, each, strict=True)) for each in tuples]
        if kind is FlatValuesListIterable:
            return [each[0] for each in tuples]
        if kind is ValuesListIterable:
            return tuples
        if kind is NamedValuesListIterable:
            row_class = create_namedtuple_class(*names)
            return [row_class._make(each) for each in tuples]
        raise refuse("this form of a list")

    def _names(self) -> list[str]:
        return list(self.query.values_select) or [field.name for field in self.model._meta.concrete_fields]

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        return iter(self._give())

    def using(self, alias: str | None) -> BackupQuerySet:
        """Return an empty queryset, because no database contains backups. ``dumpdata`` queries each database."""
        return super().using(alias).none()

    def count(self) -> int:
        if self._result_cache is not None:
            return len(self._result_cache)
        if self.query.distinct and self._iterable_class is not BackupIterable:
            return len(_tuples(self.query, self._names()))
        return len(_limited(self.query, matching(self.query, ordered=False)))

    def exists(self) -> bool:
        return self.count() > 0

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Count, Min, Max, Sum and Avg of plain fields, with ``filter``, ``distinct`` and ``default``."""
        wanted = {**{each.default_alias: each for each in args}, **kwargs}
        found = {}
        for alias, each in wanted.items():
            name, compute = aggregate(self.query, each)
            only = getattr(each, "filter", None)
            queryset = self.filter(getattr(only, "condition", only)) if only else self
            objects = matching(queryset.query, {name}, ordered=queryset.query.is_sliced)
            found[alias] = compute(_limited(queryset.query, objects))
        return found

    def dates(self, field_name: str, kind: str, order: str = "ASC") -> Any:
        return sorted({each.date() for each in self.datetimes(field_name, kind)}, reverse=order == "DESC")

    def datetimes(self, field_name: str, kind: str, order: str = "ASC", tzinfo: Any = None) -> Any:
        field = field_of(self.query, field_name)
        get, zone = getter(field), tzinfo or timezone.get_current_timezone()
        times = {get(each) for each in matching(self.query, {field.name}, ordered=False)} - {None}
        return sorted({truncate(each.astimezone(zone), kind) for each in times}, reverse=order == "DESC")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Remove these backups from the remote, with their manifests, pins and otherwise unused file versions."""
        deleted = api.delete_backups([row.path for row in rows(self.query)])
        self._result_cache = None
        return deleted, {self.model._meta.label: deleted}

    def _refuse_change(self, *args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError("A backup is made by a run, and never changed.")

    create = bulk_create = bulk_update = get_or_create = update_or_create = update = _refuse_change

    def _refuse_query(self, *args: Any, **kwargs: Any) -> Any:
        raise refuse("an annotation, a union or SQL")

    raw = annotate = alias = union = intersection = difference = extra = explain = _refuse_query
