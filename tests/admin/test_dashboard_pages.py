"""The dashboard in the admin: what its pages show, what they refuse, and what they do."""

import json
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import uuid4

import django
import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_rclone_admin.models import Backup, BackupRun, Kind, Status, Trigger
from tests.support import programs
from tests.support.backups import DAY
from tests.support.html import Page, read_page
from tests.support.matrix import sampled
from tests.support.programs import UPLOAD
from tests.support.waiting import wait_for

APP = "admin:django_rclone_admin"
SCRIPT = "<script>alert(1)</script>"

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])
with_commits = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


def url(name: str, *arguments: Any) -> str:
    """Return the address of one of our pages: ``url("backup_change", path)``."""
    return reverse(f"{APP}_{name}", args=[quote(str(each)) for each in arguments])


def make_run(**values: Any) -> BackupRun:
    """Put a run into the history that nobody made; ended unless said otherwise."""
    now = timezone.now()
    usual = {"kind": Kind.DB_BACKUP, "status": Status.SUCCEEDED, "database": "default", "started_at": now}
    return BackupRun.objects.create(**usual | {"finished_at": now, "heartbeat_at": now} | values)


def get(client: Client, address: str, status: int = 200, **values: Any) -> Page:
    """Get a page that has to have nothing which a strict policy forbids."""
    response = client.get(address, values, follow=False)
    assert response.status_code == status, (address, response)
    page = read_page(response)
    assert page.forbidden == [], address
    return page


def post(client: Client, address: str, **values: Any) -> Page:
    """Post, follow the redirect and return the page that a person then sees."""
    response = client.post(address, values, follow=True)
    assert response.redirect_chain, (address, response.status_code)
    assert response.status_code == 200, address
    return read_page(response)


def logged() -> list[str]:
    """Return what Django's log says, oldest first."""
    entries = LogEntry.objects.order_by("pk")
    return [each.get_change_message() or each.get_action_flag_display() for each in entries]


# -- every page, with little and with much ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", sampled([0, 1, 110, 210], 0, 110))
def test_every_page_shows_any_number_of_backups(admin_client, backups, count):
    for number in range(count):
        taken_at = DAY - timedelta(hours=7 * number)
        backups.put(
            taken_at, database=("default", "analytics")[number % 2], size=number + 1, label=f"no {number}"
        )
        make_run(path=f"db/{number}", created_at=taken_at) if number % 10 == 0 else None
    page = get(admin_client, url("backup_changelist"))
    counted = f"{count} backup{'' if count == 1 else 's'}" if count else "There are no backups"
    assert counted in page.text
    for query in (
        {"o": "1"}, {"o": "-2.3"}, {"o": "-3"}, {"o": "4"}, {"o": "5.-1"},
        {"q": "no 1"}, {"q": "%_'\"<b>"}, {"database": "analytics"}, {"state__exact": "complete"},
        {"kind__exact": "database"}, {"taken_at__gte": "2026-11-01 00:00:00+00:00"},
        {"taken_at__year": "2026"}, {"taken_at__year": "2026", "taken_at__month": "11"},
        {"taken_at__year": "2026", "taken_at__month": "11", "taken_at__day": "20"}, {"all": ""},
    ):  # fmt: skip
        get(admin_client, url("backup_changelist"), **query)
    if count > 100:
        last_page = get(admin_client, url("backup_changelist"), p=str(count // 100 + 1))
        assert f"no {count - 1}" in last_page.text
    for name in ("backup_run_now", "backup_health", "backuprun_changelist"):
        get(admin_client, url(name))
    get(admin_client, url("backuprun_changelist"), o="-3.1", q="db")
    get(admin_client, reverse("admin:index"))
    get(admin_client, reverse("admin:app_list", args=["django_rclone_admin"]))
    for path in backups.paths[:1]:
        get(admin_client, url("backup_change", path))
        get(admin_client, url("backup_history", path))
        get(admin_client, url("backup_delete", path))
        assert "Type “default” to confirm" in get(admin_client, url("backup_restore"), path=path).text
    for run in BackupRun.objects.all()[:1]:
        get(admin_client, url("backuprun_change", run.pk))
        get(admin_client, url("backuprun_history", run.pk))


@pytest.mark.skipif(django.VERSION < (5, 0), reason="Django 4.2 does not count")
def test_filters_count_what_they_would_show(admin_client, backups):
    for number in range(5):
        backups.put(
            DAY - timedelta(days=number), database=("default", "analytics")[number % 2], manifest=number > 0
        )
    text = get(admin_client, url("backup_changelist"), _facets="True", state__exact="complete").text
    assert "analytics (2) default (2)" in text
    assert "complete (4) legacy (1)" in text


# -- what cannot be reached, read or trusted ----------------------------------------------------------------------------


def test_a_remote_that_is_down_is_said_with_a_hint_and_the_history_still_works(admin_client, backups):
    path, run = backups.put(), make_run(message="Stored it.", path="db/the-last-one.dump.zst", size=2048)
    make_run(status=Status.FAILED, path="db/failed.dump.zst")
    backups.take_down()
    page = get(admin_client, url("backup_changelist"))
    assert page.text.count("The remote can't be reached") == 1
    assert "Check the network and the remote's address" in page.text
    assert "The list can't be loaded." in page.text
    assert "Try again" in page.text
    assert "0 backups" not in page.text
    assert "2.0 KB · the-last-one.dump.zst" in page.text
    assert "failed.dump.zst" not in page.text
    panel = get(admin_client, url("backup_health"))
    assert "The remote does not answer" in panel.text
    assert "No backup yet" not in panel.text  # nobody knows
    assert "at risk" not in panel.text
    assert "Check the network" in panel.text
    assert "Stored it." in get(admin_client, url("backuprun_change", run.pk)).text
    assert "succeeded" in get(admin_client, url("backuprun_changelist")).text
    get(admin_client, url("backup_run_now"))
    for name, arguments in {
        "backup_change": [path], "backup_delete": [path], "backup_history": [path], "backup_download": [path],
    }.items():  # fmt: skip
        response = admin_client.get(url(name, *arguments), follow=True)
        assert "The remote can't be reached" in read_page(response).text, name
        assert "exist" not in read_page(response).text, name
    assert "can't be reached" in post(admin_client, url("backup_pin", path)).text
    response = admin_client.get(url("backup_restore"), {"path": path}, follow=True)
    assert "can't be reached" in read_page(response).text
    assert backups.remote.names() == [path, f"{path}.manifest.json"]


def test_a_remote_that_lists_but_does_not_read_is_said_with_a_hint(admin_client, backups, tmp_path):
    path = backups.put(pinned=True)
    program = programs.fail(
        tmp_path / "bin", "rclone", backups.remote.binary, message="AccessDenied: 403", when=r"\bcat\b"
    )
    backups.configure(RCLONE_BINARY=str(program))
    for address in (url("backup_changelist"), url("backup_health")):
        assert "The remote denied access" in get(admin_client, address).text
    for name in ("backup_change", "backup_delete", "backup_download"):
        response = admin_client.get(url(name, path), follow=True)
        assert "The remote denied access" in read_page(response).text, name
    page = post(admin_client, url("backup_changelist"), action="unpin_selected", _selected_action=path)
    assert "The remote denied access" in page.text


def test_a_remote_that_refuses_to_delete_is_said_with_a_hint(admin_client, backups, tmp_path):
    path = backups.put()
    program = programs.fail(
        tmp_path / "bin", "rclone", backups.remote.binary, message="AccessDenied: 403", when="delete|touch"
    )
    backups.configure(RCLONE_BINARY=str(program))
    for page in (
        post(admin_client, url("backup_delete", path), post="yes"),
        post(
            admin_client,
            url("backup_changelist"),
            action="delete_selected",
            _selected_action=path,
            post="yes",
        ),
        post(admin_client, url("backup_changelist"), action="pin_selected", _selected_action=path),
        post(admin_client, url("backup_pin", path)),
    ):
        assert "The remote denied access" in page.text
        assert "uccessfully" not in page.text
    assert path in backups.remote.names()
    assert "Pinned." not in logged()


def test_damaged_legacy_and_pinned_backups_are_told_apart(admin_client, backups):
    complete = backups.put(DAY, label="weekly")
    legacy = backups.put(DAY - timedelta(days=1), manifest=False, pinned=True)
    damaged = backups.put(DAY - timedelta(days=2), size=100)
    backups.remote.write(damaged, b"cut")
    empty = backups.put(DAY - timedelta(days=3), size=0, manifest=False)
    unreadable = backups.put(DAY - timedelta(days=4), manifest=b"[" * 100_000)
    backups.remote.write(f"{complete}.partial-{'0' * 32}", b"half")
    page = get(admin_client, url("backup_changelist"))
    badges = [
        each.attributes["class"].removeprefix("dra-badge dra-")
        for each in page.elements
        if each.attributes.get("class", "").startswith("dra-badge")
    ]
    assert badges == [
        "warning",
        "legacy",
        "damaged",
        "damaged",
        "damaged",
    ]  # one is pinned; the first is complete
    assert page.text.count("pinned") == 1
    assert "partial" not in page.text
    for path, is_restorable in (
        (complete, True),
        (legacy, True),
        (damaged, False),
        (empty, False),
        (unreadable, False),
    ):
        page = get(admin_client, url("backup_change", path))
        assert any("restore" in link for link in page.links()) == is_restorable, path
        response = admin_client.get(url("backup_restore"), {"path": path}, follow=True)
        assert ("is damaged" in read_page(response).text) != is_restorable, path
    assert "no manifest" in get(admin_client, url("backup_restore"), path=legacy).text
    assert "the retention keeps it" in get(admin_client, url("backup_change", legacy)).text


HOSTILE = (
    "default-<script>alert(1)<script>.dump",
    "default-2026-01-01-000000.<img src=x onerror=alert(1)>",
    'default-2026-01-01-000000.dump" onclick="alert(1)',
    "default-2026-01-01-000000.dump\n",
    "default-2026-01-01-000000\n.dump",
    "default-2026-01-01-000000.dump'; DROP TABLE x",
    "default-2026-01-01-000000.%2e%2e%2fpasswd",
    "%s%n%(name)s-2026-01-01-000000.dump",
    "default-2026-01-01-000000.dump🦀",
    "..-2026-01-01-000000.dump",
    "-2026-01-01-000000.dump",
    "--config=x-2026-01-01-000000.dump",
    "default-2026-02-31-000000.dump",
    "default-0000-01-01-000000.dump",
    "default-0001-01-01-000000.dump",
    "default-9999-12-31-235959.dump",
    "y" * 200,
)
"""Names of files that are no backups: none may be shown or touched."""

AS_BAD = [f"db/{name}" for name in HOSTILE[::2]]
"""Paths of some that are refused for the same reasons as the others."""

STRANGE = (
    "+cmd@x-2026-01-02-000000.dump",
    "données-2026-01-03-000000.dump",
    f"default-2026-01-04-000000.{'x' * 200}",
    f"{'a' * 200}-2026-01-05-000000.dump",
)
"""Names of backups that are ours by their form."""


@pytest.mark.in_turns("zone")
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
def test_hostile_names_are_not_shown(admin_client, backups, settings, zone):
    settings.TIME_ZONE = zone
    for name in HOSTILE:
        backups.remote.write(f"db/{name}", b"hostile")
    for name in STRANGE:
        backups.put(name=name, database=name.partition("-")[0], manifest=False)
    page = get(admin_client, url("backup_changelist"))
    assert "4 backups" in page.text
    assert not any(name.strip() in page.text for name in HOSTILE)
    titles = {each.attributes.get("title") for each in page.elements}
    assert titles >= set(STRANGE)
    for name in STRANGE:
        get(admin_client, url("backup_change", f"db/{name}"))


def test_what_is_not_listed_cannot_be_used(admin_client, backups):
    good = backups.put()
    for name in HOSTILE:
        backups.remote.write(f"db/{name}", b"hostile")
    backups.remote.write(f"{good}.partial-{'0' * 32}", b"half")
    backups.remote.write("secret.txt", b"not in our folder")
    before, chosen = backups.remote.files(), []
    for path in (
        *(f"db/{name}" for name in HOSTILE), f"{good}.manifest.json", f"{good}.partial-{'0' * 32}", f"{good}\0", f"{good}/",
        "secret.txt", "db/../secret.txt", "../x", f"db/../{good}", "/etc/passwd", "db", ".", "..", "db//", SCRIPT,
    ):  # fmt: skip
        assert admin_client.get(url("backup_download", path)).status_code == 404, path
        assert admin_client.post(url("backup_pin", path)).status_code == 404, path
        assert admin_client.get(url("backup_change", path)).status_code == 302, path
        assert admin_client.post(url("backup_delete", path), {"post": "yes"}).status_code == 302, path
        chosen.append(path)
        if path not in {*AS_BAD}:  # each restore looks at the remote itself
            response = admin_client.post(url("backup_restore"), {"path": path, "confirm": "default"})
            assert response.url == url("backup_changelist"), path
    values = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    assert admin_client.post(url("backup_changelist"), values).status_code in (200, 302)
    page = get(admin_client, url("backup_changelist"))
    assert "There is no backup “secret.txt” on the remote." in page.text
    assert SCRIPT in page.text
    assert backups.remote.files() == before
    assert not BackupRun.objects.exists()


def test_hostile_manifests_are_shown_safely(admin_client, backups):
    texts = dict.fromkeys(
        ("label", "host", "server_version", "tool_version", "trigger", "engine", "run"), SCRIPT
    )
    path = backups.put(**texts, tables=[SCRIPT], migrations={SCRIPT: [SCRIPT]})
    page = get(admin_client, url("backup_changelist"))
    assert SCRIPT in page.text
    assert get(admin_client, url("backup_change", path)).text.count(SCRIPT) > 6
    assert "scripts" not in get(admin_client, url("backup_health")).text


WRONG = (
    {"tables": "shop"}, {"tables": [1, None]}, {"tables": None}, {"migrations": ["x"]}, {"migrations": {"x": 1}},
    {"label": {"a": 1}}, {"run": 7}, {"size": -1}, {"raw_size": 10**400}, {"host": None}, {"trigger": []}, {"format": "1"},
    {"format": 99}, {"group": 7}, {"taken_at": "yesterday"}, {"finished_at": 5}, {"name": []},
)  # fmt: skip
"""What a manifest may not say."""


def test_manifests_with_wrong_values_make_damaged_backups_and_no_broken_pages(admin_client, backups):
    for day, wrong in enumerate(WRONG):
        path = backups.put(DAY - timedelta(days=day))
        values = json.loads(backups.remote.read(f"{path}.manifest.json"))
        backups.remote.write(f"{path}.manifest.json", json.dumps(values | wrong).encode())
    page = get(admin_client, url("backup_changelist"))
    states = [each.attributes.get("class", "") for each in page.elements if each.tag == "span"]
    assert sum("dra-damaged" in each for each in states) == len(WRONG)
    for path in backups.paths:
        get(admin_client, url("backup_change", path))
    get(admin_client, url("backup_health"))


REFUSED, SHOWN = 400, 200
CRAFTED = {
    "migrations__shop=1": REFUSED, "taken_at__week=3": REFUSED, "size__lt=x": SHOWN, "pk__in=a,b": REFUSED, "name__regex=(": REFUSED,
    "name__iregex=(a+)%2B$": REFUSED, "nonsense=1": SHOWN, "o=99": SHOWN, "p=77": SHOWN, "q=%00": SHOWN, "taken_at__year=x": SHOWN,
    "e=1": SHOWN, "taken_at__year=10000": SHOWN,
}  # fmt: skip
"""Queries that no page of ours asks, and the status of the answer: a lookup that no filter needs is refused."""


def test_crafted_queries_break_nothing(admin_client, backups):
    backups.put()
    page = url("backup_changelist")
    found = {query: admin_client.get(f"{page}?{query}", follow=True).status_code for query in CRAFTED}
    assert found == CRAFTED


# -- restore ------------------------------------------------------------------------------------------------------------


def test_the_confirmation_says_what_a_restore_would_do(admin_client, backups):
    tables = [each for each in connection.introspection.table_names() if each != "shop_order"]
    path = backups.put(
        DAY, label="before the move", tables=tables, server_version="3.44",
        migrations={"shop": ["0001_initial"], "gone": ["0009_away"]},
    )  # fmt: skip
    text = get(admin_client, url("backup_restore"), path=path).text
    for fact in (
        "Restore default?", path.removeprefix("db/"), "before the move", "SQLite 3.44", "SHA-256 recorded",
        "Tables that will be dropped shop_order", "The backup is ahead of the code: gone.0009_away", "The code is ahead:",
        "auth.0001_initial", "The current data is backed up and kept for 7 days", "All-or-nothing",
        "everyone may be logged out, you too", "Type “default” to confirm",
    ):  # fmt: skip
        assert fact in text, fact
    analytics = backups.put(database="analytics", tables=["analytics_pageview"], migrations={})
    text = get(admin_client, url("backup_restore"), path=analytics).text
    assert "not affected, sessions are stored elsewhere" in text
    assert "Type “analytics” to confirm" in text
    # By the name of the backup too, as commands take it
    assert "analytics?" in get(admin_client, url("backup_restore"), path=analytics.removeprefix("db/")).text


def test_a_wrong_confirmation_starts_nothing(admin_client, backups):
    path = backups.put()
    for typed in ("", "Défault", "analytics"):
        response = admin_client.post(url("backup_restore"), {"path": path, "confirm": typed})
        page = read_page(response)
        assert response.status_code == 200, typed
        assert ("Type “default” to confirm." if typed else "This field is required") in page.text
    assert not BackupRun.objects.exists()
    assert logged() == []


def test_restore_asks_for_exactly_one_backup(admin_client, backups):
    paths = [backups.put(DAY - timedelta(days=ago)) for ago in range(2)]
    page = post(admin_client, url("backup_changelist"), action="restore_selected", _selected_action=paths)
    assert "Choose one backup: a restore replaces one database." in page.text
    page = post(admin_client, url("backup_changelist"), action="restore_selected", _selected_action=paths[1])
    assert f"From {paths[1].removeprefix('db/')}" in page.text
    assert not BackupRun.objects.exists()


def test_a_backup_of_a_database_that_is_not_configured_is_refused(admin_client, backups):
    path = backups.put(database="elsewhere")
    assert "elsewhere" in get(admin_client, url("backup_changelist")).text
    response = admin_client.get(url("backup_restore"), {"path": path}, follow=True)
    assert response.redirect_chain == [(url("backup_changelist"), 302)]
    assert "elsewhere" in read_page(response).text


@pytest.mark.parametrize("options, nothing_changed", [({}, True), ({"unfinished": True}, False)])
def test_failed_restore_says_that_nothing_changed_only_if_that_is_so(admin_client, options, nothing_changed):
    run = make_run(kind=Kind.DB_RESTORE, status=Status.FAILED, options=options)
    page = get(admin_client, url("backuprun_change", run.pk))
    assert ("this restore is all-or-nothing" in page.text) is nothing_changed


def test_a_site_can_take_restores_out_of_the_admin(admin_client, backups):
    path, run = backups.put(), make_run(kind=Kind.DB_RESTORE, status=Status.FAILED, path="db/x")
    backups.configure(ADMIN_RESTORE=False)
    for address in (url("backup_changelist"), url("backup_change", path), url("backuprun_change", run.pk)):
        page = get(admin_client, address)
        assert "Restore selected" not in page.text
        assert not any(
            f"/{name}/" in link
            for link in page.links() + page.forms()
            for name in ("restore", "retry", "undo")
        )
    for method, address in (
        (admin_client.get, url("backup_restore")),
        (admin_client.post, url("backup_restore")),
        (admin_client.post, url("backuprun_retry", run.pk)),
        (admin_client.post, url("backuprun_undo", run.pk)),
    ):
        assert method(address, {"path": path, "confirm": "default"}).status_code == 403
    values = {"action": "restore_selected", "_selected_action": path}
    assert "No action selected" in post(admin_client, url("backup_changelist"), **values).text
    assert BackupRun.objects.count() == 1


@with_commits
def test_backup_restore_undo_and_retry_do_their_work_and_are_logged(admin_client, backups, django_user_model):
    values = {"databases": ["default"], "label": "before the move"}
    page = post(admin_client, url("backup_run_now"), **values)
    assert "Backup of “default” started." in page.text
    assert "Backup of default succeeded" in page.text
    [backup] = Backup.objects.all()
    assert (backup.label, backup.trigger, backup.state) == ("before the move", Trigger.ADMIN, "complete")
    assert backup.group == ""
    made = BackupRun.objects.get()
    assert (made.requested_by, made.path) == ("admin", backup.path)
    page = get(admin_client, url("backup_change", backup.path))
    assert "Run: database backup, started" in page.text
    assert "together with" not in page.text.lower()
    assert url("backuprun_change", made.pk) in page.links()

    django_user_model.objects.create_user("newcomer")
    page = post(admin_client, url("backup_restore"), path=backup.path, confirm=" default ")
    assert "Restore of default succeeded" in page.text
    assert not django_user_model.objects.filter(username="newcomer").exists()
    restored = BackupRun.objects.get(kind=Kind.DB_RESTORE)
    assert (restored.requested_by, restored.trigger) == ("admin", Trigger.ADMIN)
    assert Backup.objects.filter(trigger=Trigger.SAFETY).count() == 1
    assert logged() == [f"Restore of {backup.path} started."]

    undo = url("backuprun_undo", restored.pk)
    assert undo in page.links()
    page = post(admin_client, undo, confirm="default")
    assert "Undo of the restore of default succeeded" in page.text
    assert django_user_model.objects.filter(username="newcomer").exists()
    assert "Only the last restore" in post(admin_client, undo, confirm="default").text

    page = post(admin_client, url("backuprun_retry", restored.pk))
    assert "Restore default?" in page.text
    # The log is part of the database, so it goes back with it; the history of the runs does not.
    assert logged() == ["Backup of “default” started.", "Undo of a restore started."]
    assert BackupRun.objects.filter(requested_by="admin").count() == BackupRun.objects.count()


@with_commits
def test_run_now_backs_up_everything_unless_databases_are_chosen(admin_client, backups):
    response = admin_client.post(url("backup_run_now"))
    assert response.url == url("backup_changelist")
    assert sorted(BackupRun.objects.values_list("database", "status")) == [
        ("analytics", "succeeded"),
        ("default", "succeeded"),
    ]
    assert sorted(logged()) == ["Backup of “analytics” started.", "Backup of “default” started."]
    response = admin_client.post(url("backup_run_now"), {"databases": "nonsense"})
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert BackupRun.objects.count() == 2


@with_commits
def test_a_failed_run_says_why_and_what_to_do(admin_client, backups):
    backups.take_down()
    page = post(admin_client, url("backup_run_now"), databases="analytics")
    assert "Backup of analytics failed" in page.text
    assert "The remote can't be reached" in page.text
    assert "Check the network" in page.text


@with_commits
def test_two_clicks_make_one_run_and_cancel_ends_it(admin_client, backups, tmp_path):
    held = programs.hold_input(tmp_path / "bin", "rclone", backups.remote.binary, after=10, when=UPLOAD)
    backups.configure(
        RCLONE_BINARY=str(held.program),
        EXECUTOR="django_rclone_admin.executors.ThreadExecutor",
        COMPRESSION=None,
    )
    first = admin_client.post(url("backup_run_now"), {"databases": "default"})
    run = BackupRun.objects.get()
    held.wait()
    second = admin_client.post(url("backup_run_now"), {"databases": "default"}, follow=True)
    assert first.url == second.redirect_chain[-1][0] == url("backuprun_change", run.pk)
    assert "is locked by a database backup that started at" in read_page(second).text
    assert post(admin_client, url("backuprun_retry", run.pk)).text.count("locked by") == 1
    backup = backups.put(DAY - timedelta(days=1))
    page = post(admin_client, url("backup_restore"), path=backup, confirm="default")
    assert "is locked by a database backup" in page.text
    assert BackupRun.objects.count() == 1
    page = get(admin_client, url("backup_changelist"))
    assert url("backuprun_cancel", run.pk) in page.forms()
    assert f"run-{run.pk}" in [each.attributes.get("id") for each in page.elements]

    assert "Stopping the run." in post(admin_client, url("backuprun_cancel", run.pk)).text
    wait_for(lambda: not BackupRun.objects.get().is_active, 5)
    assert BackupRun.objects.get().status == Status.CANCELLED
    assert "had already finished" in post(admin_client, url("backuprun_cancel", run.pk)).text
    wait_for(lambda: backups.remote.names() == [backup, f"{backup}.manifest.json"], 5)
    assert logged() == ["Backup of “default” started.", "Cancelled."]


# -- download, pin, delete ----------------------------------------------------------------------------------------------


def test_download_streams_the_stored_bytes(admin_client, backups):
    path = backups.put(size=3_000_000)
    content = bytes(range(256)) * 4 * 4096
    backups.remote.write(path, content)
    response = admin_client.get(url("backup_download", path))
    assert isinstance(response, StreamingHttpResponse)
    assert response["Content-Length"] == str(len(content))
    assert response["Content-Disposition"] == f'attachment; filename="{path.removeprefix("db/")}"'
    assert response["Content-Type"] == "application/octet-stream"
    chunks = list(response.streaming_content)
    assert b"".join(chunks) == content
    assert len(chunks) > 1
    assert logged() == ["Downloaded."]


@with_commits
def test_download_under_asgi_streams_too(admin_user, backups):
    path = backups.put(size=3_000_000)
    client = AsyncClient()
    client.force_login(admin_user)

    async def download(most: int) -> list[bytes]:
        response = await client.get(url("backup_download", path))
        assert response.is_async
        chunks = []
        async with aclosing(aiter(response)) as content:
            async for chunk in content:
                chunks.append(chunk)
                if len(chunks) == most:
                    break
        response.close()
        return chunks

    chunks = async_to_sync(download)(10_000)
    assert b"".join(chunks) == bytes(3_000_000)
    assert len(chunks) > 1
    # One that is given up leaves no process.
    assert len(async_to_sync(download)(1)) == 1


def test_download_of_a_name_with_letters_of_a_language(admin_client, backups):
    path = backups.put(name="données-2026-01-03-000000.dump", manifest=False)
    response = admin_client.get(url("backup_download", path))
    assert "filename*=utf-8''donn%C3%A9es-2026" in response["Content-Disposition"]
    assert response.getvalue() == bytes(100)


@with_commits
def test_a_download_that_nobody_wants_to_end_leaves_no_process(admin_client, backups):
    path = backups.put(size=5_000_000)
    response = admin_client.get(url("backup_download", path))
    assert next(iter(response.streaming_content))
    response.close()


def test_pins_are_set_and_taken_off(admin_client, backups):
    paths = [backups.put(DAY - timedelta(days=ago)) for ago in range(2)]
    admin_client.post(url("backup_pin", paths[0]))
    assert f"{paths[0]}.keep" in backups.remote.names()
    values = {"action": "pin_selected", "_selected_action": paths}
    admin_client.post(url("backup_changelist"), values)
    assert {f"{path}.keep" for path in paths} <= {*backups.remote.names()}
    values["action"] = "unpin_selected"
    text = post(admin_client, url("backup_changelist"), **values).text
    assert all(said in text for said in ("Pinned 1 backup.", "Pinned 2 backups.", "Unpinned 2 backups."))
    assert not any(name.endswith(".keep") for name in backups.remote.names())
    assert logged() == ["Pinned."] * 3 + ["Unpinned."] * 2


def test_backups_are_deleted_through_djangos_confirmation(admin_client, backups):
    paths = [backups.put(DAY - timedelta(days=ago), pinned=ago != 1) for ago in range(4)]
    assert "Are you sure" in get(admin_client, url("backup_delete", paths[0])).text
    admin_client.post(url("backup_delete", paths[0]), {"post": "yes"})
    values = {"action": "delete_selected", "_selected_action": paths[1:3]}
    response = admin_client.post(url("backup_changelist"), values)
    page = read_page(response)
    assert page.forbidden == []
    assert all(path.removeprefix("db/") in page.text for path in paths[1:3])
    text = page.text + post(admin_client, url("backup_changelist"), post="yes", **values).text
    assert "deleted successfully" in text
    assert "Successfully deleted 2 backups" in text
    assert backups.remote.names() == [paths[3], f"{paths[3]}.keep", f"{paths[3]}.manifest.json"]
    assert [entry.object_repr for entry in LogEntry.objects.order_by("pk")] == [
        path.removeprefix("db/") for path in paths[:3]
    ]


# -- polls and queries --------------------------------------------------------------------------------------------------

HTMX = {"headers": {"HX-Request": "true"}}


def test_a_poll_is_cheap_and_ends_with_the_run(admin_client, backups):
    backups.configure(RCLONE_BINARY="/nonexistent/rclone")
    run = make_run(status=Status.RUNNING, finished_at=None, lock="db:default", bytes_done=50, bytes_total=200)
    address = url("backuprun_progress", run.pk)
    with CaptureQueriesContext(connection) as queries:
        response = admin_client.get(address, **HTMX)
    assert len(queries) <= 3, queries.captured_queries
    page = read_page(response)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert "50 bytes of about 200 bytes" in page.text
    assert page.forbidden == []
    assert [each.attributes["value"] for each in page.elements if each.tag == "progress"] == ["25"]
    run.end(Status.SUCCEEDED, "Stored it.")
    run.save()
    response = admin_client.get(address, **HTMX)
    assert response.status_code == 286
    assert response["HX-Trigger"]
    assert "hx-get" not in response.content.decode()
    assert admin_client.get(url("backuprun_progress", uuid4())).status_code == 404


def test_a_poll_finds_a_run_whose_process_is_gone(admin_client, backups):
    before = timezone.now() - timedelta(minutes=5)
    run = make_run(
        status=Status.RUNNING, finished_at=None, lock="db:default", started_at=before, heartbeat_at=before
    )
    response = admin_client.get(url("backuprun_progress", run.pk), **HTMX)
    assert response.status_code == 286
    assert "interrupted" in read_page(response).text


def test_a_poll_of_somebody_signed_out_ends_with_a_way_back_in(client, backups):
    run = make_run(status=Status.RUNNING, finished_at=None, lock="db:default")
    address = url("backuprun_progress", run.pk)
    response = client.get(address, **HTMX)
    page, login = (
        read_page(response),
        f"{reverse('admin:login')}?next={url('backuprun_change', run.pk).replace('/', '%2F')}",
    )
    assert response.status_code == 286
    assert login in page.links()
    assert "Backing up" not in page.text
    response = client.get(address)
    assert (response.status_code, response.url) == (302, login)


def test_the_list_costs_five_queries_of_ours_at_most(admin_client, backups):
    for number in range(30):
        backups.put(DAY - timedelta(days=number))
        make_run(status=Status.RUNNING, finished_at=None, lock=f"db:{number}") if number < 5 else None
    get(admin_client, url("backup_changelist"))

    def queries(address: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            get(admin_client, address)
        return [each["sql"] for each in captured.captured_queries]

    ours = queries(url("backup_changelist"))
    backups.count_calls(backups.log.parent)
    assert len([each for each in ours if "django_rclone_admin" in each]) <= 5
    assert len(ours) <= 5 + len(queries(reverse("admin:index")))
    assert backups.calls() == []
