"""Evaluates Django's queries in Python, over the objects of a listing: conditions, orderings, aggregates.

A query that can't be evaluated raises ``NotSupportedError`` before any object is read: never a wrong answer.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import NotSupportedError, models
from django.db.models import expressions, functions, lookups
from django.db.models.sql import Query
from django.db.models.sql.where import NothingNode, WhereNode
from django.utils import timezone

from ..core.catalog import StoredObject
from ..core.many_manifests import Facts

LISTED = frozenset(
    {
        *("path", "name", "kind", "database", "taken_at", "size", "pinned"),
        *("proven", "proven_at", "failed", "checks"),
    }
)
"""The fields that the listing contains; the others, and the size of media backups, need the manifest."""
FACTS = LISTED.union({"state"}, Facts._fields)
"""The fields for which the facts of a manifest suffice."""

PLAIN = (str, int, float, date, type(None))
LONG = 1000
"""Only values of these types, and lists of at most so many, are compared with those of other conditions."""

Test = Callable[[StoredObject], bool]
Getter = Callable[[StoredObject], Any]
Subquery = Callable[[Query], Collection[Any]]

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "exact": operator.eq,
    "in": lambda value, wanted: value in wanted,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "range": lambda value, wanted: wanted[0] <= value <= wanted[1],
}
TEXT_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "exact": operator.eq,
    "contains": lambda value, wanted: wanted in value,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
"""Comparisons by the name of the lookup; the prefix “i” means case-insensitive."""

TRANSFORMS: dict[type, Callable[[datetime], Any]] = {
    functions.TruncDate: lambda time: time.date(),
    functions.ExtractYear: lambda time: time.year,
    functions.ExtractMonth: lambda time: time.month,
    functions.ExtractDay: lambda time: time.day,
    functions.ExtractHour: lambda time: time.hour,
}


def refuse(what: str) -> NotSupportedError:
    """Return the error for a query that can't be evaluated."""
    return NotSupportedError(
        f"Backups are listed by rclone and evaluated in Python: {what} is not supported."
    )


def getter(field: models.Field[Any, Any]) -> Getter:
    """Return a function that reads a field from an object; fields that no manifest contains have their default."""
    name = field.name
    if name == "size":
        return operator.attrgetter("total_size")
    if name == "checks":
        return lambda stored: [each.as_dict() for each in stored.checks]
    if name in LISTED:
        return operator.attrgetter(name)
    if name == "state":
        return lambda stored: str(stored.state)

    def get(stored: StoredObject) -> Any:
        known = stored.known if name in FACTS else stored.manifest
        value = getattr(known, name) if known else None
        return field.get_default() if value is None else value

    return get


def field_of(query: Query, name: str) -> models.Field[Any, Any]:
    """Return the field with this name in a query."""
    meta = query.get_meta()
    found = {field.name: field for field in meta.concrete_fields} | {"pk": meta.pk}
    if name not in found:
        raise refuse(f"“{name}” in this place")
    return found[name]


# -- conditions -----------------------------------------------------------------------------------------------------


def fields_in(node: Any) -> set[str]:
    """Return the names of the fields that a condition uses."""
    if isinstance(node, WhereNode):
        return set().union(*(fields_in(child) for child in node.children))
    if isinstance(node, NothingNode):
        return set()
    side: Any = getattr(node, "lhs", None)
    while not isinstance(side, expressions.Col):
        sources = side.get_source_expressions() if type(side) in TRANSFORMS else []
        if len(sources) != 1:
            raise refuse("a condition on such an expression")
        side = sources[0]
    return {side.target.name}


def hashable(value: Any) -> Hashable:
    """Return a value for comparisons; one that can't be hashed, such as a time zone of dateutil, is equal to no other."""
    return value if isinstance(value, Hashable) else object()


def signature(node: Any) -> Hashable:
    """Return what identifies a condition that can be evaluated: where it is equal, the same objects match."""
    if isinstance(node, WhereNode):
        return (node.connector, node.negated, *map(signature, node.children))
    if isinstance(node, NothingNode):
        return NothingNode
    side: tuple[Any, ...] = (*fields_in(node), type(node.lhs), hashable(getattr(node.lhs, "tzinfo", None)))
    values = node.rhs if isinstance(node.rhs, list | tuple) else [node.rhs]
    is_plain = len(values) <= LONG and all(isinstance(each, PLAIN) for each in values)
    return (type(node), side, repr(node.rhs) if is_plain else object())


def condition(node: Any, subquery: Subquery) -> Test:
    """Turn a ``where`` tree into a test of one object.

    :param subquery: returns the values that a subquery in a condition selects.
    """
    if isinstance(node, NothingNode):
        return lambda stored: False
    if not isinstance(node, WhereNode):
        return _comparison(node, subquery)
    tests = [condition(child, subquery) for child in node.children]
    if node.connector not in ("AND", "OR"):  # XOR
        return lambda stored: (sum(test(stored) for test in tests) % 2 == 1) != node.negated
    if len(tests) == 1 and not node.negated:
        return tests[0]
    # As in SQL, a tree without conditions matches everything.
    every = node.connector == "AND" or not tests
    return _combined(tests, every=every, is_negated=node.negated)


def _combined(tests: Sequence[Test], *, every: bool, is_negated: bool) -> Test:
    """Return the test whether every one of these holds, or any. Without a generator, which would cost more than they do."""

    def test(stored: StoredObject) -> bool:
        for each in tests:
            if each(stored) != every:
                return every == is_negated
        return every != is_negated

    return test


def _comparison(lookup: Any, subquery: Subquery) -> Test:
    get, wanted = _left_side(lookup.lhs), lookup.rhs
    if isinstance(lookup, lookups.IsNull):
        return lambda stored: (get(stored) is None) == wanted
    if isinstance(lookup, lookups.In) and isinstance(wanted, Query):
        wanted = subquery(wanted)
    listed = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    if any(hasattr(each, "resolve_expression") or hasattr(each, "as_sql") for each in listed):
        raise refuse(f"the lookup “{lookup.lookup_name}” with an expression")
    is_right = _operator(lookup.lookup_name, wanted)
    if is_right is None or isinstance(getattr(lookup.lhs, "target", None), models.JSONField):
        raise refuse(f"the lookup “{lookup.lookup_name}” on this field")

    def test(stored: StoredObject) -> bool:
        value = get(stored)
        # As in SQL, comparisons with NULL are never true.
        return value is not None and is_right(value)

    return test


def _operator(name: str, wanted: Any) -> Callable[[Any], bool] | None:
    """Return a test of a value; ``wanted`` is prepared once."""
    if compare := OPERATORS.get(name):
        return lambda value: bool(compare(value, wanted))
    if name in ("regex", "iregex"):
        try:
            search = re.compile(str(wanted), re.IGNORECASE if name == "iregex" else 0).search
        except re.error as error:
            raise refuse(f"the regular expression “{wanted}”") from error
        return lambda value: search(str(value)) is not None
    if compare_text := TEXT_OPERATORS.get(name):
        text = str(wanted)
        return lambda value: compare_text(str(value), text)
    if compare_folded := TEXT_OPERATORS.get(name.removeprefix("i")):
        folded = str(wanted).casefold()
        return lambda value: compare_folded(str(value).casefold(), folded)
    return None


def _left_side(side: Any) -> Getter:
    if isinstance(side, expressions.Col):
        return getter(side.target)
    transform = TRANSFORMS.get(type(side))
    source = side.get_source_expressions()[0] if transform else None
    if transform is None or not isinstance(source, expressions.Col):
        raise refuse("a condition on such an expression")
    get, zone = getter(source.target), side.tzinfo

    def transformed(stored: StoredObject) -> Any:
        value = get(stored)
        return None if value is None else transform(timezone.localtime(value, zone))

    return transformed


# -- orderings ------------------------------------------------------------------------------------------------------


def orderings(query: Query) -> list[tuple[models.Field[Any, Any], bool, bool]]:
    """Return the ordering of a query, as (field, reverse, nulls first); an empty list for a random one."""
    items: Any = query.extra_order_by or query.order_by
    if not items and query.default_ordering:
        items = query.get_meta().ordering
    found = []
    for item in items:
        if item == "?":
            continue
        name, reverse, nulls_first = _ordering(item)
        field = field_of(query, name)
        if isinstance(field, models.JSONField):
            raise refuse("an ordering by this field")
        turn = not query.standard_ordering
        found.append((field, reverse != turn, nulls_first != turn))
    return found


def _ordering(item: Any) -> tuple[str, bool, bool]:
    """Parse one item; by default, NULL sorts below everything."""
    if isinstance(item, str):
        return item.lstrip("-+"), item.startswith("-"), not item.startswith("-")
    if isinstance(item, expressions.F):
        return _name(item), False, True
    if isinstance(item, expressions.OrderBy) and isinstance(item.expression, expressions.F):
        nulls_first = bool(item.nulls_first) or not (item.descending or item.nulls_last)
        return _name(item.expression), item.descending, nulls_first
    raise refuse("an ordering by such an expression")


def _name(expression: expressions.F) -> str:
    return str(expression.name)  # type: ignore[attr-defined]


def sort(objects: list[StoredObject], order: Sequence[tuple[models.Field[Any, Any], bool, bool]]) -> None:
    """Sort in place; objects that are equal in every field keep their order."""
    for field, reverse, nulls_first in reversed(order):
        get = getter(field)
        key = functools.partial(_sort_key, get, reverse == nulls_first) if field.null else get
        objects.sort(key=key, reverse=reverse)


def _sort_key(get: Getter, nulls_high: bool, stored: StoredObject) -> tuple[bool, Any]:
    value = get(stored)
    return (nulls_high, 0) if value is None else (not nulls_high, value)


# -- aggregates and dates -------------------------------------------------------------------------------------------


def aggregate(query: Query, wanted: Any) -> tuple[str, Callable[[Iterable[StoredObject]], Any]]:
    """Return the name of an aggregate's field, and the function that computes the aggregate."""
    kind, default = type(wanted), getattr(wanted, "default", None)
    if kind not in REDUCTIONS or hasattr(default, "resolve_expression"):
        raise refuse("such an aggregate")
    source = wanted.get_source_expressions()[0]
    if kind is models.Count and isinstance(source, expressions.Star):
        field = field_of(query, "pk")
    elif isinstance(source, expressions.F):
        field = field_of(query, _name(source))
    else:
        raise refuse("an aggregate of an expression")
    is_number = isinstance(field, models.IntegerField)
    if isinstance(field, models.JSONField) or (kind in (models.Sum, models.Avg) and not is_number):
        raise refuse(f"the aggregate {kind.__name__} of “{field.name}”")
    get, reduce = getter(field), REDUCTIONS[kind]

    def compute(objects: Iterable[StoredObject]) -> Any:
        values: Any = [value for stored in objects if (value := get(stored)) is not None]
        values = set(values) if getattr(wanted, "distinct", False) else values
        return reduce(values) if values or kind is models.Count else default

    return field.name, compute


REDUCTIONS: dict[type, Callable[[Collection[Any]], Any]] = {
    models.Count: len,
    models.Min: min,
    models.Max: max,
    models.Sum: sum,
    models.Avg: lambda values: sum(values) / len(values),
}

UNITS = ("year", "month", "week", "day", "hour", "minute", "second")


def truncate(time: datetime, kind: str) -> datetime:
    """Return the beginning of the year, month, … that contains a time."""
    if kind not in UNITS:
        raise ValueError(f"“kind” must be one of {', '.join(UNITS)}.")
    if kind == "week":
        time, kind = time - timedelta(days=time.weekday()), "day"
    return time.replace(microsecond=0, **_smaller(kind))  # type: ignore[arg-type]


@functools.cache
def _smaller(kind: str) -> dict[str, int]:
    """Return the units below another one, each with its first value."""
    units = [unit for unit in UNITS if unit != "week"]
    return {unit: 1 if unit in ("month", "day") else 0 for unit in units[units.index(kind) + 1 :]}
