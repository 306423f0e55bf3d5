"""Finds what no backup covers: databases without a connector, and files in storages outside of ``MEDIA_ROOT``."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages

from ..conf import get_settings
from ..connectors.registry import databases_without_connector
from .limits import is_judged


def uncovered() -> list[str]:
    """Return what no backup covers, such as ``database analytics`` or ``storage private``."""
    health = get_settings().health
    databases = [each for each in databases_without_connector() if is_judged(each, health)]
    return [f"database {each}" for each in databases] + [f"storage {each}" for each in _storages()]


def has_media_files() -> bool:
    """Whether there are files to back up; for object storage this is assumed."""
    if get_settings().media_source:
        return True
    return bool(django_settings.MEDIA_ROOT) and _has_files(django_settings.MEDIA_ROOT)


def _storages() -> list[str]:
    """Return the aliases in ``STORAGES`` whose files are in no media backup."""
    return [alias for alias in sorted(storages.backends) if not _is_covered(alias)]


def _is_covered(alias: str) -> bool:
    try:
        storage = storages[alias]
    except Exception:  # noqa: BLE001  (a storage may fail to load here: that is reported where it is used)
        return True
    if isinstance(storage, StaticFilesStorage | InMemoryStorage) or alias == "staticfiles":
        return True
    if isinstance(storage, FileSystemStorage):
        return _is_folder_covered(storage.location)
    return _is_source_set(alias, storage)


def _is_folder_covered(folder: str | os.PathLike[str]) -> bool:
    here = Path(os.path.realpath(folder))
    source = get_settings().media_source or django_settings.MEDIA_ROOT
    # A place that rclone reads may be the storage behind this folder.
    is_elsewhere = bool(source) and not Path(source).is_absolute()
    sources = [django_settings.MEDIA_ROOT if is_elsewhere else source, django_settings.STATIC_ROOT]
    if any(each and here.is_relative_to(os.path.realpath(each)) for each in sources):
        return True
    return not _has_files(folder)


def _is_source_set(alias: str, storage: Storage) -> bool:
    """Whether files in object storage are backed up: ``MEDIA_SOURCE`` can name only one place, that of the default
    storage."""
    return alias == "default" and bool(get_settings().media_source)


def _has_files(folder: str | os.PathLike[str]) -> bool:
    try:
        return any(Path(folder).iterdir())
    except OSError:
        return False
