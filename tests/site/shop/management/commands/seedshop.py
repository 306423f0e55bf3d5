"""Fill an empty shop, once."""

import time

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser

from tests.site.analytics.factories import seed_page_views
from tests.site.analytics.models import PageView
from tests.site.shop.models import Product
from tests.site.shop.seeding import seed_shop


class Command(BaseCommand):
    help = "Fill an empty shop with random, repeatable rows and photos; leave a filled one alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--products", type=int, default=200)
        parser.add_argument("--customers", type=int, default=3000)
        parser.add_argument("--orders", type=int, default=12000)
        parser.add_argument("--page-views", type=int, default=5000)
        parser.add_argument("--seed", type=int, default=7, help="the same seed makes the same shop")
        parser.add_argument(
            "--superuser", action="store_true", help="also make the user admin with the password admin"
        )

    def handle(self, *, page_views: int, seed: int, superuser: bool, **options) -> None:
        if superuser:
            self._make_superuser()
        started = time.monotonic()
        made: dict[str, int] = {}
        if not Product.objects.exists():
            numbers = {name: options[name] for name in ("products", "customers", "orders")}
            made |= seed_shop(**numbers, seed=seed)
        if not PageView.objects.exists():
            made |= seed_page_views(page_views, seed=seed)
        if not made:
            self.stdout.write("The shop is filled already.")
            return
        for table, rows in made.items():
            self.stdout.write(f"{rows:>8,}  {table}")
        self.stdout.write(f"{sum(made.values()):>8,}  rows made in {time.monotonic() - started:.1f} s")

    def _make_superuser(self) -> None:
        users = get_user_model().objects
        if not users.filter(username="admin").exists():
            users.create_superuser("admin", "admin@example.com", "admin")
            self.stdout.write("Made the user admin with the password admin.")
