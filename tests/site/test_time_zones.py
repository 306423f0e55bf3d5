"""A site without time zones, far from Greenwich, with separators in its numbers: everything works as elsewhere."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.utils import quote
from django.urls import reverse

from django_rclone_admin.models import Backup, BackupRun
from tests.support.commands import document, done
from tests.support.html import read_page
from tests.support.matrix import sampled

FAR = {
    "USE_TZ": False,
    "TIME_ZONE": "Pacific/Auckland",
    "USE_THOUSAND_SEPARATOR": True,
    "LANGUAGE_CODE": "de",
}
pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


@pytest.fixture
def far_shop(make_shop):
    shop = make_shop("sqlite")
    shop.settings |= FAR
    return shop


def take_zones_away(shop, backup):
    """Let the manifest of a backup have times of the site without a zone, after it was seen to have one."""
    path = f"{backup}.manifest.json"
    manifest = json.loads(shop.remote.read(path))
    for key in ("taken_at", "finished_at"):
        moment = datetime.fromisoformat(manifest[key])
        assert moment.tzinfo
        manifest[key] = moment.astimezone(ZoneInfo(FAR["TIME_ZONE"])).replace(tzinfo=None).isoformat()
    shop.remote.write(path, json.dumps(manifest).encode() + b"\n")


def test_backup_is_complete_and_restores_even_with_times_that_have_no_zone(far_shop):
    rows = far_shop.rows()
    run = document(far_shop, "dbbackup", "--label=far")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(run["started_at"])) < timedelta(minutes=10)
    take_zones_away(far_shop, run["path"])
    [listed] = document(far_shop, "listbackups")
    assert (listed["state"], datetime.fromisoformat(listed["taken_at"]).tzinfo) == ("complete", UTC)
    plan = document(far_shop, "dbrestore", "--dry-run")
    assert 0 <= plan["age_seconds"] < 600
    far_shop.execute("DELETE FROM shop_orderline")
    # An undo is in tests.admin.test_habits_of_sites.
    done(far_shop, "dbrestore", "--noinput", "--no-safety-backup")
    assert far_shop.rows() == rows
    done(far_shop, "prunebackups")


@pytest.mark.parametrize("zone", sampled(["Pacific/Auckland", "America/St_Johns", "UTC"], "America/St_Johns"))
def test_every_page_shows_the_time_of_the_site(admin_client, backups, settings, zone):
    backups.configure(EXECUTOR="tests.admin.test_dashboard_permissions.IdleExecutor")
    settings.USE_TZ, settings.TIME_ZONE = False, zone
    settings.USE_THOUSAND_SEPARATOR = True
    now = datetime.now(UTC).replace(microsecond=0)
    path = backups.put(now - timedelta(hours=1), size=1_234_567, label="far")
    backups.put(now - timedelta(days=400))
    local = (now - timedelta(hours=1)).astimezone(ZoneInfo(zone))
    admin = "admin:django_rclone_admin_"
    admin_client.post(reverse(f"{admin}backup_run_now"), {"databases": "default"})
    run = BackupRun.objects.get()
    assert abs(datetime.now(UTC) - run.created_at) < timedelta(minutes=10)
    day = {f"taken_at__{unit}": getattr(local, unit) for unit in ("year", "month", "day")}
    addresses = [
        (reverse(f"{admin}backup_changelist"), {}),
        (reverse(f"{admin}backup_changelist"), day),
        (reverse(f"{admin}backup_changelist"), {"taken_at__gte": f"{local:%Y-%m-%d} 00:00:00"}),
        (reverse(f"{admin}backup_health"), {}),
        (reverse(f"{admin}backup_change", args=[quote(path)]), {}),
        (reverse(f"{admin}backup_restore"), {"path": path}),
        (reverse(f"{admin}backuprun_changelist"), {"created_at__year": local.year}),
        (reverse(f"{admin}backuprun_change", args=[run.pk]), {}),
    ]
    for address, query in addresses:
        response = admin_client.get(address, query)
        assert response.status_code == 200, (address, query)
    text = read_page(admin_client.get(reverse(f"{admin}backup_changelist"), day)).text
    assert f"{local:%-H:%M}" in text or f"{local:%-I:%M}" in text or f"{local:%-I}" in text
    assert Backup.objects.filter(taken_at__year=local.year, path=path).exists()


def test_history_keeps_its_moments_when_the_site_gets_time_zones(settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "Pacific/Auckland"
    moment = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    run = BackupRun.objects.create(kind="db_backup", database="default", created_at=moment)
    run.refresh_from_db()
    assert run.created_at == moment
    assert BackupRun.objects.filter(created_at__gt=moment - timedelta(seconds=1)).exists()
    assert not BackupRun.objects.filter(created_at__gt=moment + timedelta(seconds=1)).exists()
