"""Page views for the second database, random but repeatable."""

import factory
from factory import fuzzy
from factory.random import randgen, reseed_random

from tests.site.shop.factories import OPENED, YESTERDAY

from .models import PageView


class PageViewFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = PageView

    path = factory.LazyFunction(lambda: f"/products/SKU-{randgen.randrange(1, 201):06}/")
    seconds = fuzzy.FuzzyFloat(0.2, 300)
    viewed_at = fuzzy.FuzzyDateTime(OPENED, YESTERDAY)


def seed_page_views(count: int = 5000, *, seed: int = 7) -> dict[str, int]:
    """Make `count` page views in the database that the router names, and return the rows made by table."""
    reseed_random(seed)
    PageView.objects.bulk_create(PageViewFactory.build_batch(count), batch_size=1000)
    return {PageView._meta.db_table: count}
