"""Checks that the shop has of its own data, for ``VERIFY_CHECKS``."""

from typing import Any

from tests.site.shop.models import Order


def accept(using: str, backup: Any) -> None:
    """Accept a backup with orders."""
    assert using != "default"
    assert Order.objects.using(using).exists(), backup.name


def refuse(using: str, backup: Any) -> None:
    """Accept no backup."""
    raise ValueError("the shop refuses")
