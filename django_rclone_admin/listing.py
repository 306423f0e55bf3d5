"""A QuerySet over the listing of the remote.

Django builds the query as for any model; we evaluate its ``where`` tree and its ordering in Python, over one cached
``rclone lsjson``. Manifests are read by one further call, and only for the rows that are returned, unless the query
itself asks about something that only they know. What can't be evaluated raises ``NotSupportedError``: never a wrong
answer.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import NotSupportedError, models
from django.db.models import expressions, functions, lookups
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.sql.where import NothingNode, WhereNode
from django.db.models.utils import create_namedtuple_class
from django.utils import timezone

from . import site
from .engine.catalog import BACKUPS, StoredObject

if TYPE_CHECKING:
    from .models import Backup

LISTED = frozenset({"path", "name", "kind", "database", "taken_at", "size", "pinned"})
"""The fields that the listing alone can tell; for the others the manifest is needed."""

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "exact": lambda value, wanted: value == wanted,
    "iexact": lambda value, wanted: str(value).casefold() == str(wanted).casefold(),
    "in": lambda value, wanted: value in wanted,
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
    "range": lambda value, wanted: wanted[0] <= value <= wanted[1],
    "contains": lambda value, wanted: str(wanted) in str(value),
    "icontains": lambda value, wanted: str(wanted).casefold() in str(value).casefold(),
    "startswith": lambda value, wanted: str(value).startswith(str(wanted)),
    "istartswith": lambda value, wanted: str(value).casefold().startswith(str(wanted).casefold()),
    "endswith": lambda value, wanted: str(value).endswith(str(wanted)),
    "iendswith": lambda value, wanted: str(value).casefold().endswith(str(wanted).casefold()),
    "regex": lambda value, wanted: re.search(wanted, str(value)) is not None,
    "iregex": lambda value, wanted: re.search(wanted, str(value), re.IGNORECASE) is not None,
}

TRANSFORMS: dict[type[models.Transform] | type[expressions.Func], Callable[[datetime], Any]] = {
    functions.TruncDate: lambda time: time.date(),
    functions.ExtractYear: lambda time: time.year,
    functions.ExtractMonth: lambda time: time.month,
    functions.ExtractDay: lambda time: time.day,
    functions.ExtractHour: lambda time: time.hour,
}


def rows(query: Any) -> list[Backup]:
    """Evaluate a query: filter, order, slice, and read the manifests of what is left.

    :raises NotSupportedError: the query has a part that can't be evaluated.
    :raises BackupError: the remote can't be listed.
    """
    if query.is_empty():
        return []
    _refuse_unsupported(query)
    objects = [each for each in site.cached_objects() if each.state in BACKUPS]
    orderings = _orderings(query)
    if not (_fields_of(query.where) | {name for name, _reverse, _nulls in orderings}) <= LISTED:
        objects = site.with_manifests(objects)
    kept = [(each, backup) for each in objects if _matches(query.where, backup := to_backup(each))]
    for name, reverse, nulls_first in reversed(orderings):
        kept.sort(key=functools.partial(_sort_key, name, reverse != nulls_first), reverse=reverse)
    if query.order_by == ("?",):
        random.shuffle(kept)
    kept = kept[query.low_mark : query.high_mark]
    return [to_backup(each) for each in site.with_manifests([each for each, _backup in kept])]


def count(query: Any) -> int:
    """Count the rows of a query without reading more than it asks about."""
    if query.is_empty():
        return 0
    _refuse_unsupported(query)
    objects = [each for each in site.cached_objects() if each.state in BACKUPS]
    if not _fields_of(query.where) <= LISTED:
        objects = site.with_manifests(objects)
    found = (
        len(objects) if not query.where else sum(_matches(query.where, to_backup(each)) for each in objects)
    )
    end = found if query.high_mark is None else min(found, query.high_mark)
    return max(0, int(end - query.low_mark))


def to_backup(stored: StoredObject) -> Backup:
    """Make the row of an object."""
    from .models import Backup  # the model needs the QuerySet

    manifest = stored.manifest
    known = {name: getattr(manifest, name) for name in Backup.FROM_MANIFEST} if manifest else {}
    values: dict[str, Any] = {name: getattr(stored, name) for name in LISTED}
    row = Backup(**values, **known, state=str(stored.state))
    row._state.adding, row._state.db = False, "default"
    return row


def _refuse_unsupported(query: Any) -> None:
    if query.annotations or query.combinator or query.extra or query.distinct_fields or query.group_by:
        raise NotSupportedError(
            "Backups are listed by rclone: annotations, unions and groups are not supported."
        )


def _sort_key(name: str, nulls_high: bool, pair: tuple[StoredObject, Backup]) -> tuple[bool, Any]:
    value = getattr(pair[1], name)
    return (nulls_high, 0) if value is None else (not nulls_high, value)


def _orderings(query: Any) -> list[tuple[str, bool, bool]]:
    """Return the ordering as (field, reverse, nulls first)."""
    names = query.extra_order_by or query.order_by
    if not names and query.default_ordering:
        names = query.get_meta().ordering
    found = []
    for item in names:
        if item == "?":
            continue
        name, reverse, nulls_first = _ordering(item)
        if not query.standard_ordering:
            reverse, nulls_first = not reverse, not nulls_first
        found.append((_field_name(query, name), reverse, nulls_first))
    return found


def _ordering(item: Any) -> tuple[str, bool, bool]:
    if isinstance(item, str):
        return item.lstrip("-+"), item.startswith("-"), item.startswith("-")
    if isinstance(item, expressions.F):
        return _name(item), False, False
    if isinstance(item, expressions.OrderBy) and isinstance(item.expression, expressions.F):
        nulls_first = bool(item.nulls_first) or (item.descending and not item.nulls_last)
        return _name(item.expression), item.descending, nulls_first
    raise NotSupportedError("Backups can't be ordered by this expression.")


def _name(expression: expressions.F) -> str:
    return str(expression.name)  # type: ignore[attr-defined]


def _field_name(query: Any, name: str) -> str:
    meta = query.get_meta()
    return str(meta.pk.name if name == "pk" else meta.get_field(name).name)


# -- where ----------------------------------------------------------------------------------------------------------


def _fields_of(node: Any) -> set[str]:
    if isinstance(node, WhereNode):
        return set().union(*(_fields_of(child) for child in node.children))
    if isinstance(node, NothingNode):
        return set()
    side = node.lhs
    while not isinstance(side, expressions.Col):
        sources = side.get_source_expressions() if hasattr(side, "get_source_expressions") else []
        if len(sources) != 1:
            raise NotSupportedError("Backups can't be filtered by this expression.")
        side = sources[0]
    return {side.target.name}


def _matches(node: Any, row: Backup) -> bool:
    if isinstance(node, WhereNode):
        answers = (_matches(child, row) for child in node.children)
        if node.connector == "AND":
            found = all(answers)
        elif node.connector == "OR":
            found = any(answers)
        else:
            found = sum(answers) % 2 == 1
        return bool(found != node.negated)
    if isinstance(node, NothingNode):
        return False
    return _compare(node, row)


def _compare(lookup: Any, row: Backup) -> bool:
    value, wanted = _value(lookup.lhs, row), lookup.rhs
    if isinstance(lookup, lookups.IsNull):
        return bool((value is None) == wanted)
    operator = OPERATORS.get(lookup.lookup_name)
    if isinstance(getattr(lookup.lhs, "target", None), models.JSONField):
        operator = None
    is_expression = hasattr(wanted, "resolve_expression") or hasattr(wanted, "as_sql")
    if operator is None or is_expression or not isinstance(lookup, lookups.Lookup):
        raise NotSupportedError(f"Backups can't be filtered with “{lookup.lookup_name}” and such a value.")
    # As in SQL, nothing is equal to NULL, or greater, or less.
    return value is not None and operator(value, wanted)


def _value(side: Any, row: Backup) -> Any:
    if isinstance(side, expressions.Col):
        return getattr(row, side.target.name)
    transform = TRANSFORMS.get(type(side))
    if transform is None:
        raise NotSupportedError("Backups can't be filtered by this expression.")
    value = _value(side.get_source_expressions()[0], row)
    if value is None:
        return None
    return transform(timezone.localtime(value))


# -- the QuerySet ---------------------------------------------------------------------------------------------------


class BackupIterable(ModelIterable):  # type: ignore[type-arg]
    """Gives the rows as model instances."""

    def __iter__(self) -> Iterator[Any]:
        return iter(rows(self.queryset.query))


class BackupQuerySet(models.QuerySet["Backup"]):
    """Backups on the remote. Reading works as with any QuerySet; the only change possible is ``delete``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._iterable_class = BackupIterable

    def _fetch_all(self) -> None:
        if self._result_cache is None:
            self._result_cache = list(self._give())

    def _give(self) -> Iterable[Any]:
        found = rows(self.query)
        kind = self._iterable_class
        if kind is BackupIterable:
            return found
        names = list(self.query.values_select) or [field.name for field in self.model._meta.concrete_fields]
        tuples = [tuple(getattr(row, name) for name in names) for row in found]
        if self.query.distinct:
            tuples = list(dict.fromkeys(tuples))
        if kind is ValuesIterable:
            return [dict(zip(names, each, strict=True)) for each in tuples]
        if kind is FlatValuesListIterable:
            return [each[0] for each in tuples]
        if kind is ValuesListIterable:
            return tuples
        if kind is NamedValuesListIterable:
            row_class = create_namedtuple_class(*names)
            return [row_class._make(each) for each in tuples]
        raise NotSupportedError("Backups can't be listed in this form.")

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        return iter(self._give())

    def count(self) -> int:
        return len(self._result_cache) if self._result_cache is not None else count(self.query)

    def exists(self) -> bool:
        return self.count() > 0

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Count, Min, Max, Sum and Avg of plain fields."""
        wanted = {**{each.default_alias: each for each in args}, **kwargs}
        found = rows(self.query)
        return {alias: _aggregate(each, found) for alias, each in wanted.items()}

    def dates(self, field_name: str, kind: str, order: str = "ASC") -> Any:
        return sorted({each.date() for each in self.datetimes(field_name, kind)}, reverse=order == "DESC")

    def datetimes(self, field_name: str, kind: str, order: str = "ASC", tzinfo: Any = None) -> Any:
        zone = tzinfo or timezone.get_current_timezone()
        values = {getattr(row, field_name).astimezone(zone) for row in rows(self.query)}
        return sorted({_truncate(each, kind) for each in values}, reverse=order == "DESC")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Take these backups off the remote, with their manifests and pins."""
        from . import api  # api uses the models

        deleted = api.delete_backups([row.path for row in self])
        self._result_cache = None
        return deleted, {self.model._meta.label: deleted}

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError("A backup is made by a run, and never changed.")

    create = bulk_create = bulk_update = get_or_create = update_or_create = update = _refuse
    raw = annotate = alias = union = intersection = difference = extra = _refuse


def _truncate(time: datetime, kind: str) -> datetime:
    units = ("year", "month", "day", "hour", "minute", "second")
    if kind == "week":
        raise NotSupportedError("Backups can't be grouped by week.")
    cleared = {unit: 1 if unit in ("month", "day") else 0 for unit in units[units.index(kind) + 1 :]}
    return time.replace(microsecond=0, **cleared)  # type: ignore[arg-type]


def _aggregate(aggregate: Any, found: list[Backup]) -> Any:
    (source,) = [each for each in aggregate.get_source_expressions() if each is not None][:1] or [None]
    if isinstance(aggregate, models.Count) and (
        source is None or getattr(source, "name", "*") in ("*", "pk", "path")
    ):
        return len(found)
    if not isinstance(source, expressions.F):
        raise NotSupportedError("Backups can't be aggregated like this.")
    values = [value for row in found if (value := getattr(row, _name(source))) is not None]
    if isinstance(aggregate, models.Count):
        return len(set(values) if getattr(aggregate, "distinct", False) else values)
    simple: dict[type, Callable[[list[Any]], Any]] = {
        models.Min: min,
        models.Max: max,
        models.Sum: sum,
        models.Avg: lambda each: sum(each) / len(each),
    }
    if type(aggregate) not in simple:
        raise NotSupportedError("Backups can't be aggregated like this.")
    return simple[type(aggregate)](values) if values else None
