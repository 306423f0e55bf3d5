"""The shop is nothing but its admin."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.site_header = admin.site.site_title = "Shop administration"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("backups/", include("django_rclone_admin.urls")),
    # Browsers ask for it with every page; a 404 would be the only error in their console.
    path("favicon.ico", lambda request: HttpResponse(status=204)),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
