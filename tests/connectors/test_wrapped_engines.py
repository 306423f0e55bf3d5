"""A database engine that wraps one of Django's is served by the connector of what it extends."""

import sys
import types

import pytest
from django.db.backends.sqlite3 import base as sqlite3

from django_rclone_admin.connectors import registry


@pytest.fixture
def engine(settings, monkeypatch):
    """Make an engine that extends another one, and give the connector of a database that has it."""

    def make(parent: type) -> str | None:
        name = "wrapped_for_this_test"
        for module in (name, f"{name}.base"):
            monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
        sys.modules[name].__path__ = []
        wrapper = type("DatabaseWrapper", (parent,), {"__module__": f"{name}.base"})
        sys.modules[f"{name}.base"].DatabaseWrapper = wrapper
        monkeypatch.setitem(registry.connections.settings, "wrapped", {"ENGINE": name})
        return registry.connector_path("wrapped")

    return make


def test_wrapper_of_sqlite_is_sqlite(engine):
    assert engine(sqlite3.DatabaseWrapper) == registry.SQLITE


def test_wrapper_of_postgresql_is_postgresql(engine):
    from django.db.backends.postgresql.base import DatabaseWrapper

    assert engine(DatabaseWrapper) == registry.POSTGRESQL
    assert engine(type("Between", (DatabaseWrapper,), {"__module__": "between.base"})) == registry.POSTGRESQL


def test_what_extends_none_of_them_has_none(engine):
    assert engine(object) is None


def test_engine_that_is_not_installed_has_none(monkeypatch):
    monkeypatch.setitem(registry.connections.settings, "gone", {"ENGINE": "no.such.engine"})
    assert registry.connector_path("gone") is None
