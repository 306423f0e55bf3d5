"""A site that has the app installed pays for it at each start: only for what it needs then."""

import subprocess
import sys

from django_rclone_admin import api
from django_rclone_admin.api import public
from tests.support.forking import REPOSITORY

SCRIPT = """
import sys
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check"])
print(*sys.modules)
from django_rclone_admin import api
api.backup_database
import django_rclone_admin.management.base
print(*sys.modules)
"""
HEAVY = {
    "api.backups": "the functions of the API",
    "jobs.job": "what carries out runs",
    "core.rclone": "the client of rclone",
    "core.process": "what starts programs",
    "core.catalog": "what arranges the backup list",
    "connectors.base": "what knows databases",
    "health.kept": "what judges the site",
    "notifications.worker": "what tells people",
}
"""Modules of the package that the first use imports, and what they are."""
OTHERS = {
    "api.media",
    "doctor",
    "jobs.comparing",
    "jobs.opening",
    "jobs.restore",
    "jobs.verify",
    "media",
    "notifications.events",
}
"""Modules of the package for other commands than a backup."""
MOST = 80
"""Modules of the package that a start may import; 150 took 115 ms of a processor, these take 45."""


def test_start_of_a_site_imports_only_what_it_needs(shop):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**shop.environment, "DJANGO_SETTINGS_MODULE": "tests.site.settings"}, cwd=REPOSITORY, capture_output=True, text=True, check=True
    )  # fmt: skip
    at_start, for_a_backup = done.stdout.splitlines()[-2:]
    imported = set(at_start.split())
    ours = {name for name in imported if name.startswith("django_rclone_admin.")}
    assert "django_rclone_admin.admin.backups" in ours  # the start was a whole one
    assert {f"django_rclone_admin.{name}" for name in HEAVY} & ours == set()
    assert not imported & {"backports.zstd", "compression.zstd", "sqlite3.dump", "urllib.request"}
    assert len(ours) <= MOST
    assert "django_rclone_admin.jobs.backup" in for_a_backup.split()
    assert {f"django_rclone_admin.{name}" for name in OTHERS} & set(for_a_backup.split()) == set()


def test_api_exports_what_type_checkers_see():
    """Each name is the same object, wherever the first use finds it."""
    assert sorted(api.__all__) == sorted(public.__all__)
    assert {name for name in api.__all__ if getattr(api, name) is not getattr(public, name)} == set()
