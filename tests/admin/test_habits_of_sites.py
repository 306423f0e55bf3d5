"""Back up, restore and undo in the admin, on sites that are set up in other ways than the shop."""

from itertools import chain

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.urls import get_script_prefix, reverse, set_script_prefix

from django_rclone_admin.models import BackupRun, Kind, Status

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
ADMIN = "admin:django_rclone_admin_"
HABITS = {
    "as usual": {},
    "dummy cache": {"CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}},
    "naive times far away, other numbers, no slash": {
        "USE_TZ": False,
        "TIME_ZONE": "Pacific/Kiritimati",
        "LANGUAGE_CODE": "de",
        "USE_THOUSAND_SEPARATOR": True,
        "APPEND_SLASH": False,
    },
    "signed cookies": {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"},
    "sessions in the cache": {"SESSION_ENGINE": "django.contrib.sessions.backends.cache"},
    "below a prefix": {"FORCE_SCRIPT_NAME": "/shop"},
    "language in the address": {
        "LANGUAGE_CODE": "en",
        "ROOT_URLCONF": "tests.support.translated_urls",
        "MIDDLEWARE": ["django.middleware.locale.LocaleMiddleware"],
    },
    "another language": {"LANGUAGE_CODE": "ar"},
    "whole requests as transactions": {"ATOMIC_REQUESTS": True},
}


TOGETHER = (
    (
        "naive times far away, other numbers, no slash",
        "sessions in the cache",
        "whole requests as transactions",
    ),
    ("signed cookies", "below a prefix", "language in the address", "another language"),
)
"""Habits that one site may have at the same time. A cache that keeps nothing is in ``tests.api.test_single_flight``, and
to the package one that fails, in ``tests.api.test_cache_that_fails``, is the same."""
ALONE = [pytest.param((name,), marks=pytest.mark.soak) for name in HABITS]


@pytest.fixture(params=[*TOGETHER, *ALONE], ids=" and ".join)
def site(request, settings, backups, monkeypatch):
    """A site with some of the habits."""
    for name, value in chain.from_iterable(HABITS[each].items() for each in request.param):
        if name == "ATOMIC_REQUESTS":
            monkeypatch.setitem(connections["default"].settings_dict, name, value)
        elif name == "MIDDLEWARE":
            settings.MIDDLEWARE = [*settings.MIDDLEWARE, *value]
        else:
            setattr(settings, name, value)
    before = get_script_prefix()
    if settings.FORCE_SCRIPT_NAME:
        set_script_prefix(f"{settings.FORCE_SCRIPT_NAME}/")
    yield backups
    set_script_prefix(before)


def address(name, *arguments):
    return reverse(f"{ADMIN}{name}", args=arguments)


def test_everything_that_staff_do_works(site, client, settings):
    User.objects.create_superuser("boss", password="boss")
    assert client.login(username="boss", password="boss")

    def inside(location):
        """The test client adds the prefix of the site by itself."""
        return location.removeprefix(settings.FORCE_SCRIPT_NAME or "")

    def get(place):
        response = client.get(inside(place))
        assert response.status_code == 200, place
        return response

    def post(place, **values):
        response = client.post(inside(place), values)
        assert response.status_code == 302, place
        return get(response.headers["Location"])

    get(address("backup_changelist"))
    get(address("backup_health"))
    post(address("backup_run_now"), databases="default")
    backup = BackupRun.objects.get()
    assert (backup.kind, backup.status) == (Kind.DB_BACKUP, Status.SUCCEEDED), backup.message
    assert backup.path in get(address("backup_changelist")).content.decode()
    User.objects.create_user("late")
    get(f"{address('backup_restore')}?path={backup.path}")
    client.post(inside(address("backup_restore")), {"path": backup.path, "confirm": "default"})
    restore = BackupRun.objects.get(kind=Kind.DB_RESTORE)
    assert restore.status == Status.SUCCEEDED, restore.message
    assert not User.objects.filter(username="late").exists()
    client.login(username="boss", password="boss")
    get(address("backuprun_changelist"))
    get(address("backuprun_change", restore.pk))
    client.post(inside(address("backuprun_undo", restore.pk)), {"confirm": "default"})
    assert User.objects.filter(username="late").exists()
