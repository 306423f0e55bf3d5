"""Finds the connector of a database."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.utils import load_backend
from django.utils.module_loading import import_string

from ..conf import get_settings
from ..exceptions import UsageError, gettext_noop

if TYPE_CHECKING:  # the system checks ask for paths alone
    from .base import Connector

_PACKAGE = "django_rclone_admin.connectors"
POSTGRESQL = f"{_PACKAGE}.postgresql.PgDumpConnector"
POSTGIS = f"{_PACKAGE}.postgis.PgDumpGisConnector"
MYSQL = f"{_PACKAGE}.mysql.MysqlDumpConnector"
MONGODB = f"{_PACKAGE}.mongodb.MongoDumpConnector"
SQLITE = f"{_PACKAGE}.sqlite.SqliteBackupConnector"

OPENED = "OPENED_BACKUP"
"""The settings key that marks the alias of an opened backup."""

MAPPING = {
    "django.db.backends.postgresql": POSTGRESQL,
    "django.db.backends.postgresql_psycopg2": POSTGRESQL,
    "django.contrib.gis.db.backends.postgis": POSTGIS,
    "django_prometheus.db.backends.postgresql": POSTGRESQL,
    "django_prometheus.db.backends.postgis": POSTGIS,
    "django.db.backends.mysql": MYSQL,
    "django.contrib.gis.db.backends.mysql": MYSQL,
    "django_prometheus.db.backends.mysql": MYSQL,
    "djongo": MONGODB,
    "django_mongodb_engine": MONGODB,
    "django_mongodb_backend": MONGODB,
    "django.db.backends.sqlite3": SQLITE,
    "django.contrib.gis.db.backends.spatialite": SQLITE,
    "django_prometheus.db.backends.sqlite3": SQLITE,
    "django_prometheus.db.backends.spatialite": SQLITE,
}
"""Database engine → connector. ``CONNECTOR_MAPPING`` adds entries."""


def connector_path(alias: str) -> str | None:
    """Return the dotted path of a database's connector, or ``None`` when its engine has none."""
    settings = get_settings()
    engine = connections.settings[alias]["ENGINE"]
    mapping = {**MAPPING, **settings.connector_mapping}
    return settings.connectors.get(alias) or mapping.get(engine) or _by_parents(engine, mapping)


def _by_parents(engine: str, mapping: Mapping[str, str]) -> str | None:
    """Return the connector of the nearest engine that a wrapper such as ``django_tenants.postgresql_backend``
    extends."""
    try:
        wrapper = load_backend(engine).DatabaseWrapper
    except (ImportError, ImproperlyConfigured, AttributeError):  # not installed, or not a Django backend
        return None
    modules = (each.__module__.removesuffix(".base") for each in wrapper.__mro__)
    return next((mapping[module] for module in modules if module in mapping), None)


def get_connector(alias: str, *, for_safety: bool = False) -> Connector:
    """Return the connector of a database.

    :param for_safety: for a safety backup, which contains all of the live database, or for its restore.
    :raises UsageError: the alias does not exist, or no connector supports its engine.
    """
    from ..models.staying import STAYING  # models need the app registry

    if not is_database(alias):
        raise no_database(alias)
    path = connector_path(alias)
    if path is None:
        raise UsageError(
            gettext_noop("The engine of the database “%(database)s” has no connector."),
            hint=gettext_noop("Name one in CONNECTORS or CONNECTOR_MAPPING."),
            database=alias,
        )
    try:
        connector_class = import_string(path)
    except ImportError as error:
        raise UsageError(
            gettext_noop("The connector %(path)s can't be imported."),
            hint=gettext_noop("Check CONNECTORS and CONNECTOR_MAPPING: %(reason)s."),
            path=path,
            reason=error,
        ) from error
    options = get_settings().connector_options.get(alias, {})
    if for_safety:
        options = connector_class.safety_options(options)
    connector: Connector = connector_class(
        alias,
        connections[alias].settings_dict,
        options,
        history_tables=tuple(each._meta.db_table for each in STAYING),
    )
    return connector


def no_database(alias: str, others: Iterable[str] = ()) -> UsageError:
    """Return the error for an unknown alias.

    :param others: names other than aliases that are also accepted.
    """
    known = list(connections.settings)
    close = difflib.get_close_matches(alias, dict.fromkeys([*known, *others]), n=1)
    return UsageError(
        gettext_noop("There is no database “%(database)s”."),
        hint=gettext_noop("Did you mean “%(close)s”? The aliases in DATABASES are: %(known)s.")
        if close
        else gettext_noop("The aliases in DATABASES are: %(known)s."),
        database=alias,
        close=next(iter(close), ""),
        known=", ".join(known),
    )


def is_database(alias: str) -> bool:
    """Whether an alias is configured; the alias of an opened backup is not, although its connection exists."""
    return alias in list(connections.settings)


def databases_without_connector() -> list[str]:
    """Return the aliases that "all" omits because no connector supports their engine; empty if the site chose
    aliases."""
    if get_settings().databases is not None:
        return []
    found = [each for each in connections.settings if not connector_path(each)]
    return [each for each in found if connections.settings[each]["ENGINE"] != "django.db.backends.dummy"]


def all_databases() -> list[str]:
    """Return the aliases that "all" means: those in the setting ``DATABASES``, else all that have a connector."""
    chosen = get_settings().databases
    return (
        list(chosen)
        if chosen is not None
        else [each for each in connections.settings if connector_path(each)]
    )
