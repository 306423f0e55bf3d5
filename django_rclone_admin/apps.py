from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class RcloneAdminConfig(AppConfig):
    """The app: its name in the admin, its system checks, and its handling of a termination of the process."""

    name = "django_rclone_admin"
    verbose_name = gettext_lazy("Backups")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, receivers  # noqa: F401  (registers the checks)
        from .jobs import shutdown

        receivers.connect(self)
        shutdown.watch_signals()
