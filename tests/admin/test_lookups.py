"""The lists answer what their own filters and search ask, and no question that a visitor makes up."""

from datetime import timedelta

import pytest
from django.urls import reverse

from django_rclone_admin.models import BackupRun
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db

CATASTROPHE = "^(([a-z])+.)+[A-Z]([a-z])+$"
LISTS = {
    "backup": ("name", "database", "label", "path", "taken_at", "state", "host"),
    "backuprun": ("database", "path", "label", "message", "requested_by", "created_at", "log"),
}
LOOKUPS = (
    *("regex", "iregex", "contains", "icontains", "startswith"),
    *("date__regex", "year__regex", "in", "range"),
)
QUESTIONS = [(name, field) for name, fields in LISTS.items() for field in fields]


def address(name):
    return reverse(f"admin:django_rclone_admin_{name}_changelist")


@pytest.mark.parametrize("name, field", QUESTIONS)
def test_question_of_a_visitor_is_refused(admin_client, backups, name, field):
    backups.put(label="a" * 40, host="a" * 40)
    BackupRun.objects.create(database="a" * 40, path="a" * 40, message="a" * 40, kind="db_backup")

    for lookup in LOOKUPS:
        response = admin_client.get(address(name), {f"{field}__{lookup}": CATASTROPHE})

        assert response.status_code in (302, 400), lookup
        if response.status_code == 302:
            assert response["Location"].endswith("?e=1"), lookup


@pytest.mark.parametrize(
    "query", ["{0}__REGEX=x", "{0}__exact__regex=x", "pk__regex=x", "q=x&{0}__regex=x", "{0}__iregex=x&o=1"]
)
@pytest.mark.parametrize("name, field", [("backup", "name"), ("backuprun", "path")])
def test_no_other_spelling_gets_through(admin_client, backups, name, field, query):
    backups.put()

    response = admin_client.get(f"{address(name)}?{query.format(field)}")

    assert response.status_code in (302, 400)


@pytest.mark.parametrize(
    "name, query",
    [
        ("backup", "database=default"), ("backup", "kind__exact=database"), ("backup", "state__exact=complete"),
        ("backup", "taken_at__year=2026"), ("backup", "taken_at__year=2026&taken_at__month=11"), ("backup", "q=before"),
        ("backup", "taken_at__year=2026&taken_at__month=11&taken_at__day=20"), ("backup", "o=-4"), ("backup", "p=1"),
        ("backup", "taken_at__gte=2026-11-01+00%3A00%3A00%2B00%3A00&taken_at__lt=2026-12-01+00%3A00%3A00%2B00%3A00"),
        ("backup", "_facets=True"), ("backuprun", "status__exact=succeeded"), ("backuprun", "kind__exact=db_backup"),
        ("backuprun", "database=default"), ("backuprun", "trigger__exact=api"), ("backuprun", "q=x"),
        ("backuprun", "created_at__year=2026"), ("backuprun", "database__isnull=True"),
    ],
)  # fmt: skip
def test_question_of_our_own_is_answered(admin_client, backups, name, query):
    backups.put(label="before the move")
    backups.put(DAY - timedelta(days=1))
    BackupRun.objects.create(database="default", kind="db_backup")

    assert admin_client.get(f"{address(name)}?{query}").status_code == 200
