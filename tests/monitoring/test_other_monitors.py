"""What other programs show: django-health-check, the index of the admin, Prometheus and Grafana."""

import importlib.util
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.models import SiteHealth
from django_rclone_admin.monitoring.metrics import metrics_text
from tests.support.verdicts import drop_table

DOCS = Path(__file__).resolve().parents[2] / "docs" / "how-to"
HOUR = timedelta(hours=1)


@pytest.fixture
def site(backups, quick_looks, db):
    backups.configure(DATABASES=["default"])
    backups.put(timezone.now() - 3 * HOUR)
    return backups


@pytest.mark.skipif(
    not importlib.util.find_spec("health_check"), reason="django-health-check needs Django 5.2"
)
def test_check_for_django_health_check_says_what_is_wrong(site):
    from health_check.exceptions import ServiceUnavailable, ServiceWarning

    from django_rclone_admin.health_check import Backups

    with pytest.raises(ServiceUnavailable, match="not been evaluated"):
        Backups().run()
    api.health()
    Backups().run()
    site.configure(HEALTH={"min_free": 10**18})
    with pytest.raises(ServiceWarning, match="free"):
        Backups().run()
    site.configure(HEALTH={"max_age_hours": 1})
    with pytest.raises(ServiceUnavailable, match="old"):
        Backups().run()


def index(client: Client) -> str:
    return client.get(reverse("admin:index")).content.decode()


def test_index_of_the_admin_says_it_where_backups_are_not_green(site, admin_client, tmp_path):
    assert "not been evaluated yet" in index(admin_client)
    api.health()
    assert "See the backups" not in index(admin_client)
    site.configure(HEALTH={"max_age_hours": 1})
    site.count_calls(tmp_path)
    for _number in range(2):  # it is said once on each visit, and is not heaped up
        assert index(admin_client).count("Backups: Action needed. default: The last backup is") == 1
    assert site.calls() == []
    assert "Action needed." not in admin_client.get(reverse("admin:auth_user_changelist")).content.decode()


@pytest.mark.parametrize("permission", ["view_backuprun", "view_backup"])
def test_index_says_it_to_those_who_may_see_backups(site, permission):
    site.configure(HEALTH={"max_age_hours": 1})
    api.health()
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=permission))
    client = Client()
    client.force_login(user)
    assert ("Action needed." in index(client)) == (permission == "view_backup")


def test_index_survives_a_missing_table(site, admin_client):
    drop_table(SiteHealth)
    assert "Site administration" in index(admin_client)


def metrics() -> set[str]:
    return set(re.findall(r"^# TYPE (\S+)", metrics_text(api.health()), re.MULTILINE))


@pytest.mark.parametrize("name", ["prometheus-alerts.yml", "grafana-dashboard.json"])
def test_files_for_monitors_ask_for_metrics_that_exist(site, name):
    asked = set(re.findall(r"django_backup_\w+", (DOCS / name).read_text()))
    assert len(asked) > 4
    assert asked <= metrics()


def test_metrics_of_the_reference_are_those_that_exist(site):
    text = (DOCS.parent / "reference" / "health.md").read_text()
    assert set(re.findall(r"^\| `(django_backup_\w+)` \|", text, re.MULTILINE)) == metrics()


def test_dashboard_is_what_grafana_imports():
    board = json.loads((DOCS / "grafana-dashboard.json").read_text())
    assert board["schemaVersion"] >= 36
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert {panel["type"] for panel in board["panels"]} <= {"stat", "timeseries", "table"}
    assert all(target["expr"] for panel in board["panels"] for target in panel["targets"])
