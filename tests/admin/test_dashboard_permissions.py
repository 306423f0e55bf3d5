"""Who may do what: every page of the dashboard, for everybody, read and posted to."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import get_resolver, reverse

from django_rclone_admin import api, clock
from django_rclone_admin.models import BackupRun, Kind, OpenedBackup, Status
from tests.support.backups import Backups
from tests.support.html import read_page

APP = "django_rclone_admin"

PERMISSIONS = (
    "view_backup",
    "run_backup",
    "restore_backup",
    "verify_backup",
    "open_backup",
    "download_backup",
    "pin_backup",
    "delete_backup",
    "view_backuprun",
    "cancel_backuprun",
)

TABLE = """
page                     permission         GET  POST
backup_changelist        view_backup        200  200
backup_add               -                  -    -
backup_change            view_backup        200  -
backup_history           view_backup        200  200
backup_delete            delete_backup      200  302
backup_health            view_backup        200  200
backup_refresh           view_backup        405  302
backup_doctor            view_backup        200  200
backup_run_now           run_backup         200  302
backup_restore           restore_backup     200  200
backup_download          download_backup    200  200
backup_files             view_backup        200  200
backup_file              download_backup    200  200
backup_picture           download_backup    200  200
backup_archive           download_backup    405  302
backup_retention         view_backup        200  200
backup_pin               pin_backup         405  302
backuprun_changelist     view_backuprun     200  200
backuprun_add            -                  -    -
backuprun_change         view_backuprun     200  -
backuprun_history        view_backuprun     200  200
backuprun_delete         -                  -    -
backuprun_progress       view_backuprun     200  200
backuprun_cancel         cancel_backuprun   405  302
backuprun_retry          run_backup         405  302
backuprun_undo           restore_backup     302  302
openedbackup_changelist  open_backup        200  200
openedbackup_add         -                  -    -
openedbackup_change      open_backup        200  200
openedbackup_history     open_backup        200  200
openedbackup_delete      -                  -    -
openedbackup_keep        open_backup        405  302
openedbackup_live        restore_backup     200  200
openedbackup_close       open_backup        405  302
backup_open              open_backup        405  302
backup_checks            view_backup        200  200
backup_check             verify_backup      405  302
"""
"""What somebody with just that permission gets; ``-`` is refused to everybody.

Without it, the answer is 403. A page that only takes posts says 405 to every member of the staff who gets it. Who is
not of the staff is sent to sign in, whatever permissions they have.
"""

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


class IdleExecutor:
    """Takes work and never does it."""

    in_process = False
    begins_at_once = False

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        pass


@pytest.fixture
def site(backups: Backups, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """A backup and a run; the arguments of the pages about them, by the first word of the page's name."""
    caplog.set_level("ERROR", logger="django.request")  # else each refusal is written with its traceback
    backups.configure(EXECUTOR=f"{__name__}.IdleExecutor", LISTING_CACHE_SECONDS=600)
    run = BackupRun.objects.create(kind=Kind.DB_BACKUP, status=Status.RUNNING, database="default")
    about = {"backup": quote(backups.put()), "media": quote(backups.put_media()), "backuprun": quote(run.pk)}
    opened = OpenedBackup(path=backups.paths[0], database="default", server="default", vendor="SQLite")
    opened.place = "/nowhere/default_dra_open_0123456789abcdef"
    opened.expires_at = clock.now() + timedelta(hours=1)
    return {**about, "openedbackup": quote(opened.pk), "backups": backups, "run": run, "opened": opened}


def member(name: str, *permissions: str, is_staff: bool = True) -> Client:
    """Sign in somebody who has just these permissions."""
    user = User.objects.create_user(name, is_staff=is_staff)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label=APP, codename__in=permissions)
    )
    assert user.user_permissions.count() == len(permissions)
    client = Client()
    client.force_login(user)
    return client


def address(site: dict[str, Any], page: str) -> str:
    model, _, view = page.partition("_")
    about_one = view not in (
        "changelist",
        "add",
        "health",
        "refresh",
        "doctor",
        "retention",
        "run_now",
        "restore",
    )
    one = site["media" if view in ("files", "file", "picture", "archive") else model]
    found = reverse(f"admin:{APP}_{page}", args=[one] if about_one else [])
    return f"{found}?file=photo.jpg" if view in ("file", "picture") else found


def ask(client: Client, site: dict[str, Any], page: str, method: str) -> int:
    """Read a page or post to it, with a backup and a running run being there, and return the status."""
    backups, run = site["backups"], site["run"]
    if backups.paths[0] not in backups.remote.names():
        backups.put()
        api.refresh()
    BackupRun.objects.filter(pk=run.pk).update(status=Status.RUNNING)
    site["opened"].save()
    if method == "POST":
        # The part is of the doctor, who would else write to three folders of the remote.
        values = {"post": "yes", "path": backups.paths[0], "part": "databases"}
        response: Any = client.post(address(site, page), values)
    else:
        response = client.get(
            address(site, page), {"path": backups.paths[0]} if page == "backup_restore" else {}
        )
    if response.streaming:
        assert response.getvalue()
    return int(response.status_code)


def read_table() -> dict[str, tuple[str, str, str]]:
    lines = [line.split() for line in TABLE.strip().splitlines()[1:]]
    return {page: (permission, get, post) for page, permission, get, post in lines}


def test_every_page_is_in_the_table():
    names = get_resolver().namespace_dict["admin"][1].reverse_dict
    ours = {name.removeprefix(f"{APP}_") for name in names if isinstance(name, str) and name.startswith(APP)}
    # Schedules have Django's own four permissions; their pages are in test_schedules.
    assert {name for name in ours if not name.startswith("backupschedule_")} == set(read_table())


def test_every_page_gives_everybody_what_the_table_says(site):
    """Whatever one permission opened would also be open to whoever has all but the one that is needed.

    A superuser has each permission; so for them, one way to ask for a page is enough.
    """
    everybody = {"staff": member("staff"), "customer": member("customer", *PERMISSIONS, is_staff=False)}
    everybody |= {"anonymous": Client(), "superuser": Client()}
    everybody["superuser"].force_login(User.objects.create_superuser("root"))
    needed = {permission for permission, *_answers in read_table().values()}
    alone = {each: member(each, *({each} - {"-"})) for each in needed}
    others = {each: member(f"all but {each}", *({*PERMISSIONS} - {each})) for each in needed}
    expected, found = {}, {}
    for page, (permission, *answers) in read_table().items():
        clients = everybody | {"alone": alone[permission], "others": others[permission]}
        for method, answer in zip(("GET", "POST"), answers, strict=True):
            for who, client in clients.items():
                if who == "superuser" and method == "POST" and answers[0] != "405":
                    continue
                if who in ("anonymous", "customer"):
                    status = 302
                elif answer == "-":
                    status = 403
                elif answer == "405" or who in ("alone", "superuser"):
                    status = int(answer)
                else:
                    status = 403
                expected[page, method, who] = status
                found[page, method, who] = ask(client, site, page, method)
    assert found == expected


@pytest.mark.parametrize(
    "action", ["restore_selected", "verify_selected", "pin_selected", "unpin_selected", "delete_selected"]
)
def test_an_action_needs_its_own_permission_too(site, action):
    needed = {"unpin": "pin"}.get(verb := action.partition("_")[0], verb) + "_backup"
    backups = site["backups"]
    path = backups.put(database="analytics", pinned=action == "unpin_selected")
    did_something = {}
    for who, permissions in {"others": {*PERMISSIONS} - {needed}, "needed": {"view_backup", needed}}.items():
        before = backups.remote.names()
        values = {"action": action, "_selected_action": path, "post": "yes"}
        response = member(who, *permissions).post(address(site, "backup_changelist"), values)
        has_run = BackupRun.objects.filter(kind=Kind.VERIFY).exists()
        is_led_on = "/restore/" in response.get("Location", "")
        did_something[who] = has_run or is_led_on or backups.remote.names() != before
    assert did_something == {"others": False, "needed": True}


BUTTONS = {
    "view_backup": set(),
    "run_backup": {"run_now", "retry"},
    "restore_backup": {"restore", "undo"},
    "verify_backup": {"check"},
    "open_backup": {"open"},
    "download_backup": {"download"},
    "pin_backup": {"pin"},
    "delete_backup": {"delete"},
    "cancel_backuprun": {"cancel"},
}


def test_a_page_shows_no_button_that_would_be_refused(site):
    restored = {"kind": Kind.DB_RESTORE, "status": Status.SUCCEEDED, "database": "default", "path": "db/x"}
    kept = BackupRun.objects.create(**restored, options={"safety": site["backups"].paths[0]})
    failed = BackupRun.objects.create(kind=Kind.DB_BACKUP, status=Status.FAILED, database="default")
    found = {}
    for permission in BUTTONS:
        client = member(permission, *{"view_backup", "view_backuprun", permission})
        shown = set()
        for where in (
            address(site, "backup_changelist"),
            address(site, "backup_change"),
            address(site, "backuprun_change"),
            reverse(f"admin:{APP}_backuprun_change", args=[kept.pk]),
            reverse(f"admin:{APP}_backuprun_change", args=[failed.pk]),
        ):
            page = read_page(client.get(where))
            for link in page.links() + page.forms():
                shown.add(link.partition("?")[0].rstrip("/").rpartition("/")[2])
        buttons = {"run_now" if each == "run" else each for each in shown}
        found[permission] = buttons & set().union(*BUTTONS.values())
    assert found == BUTTONS


def test_without_the_right_to_see_runs_the_list_hides_them(site):
    page = read_page(member("member", "view_backup", "run_backup").get(address(site, "backup_changelist")))
    assert "Backing up" not in page.text
    assert not any("backuprun" in link for link in page.links())


def test_only_backups_and_restores_can_be_tried_again(site):
    client = member("operator", "run_backup", "restore_backup", "view_backuprun")
    backups = {Kind.DB_BACKUP, Kind.MEDIA_BACKUP}
    for kind in set(Kind.values) - backups - {Kind.DB_RESTORE, Kind.MEDIA_RESTORE}:
        run = BackupRun.objects.create(kind=kind, status=Status.FAILED, database="analytics", path="db/x")
        assert client.post(reverse(f"admin:{APP}_backuprun_retry", args=[run.pk])).status_code in (403, 404)
    assert not BackupRun.objects.filter(status=Status.QUEUED).exists()


@pytest.mark.parametrize(
    "kind, needed", [(Kind.MEDIA_BACKUP, "run_backup"), (Kind.MEDIA_RESTORE, "restore_backup")]
)
def test_media_are_tried_again_with_the_permission_for_it(site, kind, needed):
    run = BackupRun.objects.create(kind=kind, status=Status.FAILED, path="media-versions/x")
    address = reverse(f"admin:{APP}_backuprun_retry", args=[run.pk])
    answers = {
        each: member(each, each).post(address).status_code for each in PERMISSIONS if each != "view_backuprun"
    }
    assert {each for each, answer in answers.items() if answer == 302} == {needed}
    assert set(answers.values()) == {302, 403}


def test_a_post_without_a_csrf_token_is_refused(site):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    runs, names = BackupRun.objects.count(), site["backups"].remote.names()
    for page in read_table():
        assert ask(client, site, page, "POST") == 403, page
    assert BackupRun.objects.count() == runs
    assert site["backups"].remote.names() == names
