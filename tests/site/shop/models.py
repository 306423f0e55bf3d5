"""What a shop keeps: between them the models use every kind of column that a backup can get wrong."""

import uuid

from django.db import models
from django.utils import timezone


class Category(models.Model):
    """A shelf of the shop."""

    name = models.CharField(max_length=80, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """Something for sale: unicode text, JSON, money, a file and raw bytes."""

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    name = models.CharField(max_length=120)
    sku = models.CharField("SKU", max_length=20, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    description = models.TextField(blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    photo = models.FileField(upload_to="products/", blank=True)
    barcode = models.BinaryField(default=b"", blank=True)

    class Meta:
        ordering = ["sku"]

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    """Somebody who buys."""

    name = models.CharField(max_length=120)
    email = models.EmailField(unique=True)
    uuid = models.UUIDField("UUID", default=uuid.uuid4, unique=True, editable=False)
    joined = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """What a customer bought at one time."""

    class Status(models.TextChoices):
        NEW = "new", "New"
        PAID = "paid", "Paid"
        SHIPPED = "shipped", "Shipped"
        RETURNED = "returned", "Returned"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    number = models.CharField(max_length=20, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.NEW)
    placed_at = models.DateTimeField(default=timezone.now)
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    notes = models.TextField(null=True, blank=True)  # noqa: DJ001 (NULL and "" must both survive a restore)

    class Meta:
        ordering = ["-placed_at"]
        indexes = [models.Index(fields=["status", "placed_at"], name="shop_order_status_placed")]

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    """One product in an order, at the price of that day."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="lines")
    quantity = models.PositiveIntegerField(default=1)
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="shop_orderline_product_once"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"
