"""Engines have the names that people know."""

import pytest

from django_rclone_admin.core.engines import engine_name


@pytest.mark.parametrize(
    "engine, version, name",
    [
        ("mysql", "10.11.6", "MariaDB"),
        ("mysql", "12.0.2", "MariaDB"),
        ("mysql", "5.5.68-MariaDB", "MariaDB"),
        ("mysql", "8.4.0", "MySQL"),
        ("mysql", "5.7.44", "MySQL"),
        ("mysql", "", "MySQL"),
        ("postgresql", "15.18", "PostgreSQL"),
        ("acme", "10.1", "acme"),
    ],
)
def test_engine_is_called_by_its_name(engine, version, name):
    assert engine_name(engine, version) == name
