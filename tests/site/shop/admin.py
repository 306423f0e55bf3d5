from django.contrib import admin

from .models import Category, Customer, Order, OrderLine, Product


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    search_fields = ["name"]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["sku", "name", "category", "price"]
    list_filter = ["category"]
    list_select_related = ["category"]
    search_fields = ["sku", "name"]


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    date_hierarchy = "joined"
    list_display = ["name", "email", "joined"]
    search_fields = ["name", "email"]


class OrderLineInline(admin.TabularInline):
    autocomplete_fields = ["product"]
    extra = 0
    model = OrderLine


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    autocomplete_fields = ["customer"]
    date_hierarchy = "placed_at"
    inlines = [OrderLineInline]
    list_display = ["number", "customer", "status", "placed_at", "total"]
    list_filter = ["status"]
    list_select_related = ["customer"]
    search_fields = ["number", "customer__name"]
