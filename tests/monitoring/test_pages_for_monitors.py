"""`health/` and `metrics/`: closed, cheap, and true."""

import dataclasses
import json
import logging
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.health import kept
from django_rclone_admin.models import SiteHealth
from tests.support.receivers import mail_settings
from tests.support.verdicts import BEARER, TOKEN, drop_table, samples

pytestmark = pytest.mark.django_db(databases=["default"])

HEALTH, METRICS = (reverse(f"django_rclone_admin:{name}") for name in ("health", "metrics"))
HOUR = timedelta(hours=1)
both = pytest.mark.parametrize("address", [HEALTH, METRICS])


@pytest.fixture(autouse=True)
def only_default(backups, quick_looks):
    backups.configure(DATABASES=["default"], HEALTH={"token": TOKEN})


def person(*, is_staff: bool, permission: str = "", **values: bool) -> Client:
    user = User.objects.create_user("ann", password="x", is_staff=is_staff, **values)
    if permission:
        user.user_permissions.add(Permission.objects.get(codename=permission))
    client = Client()
    client.force_login(user)
    return client


def answer(client: Client, address: str, **headers: str) -> tuple[int, bytes]:
    response = client.get(address, **headers)
    return response.status_code, response.content


@both
def test_without_token_and_permission_all_get_the_same_answer(client, address):
    refused = (403, b"Forbidden\n")
    for header in (
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer ä",
        "Bearer None",
    ):
        assert answer(client, address, HTTP_AUTHORIZATION=header) == refused
    assert answer(client, address) == answer(client, f"{address}?database=nope") == refused
    assert answer(client, f"{address}?token={TOKEN}") == refused
    assert answer(person(is_staff=True), address) == refused


@both
@pytest.mark.parametrize("method", ["get", "head", "post", "put", "delete", "options"])
def test_refusal_is_the_same_by_every_method(address, method):
    response = getattr(Client(enforce_csrf_checks=True), method)(address)
    body = b"" if method == "head" else b"Forbidden\n"
    assert (response.status_code, response.content, response.get("Allow")) == (403, body, None)


def test_token_from_a_file_with_its_line_break_is_right(client, backups):
    backups.configure(HEALTH={"token": f"{TOKEN}\n"})
    assert client.get(METRICS, **BEARER).status_code == 200


@both
def test_permission_without_the_staff_status_is_refused(address):
    assert answer(person(is_staff=False, permission="view_backup"), address)[0] == 403


@both
def test_staff_with_the_permission_and_who_has_the_token_are_let_in(address):
    assert person(is_staff=True, permission="view_backup").get(address).status_code in (200, 503)
    assert Client().get(address, **BEARER).status_code in (200, 503)


@both
def test_without_a_token_in_the_settings_none_is_right(client, backups, address):
    backups.configure(HEALTH={})
    for header in ("Bearer ", "Bearer", "bearer  "):
        assert answer(client, address, HTTP_AUTHORIZATION=header)[0] == 403


@both
def test_page_makes_one_query_and_calls_no_rclone(client, backups, tmp_path, address):
    backups.put(timezone.now() - HOUR)
    api.health()
    backups.count_calls(tmp_path)
    with CaptureQueriesContext(connection) as queries:
        client.get(address, **BEARER)
    assert sum("SAVEPOINT" not in each["sql"] for each in queries) == 1  # the test itself is one transaction
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    assert len(queries) == 0
    assert backups.calls() == []


def test_page_is_not_kept_by_caches_and_only_read(client):
    response = client.get(HEALTH, **BEARER)
    assert "no-store" in response["Cache-Control"]
    assert client.post(HEALTH, **BEARER).status_code == 405


def test_status_goes_with_the_state(client, backups):
    assert client.get(HEALTH, **BEARER).status_code == 503
    path = backups.put(timezone.now() - HOUR)
    api.health()
    response = client.get(HEALTH, **BEARER)
    assert (response.status_code, response.json()["status"]) == (200, "pass")
    assert response["Content-Type"] == "application/health+json"
    backups.remote.write(path, b"cut")
    backups.put(timezone.now() - 2 * HOUR)
    api.refresh()
    api.health()
    assert client.get(HEALTH, **BEARER).json()["status"] == "warn"
    backups.configure(HEALTH={"token": TOKEN, "max_age_hours": 1})
    response = client.get(HEALTH, **BEARER)
    assert (response.status_code, response.json()["status"]) == (503, "fail")


def test_monitor_that_asks_again_and_again_sends_the_administrators_no_mail(
    client, settings, mailoutbox, monkeypatch
):
    """Django mails each answer of 500 and more to ADMINS, with a report of its own; a backup that is missing is no such error."""
    settings.DEBUG, settings.ADMINS = False, mail_settings(0)["ADMINS"]
    logger, records = logging.getLogger("django.request"), list[logging.LogRecord]()
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    logger.addHandler(handler)
    try:
        assert client.get(HEALTH, **BEARER).status_code == 503
    finally:
        logger.removeHandler(handler)
    assert (records, mailoutbox) == ([], [])


def test_old_answer_is_unknown_and_says_its_age(client, backups):
    backups.put(timezone.now() - HOUR)
    api.health()
    row = SiteHealth.objects.get()
    row.facts["gathered_at"] = (timezone.now() - 30 * HOUR).isoformat()
    row.save()
    response = client.get(HEALTH, **BEARER)
    document = response.json()
    assert (response.status_code, document["level"]) == (503, "unknown")
    assert 30 * 3600 <= document["age"] < 30 * 3600 + 60
    assert [each["rule"] for each in document["findings"]] == ["old_answer"]


def test_answer_of_a_wrong_clock_is_unknown_and_gives_way(client, backups):
    backups.put(timezone.now() - HOUR)
    api.health()
    row = SiteHealth.objects.get()
    row.gathered_at = timezone.now() + 1000 * HOUR
    row.facts["gathered_at"] = row.gathered_at.isoformat()
    row.save()
    assert client.get(HEALTH, **BEARER).json()["level"] == "unknown"
    api.health()
    assert client.get(HEALTH, **BEARER).json()["level"] == "ok"


def test_older_look_does_not_take_the_place_of_a_newer_one(backups):
    backups.put(timezone.now() - HOUR)
    api.health()
    newer = kept.load()
    kept.keep(dataclasses.replace(newer, parts=[], gathered_at=newer.gathered_at - HOUR))
    assert kept.load() == newer


@pytest.mark.parametrize("facts", [{}, [], {"parts": 3}, {"gathered_at": "soon"}, "x"], ids=str)
def test_answer_that_nobody_can_read_is_unknown(client, backups, facts):
    SiteHealth.objects.update_or_create(pk="site", defaults={"facts": facts})
    assert client.get(HEALTH, **BEARER).json()["level"] == "unknown"
    assert samples(client, "django_backup_site_level") == [{"value": 3.0}]


@both
def test_missing_table_is_unknown(client, address):
    drop_table(SiteHealth)
    assert client.get(address, **BEARER).status_code == (503 if address == HEALTH else 200)


def test_one_database_can_be_asked_for(client, backups):
    backups.configure(DATABASES=["default", "analytics"])
    backups.put(timezone.now() - HOUR)
    api.health()
    assert client.get(HEALTH, **BEARER).status_code == 503
    assert client.get(f"{HEALTH}?database=default", **BEARER).json()["status"] == "pass"
    assert client.get(f"{HEALTH}?database=nope", **BEARER).status_code == 404


def test_metrics_are_openmetrics_with_0_where_never(client, backups):
    assert samples(client, "django_backup_last_success_timestamp_seconds") == [
        {"database": "default", "kind": "database", "value": 0.0}
    ]
    taken_at = (timezone.now() - HOUR).replace(microsecond=0)
    backups.put(taken_at, size=1234)
    api.health()
    [sample] = samples(client, "django_backup_last_success_timestamp_seconds")
    assert float(sample["value"]) == taken_at.timestamp()
    assert [each["value"] for each in samples(client, "django_backup_last_size_bytes")] == [1234.0]
    assert [each["value"] for each in samples(client, "django_backup_remote_up")] == [1.0]
    assert [each["value"] for each in samples(client, "django_backup_level")] == [0.0]


def test_answer_does_not_grow_with_the_number_of_backups(client, backups):
    for number in range(40):
        backups.put(timezone.now() - number * HOUR)
    api.health()
    assert len(json.dumps(SiteHealth.objects.get().facts)) < 6000
