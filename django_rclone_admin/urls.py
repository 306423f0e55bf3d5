"""Pages for monitors: ``path("backups/", include("django_rclone_admin.urls"))``."""

from django.urls import path

from . import views

app_name = "django_rclone_admin"
urlpatterns = [
    path("health/", views.health, name="health"),
    path("metrics/", views.metrics_view, name="metrics"),
]
