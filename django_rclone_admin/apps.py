from django.apps import AppConfig
from django.db.models.signals import pre_migrate
from django.utils.translation import gettext_lazy as _


class RcloneAdminConfig(AppConfig):
    """The app: its name in the admin, its system checks, and its handling of a termination of the process."""

    name = "django_rclone_admin"
    verbose_name = _("Backups")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import before_migrate, checks  # noqa: F401  (registers the checks)
        from .health import after_runs  # needs the models
        from .jobs import shutdown
        from .notifications import worker

        after_runs.connect()
        worker.connect()
        shutdown.watch_signals()
        pre_migrate.connect(before_migrate.back_up, sender=self)
