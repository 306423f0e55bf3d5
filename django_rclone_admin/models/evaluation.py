"""Answers a query about backups over the cached listing, with those manifests that it needs."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from django.db import models
from django.db.models.sql import Query
from django.utils import timezone

from ..cached_listing import get_listing, with_facts, with_lists, with_manifests
from ..core.catalog import StoredObject
from ..core.manifest import LISTS
from ..core.many_manifests import ThinManifest
from .lookups import (
    FACTS,
    LISTED,
    condition,
    field_of,
    fields_in,
    getter,
    hashable,
    orderings,
    refuse,
    signature,
    sort,
)

T = TypeVar("T")


def matching(query: Query, shown: Collection[str] = (), *, ordered: bool = True) -> Sequence[StoredObject]:
    """Return all objects that match the conditions of a query, in its order, without its limits.

    :param shown: the fields that the caller will read.
    :raises NotSupportedError: the query has a part that can't be evaluated.
    :raises BackupError: the remote can't be listed.
    """
    return derived(query, shown, None, lambda objects: objects, ordered=ordered)


def derived(
    query: Query,
    shown: Collection[str],
    question: Hashable | None,
    find: Callable[[Sequence[StoredObject]], T],
    *,
    ordered: bool = True,
) -> T:
    """Return what ``find`` makes of the matching objects; a listing answers each question only once.

    :param question: identifies ``find`` and all that its result depends on besides these objects.
    """
    if query.is_empty():
        return find([])
    if query.annotations or query.combinator or query.extra or query.distinct_fields or query.group_by:
        raise refuse("an annotation, a union or a group")
    test, order = condition(query.where, selected), orderings(query) if ordered else []
    depth = _depth(fields_in(query.where) | {field.name for field, _reverse, _nulls in order} | {*shown})
    is_random = ordered and "?" in query.order_by
    listing = get_listing()
    if depth:
        listing.learn(depth, functools.partial(_knowing, depth))

    def evaluate() -> list[StoredObject]:
        objects = [each for each in listing.backups if test(each)] if query.where else [*listing.backups]
        if is_random:
            random.shuffle(objects)
        sort(objects, order)
        return objects

    names = tuple((field.name, *turns) for field, *turns in order)
    zone = hashable(timezone.get_current_timezone())
    key = object() if is_random else (signature(query.where), depth, names, zone)
    objects = listing.answers.find(key, evaluate)
    return find(objects) if question is None else listing.answers.find((key, question), lambda: find(objects))


def _depth(asked: Collection[str]) -> str:
    """Return how much of the manifests is needed for these fields."""
    if LISTED.issuperset(asked):
        return "sizes of media" if "size" in asked else ""
    return "facts" if FACTS.issuperset(asked) else "manifests"


def _knowing(depth: str, objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with as much of the manifests as is needed."""
    match depth:
        case "manifests":
            return with_manifests(objects)
        case "facts":
            return with_facts(objects)
        case "sizes of media":
            media = with_facts([each for each in objects if each.kind == "media"])
            known = {each.path: each for each in media}
            return [known.get(each.path, each) for each in objects] if known else objects
    return objects


def limited(query: Query, items: Sequence[Any]) -> list[Any]:
    """Apply the limits of a query."""
    return list(items[query.low_mark : query.high_mark])


def aggregated(query: Query, name: str, wanted: Any, compute: Callable[[Iterable[StoredObject]], Any]) -> Any:
    """Evaluate one aggregate of a field."""
    # A default may be of any type; so what has one is computed anew.
    is_known = getattr(wanted, "default", None) is None
    question = (type(wanted), name, getattr(wanted, "distinct", False), query.low_mark, query.high_mark)
    return derived(
        query,
        {name},
        question if is_known else None,
        lambda objects: compute(limited(query, objects)),
        ordered=query.is_sliced,
    )


def rows(query: Query) -> list[Any]:
    """Evaluate a query: filter, order, slice, and read the manifests of the result."""
    assert query.model is not None
    found = with_manifests(limited(query, matching(query)))
    # The lists of a long manifest are loaded for a single row; for many rows, only when they are accessed.
    return to_backups(query.model, with_lists(found) if len(found) == 1 else found)


def tuples_of(query: Query, names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    """Evaluate a query for some fields of each row."""
    fields = [field_of(query, name) for name in names]
    if query.distinct and any(isinstance(field, models.JSONField) for field in fields):
        raise refuse("“distinct” on this field")
    asked = {field.name for field in fields}
    if query.distinct:
        found = derived(
            query, asked, ("distinct", *names), lambda all_: [*dict.fromkeys(_columns(fields, all_))]
        )
        return limited(query, found)
    objects = _knowing(_depth(asked), limited(query, matching(query)))
    if not asked.isdisjoint(LISTS):
        objects = with_lists(objects)
    return _columns(fields, objects)


def _columns(
    fields: Iterable[models.Field[Any, Any]], objects: Iterable[StoredObject]
) -> Iterable[tuple[Any, ...]]:
    columns = [map(getter(field), objects) for field in fields]
    return zip(*columns, strict=True)


def selected(query: Query) -> Collection[Any]:
    """Return the values that a subquery in a condition selects."""
    if query.get_meta().label != "django_rclone_admin.Backup":
        raise refuse("a condition on another model")
    names = list(query.values_select) or ["pk"]
    return {each[0] for each in tuples_of(query, names[:1])}


def to_backups(model: type[models.Model], objects: Iterable[StoredObject]) -> list[Any]:
    """Return the rows of these objects, as instances of the model."""
    fields = model._meta.concrete_fields
    gets = {field.attname: getter(field) for field in fields}
    short = {name: get for name, get in gets.items() if name not in LISTS}

    def make(stored: StoredObject) -> Any:
        known = short if isinstance(stored.manifest, ThinManifest) else gets
        return model.from_db("default", [*known], [get(stored) for get in known.values()])

    return [make(each) for each in objects]
