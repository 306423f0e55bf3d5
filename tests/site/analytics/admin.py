from django.contrib import admin

from .models import PageView


@admin.register(PageView)
class PageViewAdmin(admin.ModelAdmin):
    date_hierarchy = "viewed_at"
    list_display = ["path", "seconds", "viewed_at"]
