"""Keep page views in a database of their own, where one is configured."""

from django.conf import settings

ANALYTICS = "analytics"
"""Label of the app and alias of its database."""


class AnalyticsRouter:
    """Send the app `analytics` to the alias `analytics`, and nothing else there.

    A test may replace `DATABASES` by one without that alias; then page views stay on `default`.
    """

    def db_for_read(self, model, **hints):
        return ANALYTICS if _has_own_database(model._meta.app_label) else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        if db == ANALYTICS:
            return app_label == ANALYTICS
        return False if _has_own_database(app_label) else None


def _has_own_database(app_label: str) -> bool:
    return app_label == ANALYTICS and ANALYTICS in settings.DATABASES
