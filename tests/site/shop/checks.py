"""Checks that the shop has of its own data, for ``VERIFY_CHECKS``."""

import os
from pathlib import Path
from typing import Any

from django.db import connections

from tests.site.shop.models import Order

LINGER = {
    "postgresql": "SELECT pg_sleep(600)",
    "mysql": "SELECT SLEEP(600)",
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
}
LINGERS = "lingers"
"""The file in the home of the shop that shows that a check lingers."""


def linger(using: str, backup: Any) -> None:
    """Ask the database for what takes it minutes."""
    with connections[using].cursor() as cursor:
        Path(os.environ["SHOP_HOME"], LINGERS).touch()
        cursor.execute(LINGER[connections[using].vendor])


def accept(using: str, backup: Any) -> None:
    """Accept a backup with orders."""
    assert using != "default"
    assert Order.objects.using(using).exists(), backup.name


def refuse(using: str, backup: Any) -> None:
    """Accept no backup."""
    raise ValueError("the shop refuses")
