"""Fill an empty shop with tens of thousands of repeatable rows in seconds."""

from django.db import DEFAULT_DB_ALIAS, transaction
from factory.random import randgen, reseed_random

from .factories import CategoryFactory, CustomerFactory, OrderFactory, OrderLineFactory, ProductFactory
from .models import Category, Customer, Order, OrderLine, Product

PRODUCTS_A_CATEGORY = 20
LINES_AN_ORDER = range(1, 5)
BATCH = 1000


def seed_shop(
    *,
    products: int = 200,
    customers: int = 3000,
    orders: int = 12000,
    seed: int = 7,
    using: str = DEFAULT_DB_ALIAS,
) -> dict[str, int]:
    """Fill the tables of an empty shop, write the photos of its products, and return the rows made by table.

    The same numbers and the same seed give the same rows, on every database engine.
    """
    reseed_random(seed)
    for each in (CategoryFactory, ProductFactory, CustomerFactory, OrderFactory, OrderLineFactory):
        each.reset_sequence(0)
    shelves = CategoryFactory.build_batch(-(-products // PRODUCTS_A_CATEGORY))
    catalogue = [ProductFactory.build(category=randgen.choice(shelves)) for _ in range(products)]
    buyers = CustomerFactory.build_batch(customers)
    placed = [OrderFactory.build(customer=randgen.choice(buyers)) for _ in range(orders)]
    lines = [line for order in placed for line in _fill(order, catalogue)]

    tables = {Category: shelves, Product: catalogue, Customer: buyers, Order: placed, OrderLine: lines}
    with transaction.atomic(using=using):
        for model, rows in tables.items():
            model.objects.using(using).bulk_create(rows, batch_size=BATCH)
    return {model._meta.db_table: len(rows) for model, rows in tables.items()}


def _fill(order: Order, catalogue: list[Product]) -> list[OrderLine]:
    """Put a few different products into an order, and set its total."""
    count = min(randgen.choice(LINES_AN_ORDER), len(catalogue))
    lines = [
        OrderLineFactory.build(order=order, product=product) for product in randgen.sample(catalogue, count)
    ]
    order.total = sum(line.quantity * line.unit_price for line in lines)
    return lines
