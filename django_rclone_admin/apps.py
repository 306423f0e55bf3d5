from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RcloneAdminConfig(AppConfig):
    """The app: its name in the admin, and its system checks."""

    name = "django_rclone_admin"
    verbose_name = _("Backups")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers them)
