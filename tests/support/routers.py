"""A router for sites that keep the run history in a database of its own."""

HISTORY = "history"
"""Alias of that database."""


class HistoryRouter:
    """Sends the app's models to the alias ``history``, and nothing else there."""

    def db_for_read(self, model, **hints):
        return HISTORY if model._meta.app_label == "django_rclone_admin" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        if (app_label == "django_rclone_admin") != (db == HISTORY):
            return False
        return None
