"""Rows for the shop, random but repeatable: `factory.random.reseed_random(7)` makes the same ones again.

Every factory builds without a database. The values are unkind on purpose: they hold what dump formats trip over.
"""

import json
import struct
import uuid
import zlib
from datetime import UTC, datetime
from decimal import Decimal

import factory
from django.core.files.base import ContentFile
from factory import fuzzy
from factory.random import randgen

from .models import Category, Customer, Order, OrderLine, Product

OPENED = datetime(2026, 1, 1, tzinfo=UTC)
"""The shop's first day. Fixed, so that a seed always gives the same rows."""

YESTERDAY = datetime(2026, 11, 1, tzinfo=UTC)
"""The shop's last day so far."""

TEXTS = (
    "Handmade in small batches.",
    "Grüße aus Köln, 東京 and Αθήνα: naïve café, Здравствуйте, שלום, 🦀🚲",
    "Two lines\nand a tab\there, a carriage return\r\nand a form feed\f.",
    "\\.\n-- a line that ends COPY; DROP TABLE shop_order; '' \"quoted\" `ticked` $$ $1 %s %% \\N \\0",
    "zero\u200bwidth, combining e\u0301, private \ue000, last \U0010fffd",
    "",
)
"""Descriptions and notes: scripts, escapes, SQL, terminators of dump formats."""


def product_photo(size: int = 48) -> bytes:
    """Return a PNG of `size` by `size` pixels: a gradient of one random colour."""
    colour = [randgen.randrange(64, 256) for _ in range(3)]
    # Each row starts with the number of its filter, 0 for none.
    rows = (bytes([0, *[value * (row + 1) // size for value in colour] * size]) for row in range(size))
    header = struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)  # 8 bits a channel, colour type 2: RGB
    pixels = zlib.compress(b"".join(rows))
    return (
        b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", pixels) + _png_chunk(b"IEND")
    )


def _png_chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _attributes() -> dict:
    """Return a nested document. It goes through JSON, so that what is built equals what is read back."""
    attributes = {
        "colour": randgen.choice(["red", "grün", "青"]),
        "size": {"width": randgen.randrange(1, 500), "weight": round(randgen.random(), 6)},
        "tags": randgen.sample(["new", "sale", "ünïcode", 'quo"te', "back\\slash", None, True], 3),
    }
    return json.loads(json.dumps(attributes))


class CategoryFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Category

    name = factory.Sequence(lambda n: f"Category {n + 1}")


class ProductFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Product

    category = factory.SubFactory(CategoryFactory)
    name = factory.Sequence(lambda n: f"Product {n + 1}")
    sku = factory.Sequence(lambda n: f"SKU-{n + 1:06}")
    price = fuzzy.FuzzyDecimal(0.99, 999.99, precision=2)
    description = fuzzy.FuzzyChoice(TEXTS)
    attributes = factory.LazyFunction(_attributes)
    photo = factory.LazyAttribute(lambda product: ContentFile(product_photo(), name=f"{product.sku}.png"))
    barcode = factory.LazyFunction(lambda: b"\x00" + randgen.randbytes(12) + b"\x00\\\r\n\xff")


class CustomerFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Customer

    name = factory.Faker("name")
    email = factory.Sequence(lambda n: f"customer{n + 1}@example.com")
    uuid = factory.LazyFunction(lambda: uuid.UUID(int=randgen.getrandbits(128), version=4))
    joined = fuzzy.FuzzyDateTime(OPENED, YESTERDAY)


class OrderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Order

    customer = factory.SubFactory(CustomerFactory)
    number = factory.Sequence(lambda n: f"2026-{n + 1:07}")
    status = fuzzy.FuzzyChoice(Order.Status.values)
    placed_at = fuzzy.FuzzyDateTime(OPENED, YESTERDAY)
    total = Decimal("0.00")
    notes = fuzzy.FuzzyChoice((None, *TEXTS))


class OrderLineFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OrderLine

    order = factory.SubFactory(OrderFactory)
    product = factory.SubFactory(ProductFactory)
    quantity = fuzzy.FuzzyInteger(1, 9)
    unit_price = factory.LazyAttribute(lambda line: line.product.price)
