"""Visits every page of the dashboard as a superuser, in whatever project the settings describe; run by ``manage.py shell``."""

import json
import re
from urllib.parse import quote

from django.conf import settings
from django.contrib.admin.utils import quote as as_key
from django.contrib.auth import get_user_model
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from django_rclone_admin.models import Backup, BackupRun, Kind, OpenedBackup

APP = "admin:django_rclone_admin"
DJANGOS = ("backup history", "delete", "index")
"""Pages that are Django's, or the theme's, and have nothing of ours."""
WALK = "from tests.support.walk import walk; walk()"
"""What ``manage.py shell -c`` has to be given."""


def addresses() -> dict[str, str]:
    """Return the address of each page by a name for it."""
    database, media = (Backup.objects.filter(kind=kind).first() for kind in ("database", "media"))
    restore = BackupRun.objects.filter(kind=Kind.DB_RESTORE).latest("created_at")
    opened = OpenedBackup.objects.get()
    return {
        "list": reverse(f"{APP}_backup_changelist"),
        "health": reverse(f"{APP}_backup_health"),
        "choose": reverse(f"{APP}_backup_run_now"),
        "backup": reverse(f"{APP}_backup_change", args=[as_key(database.pk)]),
        "backup history": reverse(f"{APP}_backup_history", args=[as_key(database.pk)]),
        "delete": reverse(f"{APP}_backup_delete", args=[as_key(database.pk)]),
        "restore": f"{reverse(f'{APP}_backup_restore')}?path={quote(database.pk)}",
        "media backup": reverse(f"{APP}_backup_change", args=[as_key(media.pk)]),
        "files": reverse(f"{APP}_backup_files", args=[as_key(media.pk)]),
        "restore media": f"{reverse(f'{APP}_backup_restore')}?path={quote(media.pk)}",
        "runs": reverse(f"{APP}_backuprun_changelist"),
        "run": reverse(f"{APP}_backuprun_change", args=[restore.pk]),
        "undo": reverse(f"{APP}_backuprun_undo", args=[restore.pk]),
        "opened backups": reverse(f"{APP}_openedbackup_changelist"),
        "opened backup": f"{reverse(f'{APP}_openedbackup_change', args=[opened.pk])}?compare=1",
        "put live": reverse(f"{APP}_openedbackup_live", args=[opened.pk]),
        "schedules": reverse(f"{APP}_backupschedule_changelist"),
        "schedule": reverse(f"{APP}_backupschedule_add"),
        "clean-up preview": f"{reverse(f'{APP}_backup_retention')}?last=2",
        "index": reverse("admin:index"),
    }


def walk() -> None:
    """Print what is wrong with each page, as JSON: an object with the names of pages that are not right."""
    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model().objects.get(is_superuser=True))
    static = re.compile(rf"""(?:href|src)=["']{re.escape(settings.STATIC_URL)}([^"'?#]+)""")
    wrong: dict[str, list[str]] = {}
    for name, address in addresses().items():
        response = client.get(address)
        html = response.content.decode()
        troubles = [f"status {response.status_code}"] if response.status_code != 200 else []
        troubles += [f"no static file {each}" for each in set(static.findall(html)) if not finders.find(each)]
        if name not in DJANGOS and "dra-" not in html:
            troubles.append("nothing of ours")
        if troubles:
            wrong[name] = troubles
    print(json.dumps(wrong))  # noqa: T201 (what the test reads)
