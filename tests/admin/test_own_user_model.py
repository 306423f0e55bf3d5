"""A project whose people have no user name, sign in by e-mail, and are staff by a rule."""

import json

from tests.site import settings as site_settings
from tests.support.backups import put_media
from tests.support.commands import done
from tests.support.walk import WALK

WORK = """
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django_rclone_admin.models import Backup, BackupRun, Kind
ADMIN, EMAIL = "admin:django_rclone_admin_", "x" * 230 + "@example.com"
members = get_user_model().objects
client = Client(SERVER_NAME="localhost")
client.force_login(members.create_superuser(EMAIL))
client.post(reverse(ADMIN + "backup_run_now"), {"databases": "default"})
run = BackupRun.objects.get()
assert (run.status, run.requested_by) == ("succeeded", EMAIL[:150]), run.message
members.create_superuser("late@example.com")
path = Backup.objects.get(kind="database").path
client.post(reverse(ADMIN + "backup_restore"), {"path": path, "confirm": "default"})
run = BackupRun.objects.get(kind=Kind.DB_RESTORE)
assert (run.status, members.count()) == ("succeeded", 1), run.message
client.force_login(members.get())
client.post(reverse(ADMIN + "backup_open", args=[quote(path)]))
assert BackupRun.objects.get(kind=Kind.OPEN).status == "succeeded"
"""


def test_all_works_with_a_user_model_of_the_project(make_shop):
    shop = make_shop("sqlite", EXECUTOR="django_rclone_admin.executors.ImmediateExecutor")
    shop.settings |= {
        "AUTH_USER_MODEL": "members.Member",
        "INSTALLED_APPS": ["tests.support.members", *site_settings.INSTALLED_APPS],
        "DATABASES": {
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(shop.home / "members.sqlite3")}
        },
    }
    put_media(shop.remote, {"photo.jpg": b"a photo"})
    done(shop, "migrate", "--run-syncdb", "--verbosity=0")
    assert json.loads(done(shop, "shell", "--verbosity=0", "-c", WORK + WALK)) == {}
