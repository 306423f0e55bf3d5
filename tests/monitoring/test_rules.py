"""Every rule of health: its cause is made and taken away, and every place shows it and stops showing it."""

import contextlib
import html
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.core.check_marks import CheckMark, Outcome
from django_rclone_admin.core.check_marks import Level as CheckLevel
from django_rclone_admin.health.levels import Rule
from django_rclone_admin.models import BackupRun, BackupSchedule, Kind, Status
from django_rclone_admin.notifications.worker import worker
from tests.support import programs
from tests.support.backups import Backups
from tests.support.verdicts import TOKEN, drop_table, of_json, of_metrics, of_plugin

# Who sends mail sees only what is committed.
pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site that is well, and what can be done to it."""

    backups: Backups
    settings: Any
    folder: Path

    def put(self, age: timedelta = HOUR, **values: Any) -> str:
        return self.backups.put(timezone.now() - age, **values)

    def limit(self, **values: Any) -> None:
        self.backups.configure(HEALTH={"token": TOKEN, **values})

    @contextlib.contextmanager
    def limited(self, **values: Any) -> Iterator[None]:
        self.limit(**values)
        yield
        self.limit()

    def remove(self, *paths: str) -> None:
        for path in paths:
            for end in ("", ".manifest.json"):
                (self.backups.remote.root / f"{path}{end}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def run(self, **values: Any) -> Iterator[BackupRun]:
        age = values.pop("age", timedelta(0))
        usual = {"kind": Kind.DB_BACKUP, "database": "default", "created_at": timezone.now() - age}
        run = BackupRun.objects.create(**usual | values)
        yield run
        run.delete()


@pytest.fixture
def site(backups, quick_looks, settings, tmp_path) -> Site:
    notify = {"email": ["ann@example.com"]}
    backups.configure(DATABASES=["default"], HEALTH={"token": TOKEN}, NOTIFY=notify)
    found = Site(backups=backups, settings=settings, folder=tmp_path)
    found.put(3 * HOUR)
    assert worker.finish()
    mail.outbox.clear()  # what an earlier test began to tell in the background
    return found


@contextlib.contextmanager
def missing(site):
    moved = site.backups.remote.root / "db"
    moved.rename(site.folder / "elsewhere")
    yield
    (site.folder / "elsewhere").rename(moved)


@contextlib.contextmanager
def old(site):
    [path] = site.backups.paths
    site.remove(path)
    other = site.put(27 * HOUR)
    yield
    site.remove(other)
    site.put()


@contextlib.contextmanager
def too_small(site):
    path = site.put(2 * HOUR, size=3)
    with site.limited(min_size=50, max_size_drop_percent=100):
        yield
    site.remove(path)


@contextlib.contextmanager
def shrunk(site):
    path = site.put(2 * HOUR, size=10)
    yield
    site.remove(path)


@contextlib.contextmanager
def damaged(site):
    path = site.put(2 * HOUR)
    site.backups.remote.write(path, b"cut")
    yield
    site.remove(path)


@contextlib.contextmanager
def damaged_in_the_middle(site):
    path = site.put(5 * HOUR)
    site.backups.remote.write(path, b"cut")
    yield
    site.remove(path)


@contextlib.contextmanager
def no_manifest(site):
    [path] = site.backups.paths
    manifest = site.backups.remote.root / f"{path}.manifest.json"
    content = manifest.read_bytes()
    manifest.unlink()
    yield
    manifest.write_bytes(content)


@contextlib.contextmanager
def future_name(site):
    path = site.put(-400 * DAY)
    yield
    site.remove(path)


def failing(site):
    return site.run(status=Status.FAILED, message="The dump is empty.")


@contextlib.contextmanager
def unproven(site):
    path = site.put(40 * DAY)
    yield
    site.remove(path)


@contextlib.contextmanager
def check_failed(site):
    """The record of a failed check lies beside the last backup."""
    mark = CheckMark(level=CheckLevel.SITE, outcome=Outcome.FAILED, at=timezone.now() - HOUR)
    record = mark.name(site.backups.paths[-1])
    site.backups.remote.write(record, b"{}")
    yield
    (site.backups.remote.root / record).unlink()


@contextlib.contextmanager
def never_proven_again(site):
    """A check that passed long ago is too old; one of today ends that."""
    path = site.put(40 * DAY)
    marks = [
        CheckMark(level=CheckLevel.STRUCTURE, outcome=Outcome.PASSED, at=timezone.now() - age)
        for age in (35 * DAY, HOUR)
    ]
    site.backups.remote.write(marks[0].name(path), b"{}")
    yield
    site.backups.remote.write(marks[1].name(site.backups.paths[0]), b"{}")


@contextlib.contextmanager
def damaged_by_a_failed_check(site):
    path = site.put(2 * HOUR)
    record = CheckMark(level=CheckLevel.RESTORE, outcome=Outcome.FAILED, at=timezone.now()).name(path)
    site.backups.remote.write(record, b"{}")
    yield
    site.remove(path)
    (site.backups.remote.root / record).unlink()


@contextlib.contextmanager
def stuck(site):
    """A process that was killed left this run."""
    with site.run(
        status=Status.RUNNING, heartbeat_at=timezone.now() - HOUR, started_at=timezone.now() - HOUR
    ):
        yield


def stuck_in_the_queue(site):
    return site.run(status=Status.QUEUED, age=2 * HOUR)


def stuck_at_work(site):
    times = {"started_at": timezone.now() - 25 * HOUR, "heartbeat_at": timezone.now()}
    return site.run(status=Status.RUNNING, age=25 * HOUR, **times)


@contextlib.contextmanager
def no_schedule(site):
    site.remove(*site.backups.paths)
    path = site.put(trigger="admin")
    yield
    site.remove(path)
    site.put()


@contextlib.contextmanager
def low_space(site):
    with site.limited(min_free=10**18):
        yield


@contextlib.contextmanager
def no_room_for_another(site):
    body = 'if "about" in arguments:\n    print(\'{"free": 7}\')\n    sys.exit()\n'
    usual = site.settings.DJANGO_RCLONE["RCLONE_BINARY"]
    program = programs.wrapper(site.folder / "full", "rclone", usual, body)
    site.backups.configure(RCLONE_BINARY=str(program))
    yield
    site.backups.configure(RCLONE_BINARY=usual)


@contextlib.contextmanager
def unreachable(site):
    usual = site.settings.DJANGO_RCLONE["REMOTE"]
    site.backups.take_down()
    yield
    site.backups.configure(REMOTE=usual, RCLONE_FLAGS=[])


@contextlib.contextmanager
def no_rclone(site):
    usual = site.settings.DJANGO_RCLONE["RCLONE_BINARY"]
    site.backups.configure(RCLONE_BINARY=str(site.folder / "gone"))
    yield
    site.backups.configure(RCLONE_BINARY=usual)


@contextlib.contextmanager
def uncovered_database(site):
    with pytest.MonkeyPatch.context() as patch:
        entry = {**connections.settings["analytics"], "ENGINE": "nothing.that.has.a.connector"}
        patch.setitem(connections.settings, "legacy", entry)
        site.backups.configure(DATABASES=None, HEALTH={"token": TOKEN, "analytics": False})
        yield
    site.backups.configure(DATABASES=["default"])


@contextlib.contextmanager
def media_files_that_nobody_backs_up(site):
    folder = site.folder / "uploads"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"a photo")
    site.settings.MEDIA_ROOT = str(folder)
    yield
    shutil.rmtree(folder)


@contextlib.contextmanager
def no_history(site):
    drop_table(BackupRun)
    try:
        yield
    finally:  # the other tests need it, also where this one fails
        with connection.schema_editor() as editor:
            editor.create_model(BackupRun)


@contextlib.contextmanager
def uncovered_storage(site):
    folder = site.folder / "private"
    folder.mkdir()
    (folder / "contract.pdf").write_bytes(b"signed")
    usual = site.settings.STORAGES
    backend = "django.core.files.storage.FileSystemStorage"
    site.settings.STORAGES = {**usual, "private": {"BACKEND": backend, "OPTIONS": {"location": str(folder)}}}
    yield
    site.settings.STORAGES = usual


@contextlib.contextmanager
def no_runner(site):
    """A schedule was due, and `runschedules` never looked."""
    due_at = timezone.now() - HOUR / 2
    cron = f"{due_at.minute} {due_at.hour} * * *"
    schedule = BackupSchedule.objects.create(name="Every day", cron=cron, time_zone="UTC")
    row = BackupSchedule.objects.filter(pk=schedule.pk)
    row.update(last_due_at=timezone.now() - HOUR)
    yield
    row.update(last_due_at=timezone.now(), seen_at=timezone.now())


@contextlib.contextmanager
def no_runner_any_more(site):
    schedule = BackupSchedule.objects.create(name="Every night", cron="0 2 * * *")
    BackupSchedule.objects.filter(pk=schedule.pk).update(seen_at=timezone.now() - 2 * HOUR)
    yield
    call_command("runschedules", verbosity=0)


@contextlib.contextmanager
def overdue(site):
    """It was due half an hour ago, and passes go by without it."""
    due_at = timezone.now() - HOUR / 2
    schedule = BackupSchedule.objects.create(name="Every hour", cron=f"{due_at.minute} * * * *")
    row = BackupSchedule.objects.filter(pk=schedule.pk)
    row.update(seen_at=timezone.now(), last_due_at=timezone.now() - 3 * HOUR)
    yield
    row.update(last_due_at=timezone.now())


@contextlib.contextmanager
def schedule_failed(site):
    schedule = BackupSchedule.objects.create(name="Sundays", cron="0 4 * * 0")
    row = BackupSchedule.objects.filter(pk=schedule.pk)
    row.update(seen_at=timezone.now(), problem="The remote does not answer.")
    yield
    row.update(problem="")


CASES: dict[Callable[[Site], AbstractContextManager[object]], Rule] = {
    missing: Rule.MISSING,
    old: Rule.OLD,
    too_small: Rule.TOO_SMALL,
    shrunk: Rule.SHRUNK,
    damaged: Rule.DAMAGED,
    damaged_in_the_middle: Rule.DAMAGED,
    no_manifest: Rule.NO_MANIFEST,
    future_name: Rule.FUTURE_NAME,
    failing: Rule.FAILING,
    unproven: Rule.UNPROVEN,
    never_proven_again: Rule.UNPROVEN,
    check_failed: Rule.CHECK_FAILED,
    damaged_by_a_failed_check: Rule.DAMAGED,
    stuck: Rule.STUCK,
    stuck_in_the_queue: Rule.STUCK,
    stuck_at_work: Rule.STUCK,
    no_schedule: Rule.NO_SCHEDULE,
    no_runner: Rule.NO_RUNNER,
    no_runner_any_more: Rule.NO_RUNNER,
    overdue: Rule.OVERDUE,
    schedule_failed: Rule.SCHEDULE_FAILED,
    low_space: Rule.LOW_SPACE,
    no_room_for_another: Rule.LOW_SPACE,
    unreachable: Rule.UNREACHABLE,
    no_rclone: Rule.NO_RCLONE,
    uncovered_storage: Rule.UNCOVERED,
    uncovered_database: Rule.UNCOVERED,
    media_files_that_nobody_backs_up: Rule.MISSING,
    no_history: Rule.NO_HISTORY,
}


TOGETHER = (
    (missing, stuck, uncovered_storage),
    (old, stuck_in_the_queue, no_runner),
    (no_runner_any_more, too_small, stuck_at_work),  # its end is a pass, which has to come last
    (shrunk, unproven, no_room_for_another),
    (damaged, schedule_failed),
    (damaged_in_the_middle, media_files_that_nobody_backs_up),
    (no_manifest, failing),
    (future_name, no_history),
    (never_proven_again, low_space),
    (check_failed, uncovered_database),
    (damaged_by_a_failed_check, overdue),
    (no_schedule,),
    (unreachable,),
    (no_rclone,),
)
"""Causes that can be there at the same time: to look at all places costs more than most of them."""
ALONE = [pytest.param((cause,), marks=pytest.mark.soak) for cause in CASES if (cause,) not in TOGETHER]


def test_every_cause_is_tested():
    assert {cause for causes in TOGETHER for cause in causes} == set(CASES)


@pytest.mark.parametrize(
    "causes", [*TOGETHER, *ALONE], ids=lambda causes: " and ".join(each.__name__ for each in causes)
)
def test_rule_is_shown_everywhere_while_its_cause_is_there(site, client, admin_client, mailoutbox, causes):
    with contextlib.ExitStack() as present:
        for cause in causes:
            present.enter_context(cause(site))
        found = shown(client, admin_client)
        for rule in {CASES[cause] for cause in causes}:
            assert rule in found
            [sentence] = {each.sentence for each in api.last_health().findings if each.rule == rule}
            told = [each for each in mailoutbox if plain(sentence) in plain(each.body)]
            assert len(told) == 1
        count = len(mailoutbox)
    assert shown(client, admin_client) == set()
    assert len(mailoutbox) == count + 1
    assert " over: " in mailoutbox[-1].subject


def shown(client: Client, admin_client: Client) -> set[str]:
    """Return the rules that are shown: the same by the command, the pages for monitors and the panel."""
    found = of_plugin()
    assert of_json(client) == of_metrics(client) == found
    known = api.last_health()
    panel = plain(admin_client.get(reverse("admin:django_rclone_admin_backup_health")).content.decode())
    assert f"dra-headline dra-{known.level.slug}" in panel
    for finding in known.findings:
        assert plain(finding.sentence) in panel
    assert worker.finish()
    index = admin_client.get(reverse("admin:index")).content.decode()
    assert ("See the backups" in index) == bool(found)
    return found


def plain(text: str) -> str:
    return " ".join(html.unescape(text).split())


def test_site_that_is_well_shows_no_rule(site, client, admin_client, mailoutbox):
    """What is wrong afterwards is shown as where nobody has looked before."""
    assert shown(client, admin_client) == set()
    assert mailoutbox == []
    with failing(site):
        assert shown(client, admin_client) == {"failing"}
        assert len(mailoutbox) == 1


def test_rule_that_is_ignored_is_not_shown(site, client, admin_client):
    with failing(site):
        site.limit(ignore=["failing"])
        assert shown(client, admin_client) == set()
        site.limit(ignore=["failing:analytics"])
        assert shown(client, admin_client) == {"failing"}
        site.limit(ignore=["failing:default"])
        assert shown(client, admin_client) == set()


def test_database_that_is_left_out_is_not_judged(site):
    site.backups.configure(DATABASES=["default", "analytics"])
    assert of_plugin() == {"missing"}
    site.limit(analytics=False)
    assert of_plugin() == set()


def test_new_schedule_that_was_never_due_is_no_problem_yet(site, mailoutbox):
    """Nobody can have set up a crontab yet."""
    due_at = timezone.now() + 3 * HOUR
    cron = f"{due_at.minute} {due_at.hour} * * *"
    schedule = BackupSchedule.objects.create(name="Every day", cron=cron, time_zone="UTC")
    assert of_plugin() == set()
    assert mailoutbox == []
    last = due_at - DAY  # a pause that ends later moves its first time
    BackupSchedule.objects.filter(pk=schedule.pk).update(
        last_due_at=last - HOUR, paused_until=timezone.now() + HOUR
    )
    assert of_plugin() == set()
    BackupSchedule.objects.filter(pk=schedule.pk).update(paused_until=None)
    assert of_plugin() == {"no_runner", "overdue"}
    assert worker.finish()
    assert len(mailoutbox) == 1


def test_site_with_its_own_cron_needs_no_schedule(site):
    assert not BackupSchedule.objects.exists()
    assert of_plugin() == set()


def test_storage_below_the_media_folder_is_covered(site, settings):
    media = site.folder / "uploads"
    settings.MEDIA_ROOT = str(media)
    (media / "thumbnails").mkdir(parents=True)
    (media / "thumbnails" / "a.jpg").write_bytes(b"a")
    backend = "django.core.files.storage.FileSystemStorage"
    options = {"location": str(media / "thumbnails")}
    settings.STORAGES = {**settings.STORAGES, "thumbnails": {"BACKEND": backend, "OPTIONS": options}}
    assert "uncovered" not in of_plugin()
    assert storages["thumbnails"].exists("a.jpg")
