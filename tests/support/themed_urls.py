"""The shop's admin, with the addresses that a theme needs besides."""

from django.apps import apps
from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("favicon.ico", lambda request: HttpResponse(status=204)),
]
if apps.is_installed("grappelli"):
    urlpatterns.append(path("grappelli/", include("grappelli.urls")))
if apps.is_installed("baton"):
    urlpatterns.append(path("baton/", include("baton.urls")))
