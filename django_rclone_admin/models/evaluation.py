"""Answers a query about backups over the cached listing, with those manifests that it needs."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import models
from django.db.models.sql import Query

from ..cached_listing import cached_objects, with_lists, with_manifests
from ..core.catalog import StoredObject
from ..core.manifest import LISTS, ThinManifest
from ..core.states import BACKUPS
from .lookups import LISTED, condition, field_of, fields_in, getter, orderings, refuse, sort


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
    test, order = condition(query.where, selected), orderings(query) if ordered else []
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


def limited(query: Query, items: Sequence[Any]) -> list[Any]:
    """Apply the limits of a query."""
    return list(items[query.low_mark : query.high_mark])


def rows(query: Query) -> list[Any]:
    """Evaluate a query: filter, order, slice, and read the manifests of the result."""
    assert query.model is not None
    found = with_manifests(limited(query, matching(query)))
    # The lists of a long manifest are loaded for a single row; for many rows, only when they are accessed.
    return to_backups(query.model, with_lists(found) if len(found) == 1 else found)


def tuples_of(query: Query, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Evaluate a query for some fields of each row."""
    fields = [field_of(query, name) for name in names]
    if query.distinct and any(isinstance(field, models.JSONField) for field in fields):
        raise refuse("“distinct” on this field")
    asked = {field.name for field in fields}
    objects = matching(query, asked if query.distinct else ())
    if not query.distinct:
        objects = _knowing(asked, limited(query, objects))
    if not asked.isdisjoint(LISTS):
        objects = with_lists(objects)
    columns = [map(getter(field), objects) for field in fields]
    tuples = list(zip(*columns, strict=True))
    return limited(query, list(dict.fromkeys(tuples))) if query.distinct else tuples


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
