"""Finds what ``DJANGO_RCLONE`` names and the site does not have: aliases, files, classes, models and fields. Starts no
program and queries no database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.utils.module_loading import import_string

from .conf import FIELDS, Settings, get_settings
from .connectors.registry import connector_path, get_connector
from .exceptions import UsageError


def unknown_aliases() -> Iterator[tuple[str, str]]:
    """Give each unknown alias of a database, as pairs of a key of the settings and the alias."""
    settings = get_settings()
    strategies = settings.restore_strategy if isinstance(settings.restore_strategy, dict) else {}
    named = {
        "DATABASES": settings.databases or (),
        "CONNECTORS": settings.connectors,
        "CONNECTOR_OPTIONS": settings.connector_options,
        "RESTORE_STRATEGY": strategies,
        "OPEN_ON": [*settings.open_on, *settings.open_on.values()],
        "VERIFY_CHECKS": settings.verify_checks,
    }
    for key, aliases in named.items():
        for alias in dict.fromkeys(aliases):
            if alias not in connections.settings:
                yield key, alias


def missing_things() -> Iterator[tuple[str, str]]:
    """Give what does not exist or can't be imported, as pairs of a message and a hint."""
    settings = get_settings()
    if settings.rclone_config and not os.access(settings.rclone_config, os.R_OK):
        yield (
            f"RCLONE_CONFIG in DJANGO_RCLONE names “{settings.rclone_config}”, which is not a readable file.",
            "Correct the path, or let the user who runs the site read the file.",
        )
    for key, path in _dotted_paths(settings):
        if reason := _why_not(path):
            yield f"{key} in DJANGO_RCLONE names “{path}”, which can't be used.", reason
    for checks in settings.verify_checks.values():
        for each in [checks] if isinstance(checks, dict) else checks:
            if isinstance(each, dict):
                yield from _missing_in_models(each)


def refused_options() -> Iterator[UsageError]:
    """Give the refusals of ``CONNECTOR_OPTIONS``, each with its hint."""
    for alias in get_settings().connector_options:
        path = connector_path(alias) if alias in connections.settings else None
        if path and not _why_not(path):
            try:
                get_connector(alias)
            except UsageError as error:
                yield error


def _why_not(path: str) -> str:
    """Return why a class or function can't be imported; an empty string where it can."""
    try:
        found = import_string(path)
    except Exception as error:  # noqa: BLE001 (the module is the project's own, and may fail in any way)
        return f"{type(error).__name__}: {error}"
    return "" if callable(found) else "It can't be called."


def _dotted_paths(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.executor != FIELDS["EXECUTOR"].default:
        yield "EXECUTOR", settings.executor
    for key, paths in (
        ("CONNECTORS", settings.connectors),
        ("CONNECTOR_MAPPING", settings.connector_mapping),
    ):
        for path in paths.values():
            yield key, path
    for checks in settings.verify_checks.values():
        for each in checks if isinstance(checks, list | tuple) else ():
            if isinstance(each, str):
                yield "VERIFY_CHECKS", each


def _missing_in_models(limits: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for label, each in limits.items():
        try:
            model = apps.get_model(label)
        except LookupError as error:
            yield f"VERIFY_CHECKS in DJANGO_RCLONE names “{label}”, which is not a model.", str(error)
            continue
        if "newest" in each:
            try:
                model._meta.get_field(each["newest"][0])
            except FieldDoesNotExist as error:
                yield f"VERIFY_CHECKS in DJANGO_RCLONE names a field that {label} lacks.", str(error)
