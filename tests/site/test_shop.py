"""The shop that all other tests stand on can be relied upon itself."""

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import transaction

from tests.site.analytics.models import PageView
from tests.site.shop.models import Category, Customer, Order, OrderLine, Product
from tests.site.shop.seeding import seed_shop

SMALL = {"products": 5, "customers": 3, "orders": 8}


@pytest.fixture(autouse=True)
def media_root(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path / "media")


@pytest.mark.django_db
def test_the_same_seed_makes_the_same_shop():
    first, second = _seed_and_undo(seed=7), _seed_and_undo(seed=7)
    assert first == second


@pytest.mark.django_db
def test_another_seed_makes_another_shop():
    first, second = _seed_and_undo(seed=7), _seed_and_undo(seed=8)
    assert first != second


@pytest.mark.django_db(databases=["default", "analytics"])
def test_seedshop_leaves_a_filled_shop_alone(capsys):
    call_command("seedshop", **SMALL, page_views=4)
    call_command("seedshop", **SMALL, page_views=4)
    assert Product.objects.count() == 5
    assert "filled already" in capsys.readouterr().out


@pytest.mark.django_db(databases=["default", "analytics"])
def test_page_views_live_in_the_second_database():
    assert PageView.objects.create(path="/")._state.db == "analytics"


@pytest.mark.django_db
def test_every_page_has_a_strict_content_security_policy(client):
    response = client.get("/admin/login/")
    assert response.headers["Content-Security-Policy"] == "default-src 'self'"


def _seed_and_undo(*, seed: int) -> list[dict]:
    """Return the fields of all rows that a seed makes, without keys: a sequence does not go back."""
    with transaction.atomic():
        seed_shop(**SMALL, seed=seed)
        rows = [
            row
            for model in (Category, Product, Customer, Order, OrderLine)
            for row in model.objects.order_by("pk")
        ]
        documents = serializers.serialize("python", rows)
        transaction.set_rollback(True)
    keys = {"category", "customer", "order", "product", "photo"}
    return [{name: value for name, value in row["fields"].items() if name not in keys} for row in documents]
