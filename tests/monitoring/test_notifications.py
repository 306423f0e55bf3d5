"""People and monitors are told: once per problem and once when it is over, and never at the cost of a run."""

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sentry_sdk
from django.test import Client
from django.utils import timezone
from sentry_sdk.envelope import Envelope

from django_rclone_admin import api
from django_rclone_admin.conf import problems
from django_rclone_admin.exceptions import BackupError
from django_rclone_admin.models import BackupRun, BackupSchedule, Notice, Status
from django_rclone_admin.notifications import channels
from django_rclone_admin.notifications.sending import send_test
from django_rclone_admin.notifications.worker import worker
from tests.support.receivers import (
    MailServer,
    Monitor,
    mail_server,
    mail_settings,
    monitor,
    silent_service,
)
from tests.support.servers import free_port

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def mails(settings, backups, quick_looks) -> Iterator[MailServer]:
    """A site that tells its administrators by a real mail server."""
    with mail_server() as server:
        send_by(settings, server.port)
        backups.configure(DATABASES=["default"], NOTIFY={"email": True}, HEALTH={"ignore": ["no_schedule"]})
        yield server
        assert worker.finish()


@pytest.fixture
def pings() -> Iterator[Monitor]:
    with monitor() as found:
        yield found


def send_by(settings, port: int) -> None:
    """Have the site send by the mail server on a port."""
    for name, value in mail_settings(port).items():
        setattr(settings, name, value)


def back_up() -> BackupRun:
    try:
        return api.backup_database("default")
    except BackupError:
        return BackupRun.objects.latest("created_at")
    finally:
        worker.finish()


def look() -> None:
    api.refresh()
    api.health()
    assert worker.finish()


def break_remote(backups):
    usual = {key: backups_setting(key) for key in ("REMOTE", "RCLONE_FLAGS")}
    backups.take_down()
    return lambda: backups.configure(**usual)


def backups_setting(key):
    from django.conf import settings

    return settings.DJANGO_RCLONE.get(key, [])


# -- once per problem, and once when it is over ------------------------------------------------------------------------


def test_failing_runs_are_told_once_and_once_when_it_is_over(backups, mails):
    back_up()
    assert mails.mails == []
    mend = break_remote(backups)
    for _number in range(3):
        assert back_up().status == Status.FAILED
    assert len(mails.mails) == 1
    assert mails.subjects[0] == "[Django] Backups need attention – default: The last run did not succeed."
    mend()
    assert back_up().status == Status.SUCCEEDED
    look()
    assert len(mails.mails) == 2
    assert mails.subjects[1] == "[Django] Backups protected – default: over: The last run did not succeed."
    assert "- default: The last run did not succeed. (since " in mails.bodies[1]
    assert not Notice.objects.exists()


def test_mail_says_how_each_database_stands_and_what_to_do(backups, mails):
    backups.put(timezone.now() - 3 * HOUR, size=1000)
    backups.put(timezone.now() - 2 * HOUR, size=400)
    look()
    [body] = mails.bodies
    for words in (
        "- default: The last backup is much smaller than the previous one.",
        "What to do: It has 400 bytes, the previous one 1000 bytes.",
        "default (SQLite): need",
        "Last good backup: ",
        "Size: 400 bytes (-60 % against the previous one)",
        "Duration: –",
        "Proven: never",
        "Next: not scheduled",
    ):
        assert words in " ".join(body.replace("\n", " \n").split(" ")), body


def test_unhealthy_is_told_once_however_often_somebody_looks(backups, mails):
    for _number in range(3):
        look()
    assert mails.subjects == ["[Django] Backups at risk – default: There is no backup."]
    backups.put(timezone.now() - HOUR)
    for _number in range(2):
        look()
    assert mails.subjects[1:] == ["[Django] Backups protected – default: over: There is no backup."]


def test_problem_that_gets_worse_is_told_again(backups, mails):
    backups.put(timezone.now() - HOUR)
    backups.configure(HEALTH={"min_free": 10**18})
    look()
    assert len(mails.mails) == 1
    Notice.objects.filter(key="low_space:").update(level=0)
    look()
    assert len(mails.mails) == 2


def test_only_what_was_asked_for_is_told(backups, mails):
    backups.configure(NOTIFY={"email": True, "events": ["success"]})
    look()
    assert mails.mails == []
    back_up()
    assert [each.partition(" – ")[2] for each in mails.subjects] == ["default: database backup succeeded"]


def test_digest_comes_once_a_day(backups, mails):
    backups.put(timezone.now() - HOUR)
    backups.configure(NOTIFY={"email": ["bob@example.com"], "events": ["digest"]})
    look()
    look()
    assert len(mails.mails) == 1
    assert mails.mails[0]["To"] == "bob@example.com"
    Notice.objects.update(told_at=timezone.now() - 25 * HOUR)
    look()
    assert len(mails.mails) == 2


def test_message_that_was_not_accepted_is_sent_by_whoever_looks_next(backups, mails, settings):
    send_by(settings, free_port())
    look()
    assert mails.mails == []
    send_by(settings, mails.port)
    look()
    look()
    assert len(mails.mails) == 1


def test_claim_of_a_process_that_died_is_taken_over(backups, mails):
    Notice.objects.create(key="missing:default", level=2, claimed_at=timezone.now())
    look()
    assert mails.mails == []
    Notice.objects.update(claimed_at=timezone.now() - HOUR)
    look()
    assert len(mails.mails) == 1


def test_subject_is_one_line_whatever_a_message_says(backups, mails):
    look()
    mails.mails.clear()
    run = BackupRun(
        kind="prune", database="default", status=Status.FAILED, message="a\r\nBcc: eve@example.com"
    )
    from django_rclone_admin import signals

    signals.run_failed.send_robust(sender=BackupRun, run=run, exception=None)
    assert worker.finish()
    [mail] = mails.mails
    assert mail["Bcc"] is None


# -- pings ---------------------------------------------------------------------------------------------------------------


def test_monitor_hears_of_beginning_success_and_failure_with_the_id_of_the_run(backups, pings):
    backups.configure(DATABASES=["default"], NOTIFY={"ping_url": f"{pings.url}/abc?x=1"})
    run = back_up()
    assert pings.requests == [f"/abc/start?x=1&rid={run.pk}", f"/abc?x=1&rid={run.pk}"]
    pings.requests.clear()
    break_remote(backups)
    run = back_up()
    assert pings.requests == [f"/abc/start?x=1&rid={run.pk}", f"/abc/fail?x=1&rid={run.pk}"]


def test_each_database_may_have_a_monitor_of_its_own(backups, pings):
    backups.configure(NOTIFY={"ping_url": {"analytics": f"{pings.url}/a", "default": f"{pings.url}/d"}})
    run = back_up()
    assert pings.requests == [f"/d/start?rid={run.pk}", f"/d?rid={run.pk}"]


def test_success_of_one_database_does_not_hide_that_another_fails(backups, pings):
    backups.configure(NOTIFY={"ping_url": pings.url}, DATABASES=["default", "analytics"])
    BackupRun.objects.create(kind="db_backup", database="analytics", status=Status.FAILED)
    run = back_up()
    assert pings.requests == [f"/start?rid={run.pk}", f"/fail?rid={run.pk}"]


# -- broken channels -----------------------------------------------------------------------------------------------------


def test_hanging_channels_hold_up_no_run(backups, settings):
    """The run returns while the mail server and the monitor still hang: they do so until the end of this test."""
    with silent_service() as port:
        send_by(settings, port)
        ping_url = f"http://127.0.0.1:{port}/"
        events = ["success", "failed"]
        backups.configure(
            DATABASES=["default"], NOTIFY={"email": True, "ping_url": ping_url, "events": events}
        )
        run = api.backup_database("default")
        assert run.status == Status.SUCCEEDED
        assert worker.finish(0) is False
    assert worker.finish()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's own
def test_broken_channels_change_nothing(backups, settings, caplog):
    port = free_port()
    send_by(settings, port)
    address = f"127.0.0.1:{port}/"
    notify = {"email": True, "urls": [f"json://{address}"], "ping_url": f"http://{address}"}
    backups.configure(NOTIFY={**notify, "events": ["success"]})
    assert back_up().status == Status.SUCCEEDED
    said = "\n".join(each.getMessage() for each in caplog.records)
    assert sorted(re.findall(r"could not be (sent by \w+|told of a run):", said)) == [
        "sent by apprise",
        "sent by email",
        "told of a run",
        "told of a run",
    ]
    backups.configure(NOTIFY={"urls": ["nonsense"]})
    assert [(each.channel, each.is_sent) for each in send_test()] == [("apprise", False)]


def test_addresses_are_in_no_message(backups, settings, caplog):
    secret = "hunter2"
    port = free_port()
    backups.configure(
        NOTIFY={
            "email": True,
            "urls": [f"json://user:{secret}@127.0.0.1:{port}/"],
            "ping_url": f"http://127.0.0.1:{port}/{secret}",
        }
    )
    settings.ADMINS = []
    caplog.set_level("DEBUG", logger="django_rclone_admin")
    back_up()
    results = send_test()
    assert [(each.channel, each.is_sent) for each in results] == [
        ("email", False),
        ("apprise", False),
        ("ping", False),
    ]
    assert all(each.sentence and each.hint for each in results)
    ours = [each.getMessage() for each in caplog.records if each.name == "django_rclone_admin"]
    assert secret not in " ".join([*ours, *(f"{each.sentence} {each.hint}" for each in results)])


# -- the other channels ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's own
def test_test_message_goes_through_every_channel(backups, mails, pings):
    address = pings.url.removeprefix("http://")
    backups.configure(
        NOTIFY={"email": True, "urls": [f"json://{address}/hook"], "ping_url": f"{pings.url}/p"}
    )
    assert [(each.channel, each.is_sent) for each in send_test()] == [
        ("email", True),
        ("apprise", True),
        ("ping", True),
    ]
    assert mails.subjects == ["[Django] Backups: a test message"]
    assert sorted(each.partition("?")[0] for each in pings.requests) == ["/hook", "/p"]
    assert b"a test message" in b"".join(pings.bodies)
    lines = [each for each in api.examine("site", notify=True) if each.id == "notify.test"]
    assert [(each.subject, each.outcome) for each in lines] == [
        ("email", "passed"),
        ("apprise", "passed"),
        ("ping", "passed"),
    ]


@pytest.fixture
def sentry(pings, backups) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A server of Sentry's on loopback, and what checked in there: its real SDK sends real envelopes."""
    backups.configure(DATABASES=["default"], NOTIFY={"sentry": True})
    address = pings.url.removeprefix("http://")
    sentry_sdk.init(f"http://key@{address}/1", default_integrations=False, auto_enabling_integrations=False)

    def check_ins() -> list[dict[str, Any]]:
        sentry_sdk.flush()
        items = [
            item
            for body in pings.bodies
            for item in Envelope.deserialize(gzip.decompress(body)).items
            if item.type == "check_in"
        ]
        return [json.loads(item.get_bytes()) for item in items]

    yield check_ins
    sentry_sdk.get_client().close()
    sentry_sdk.init()


def test_sentry_gets_check_ins_where_it_is_set_up(backups, sentry):
    run = back_up()
    mend = break_remote(backups)
    broken = back_up()
    mend()
    assert [(each["monitor_slug"], each["status"], each["check_in_id"]) for each in sentry()] == [
        ("backup-default", "in_progress", run.pk.hex),
        ("backup-default", "ok", run.pk.hex),
        ("backup-default", "in_progress", broken.pk.hex),
        ("backup-default", "error", broken.pk.hex),
    ]


def test_monitor_of_sentry_takes_its_times_from_the_schedule_that_comes_most_often(backups, sentry):
    zone = {"time_zone": "Europe/Vienna", "media": False}
    BackupSchedule.objects.create(name="a weekly one", cron="0 4 * * 0", **zone)
    BackupSchedule.objects.create(name="nightly", cron="0 2 * * *", start_within=90, spread=30, **zone)
    BackupSchedule.objects.create(name="of another", cron="* * * * *", databases=["analytics"], **zone)
    BackupSchedule.objects.create(name="broken", cron="0 2 * * *", **zone)
    BackupSchedule.objects.filter(name="broken").update(cron="nonsense")
    backups.configure(HEALTH={"default": {"max_run_hours": 3}})
    api.backup_database("default", origin=api.Origin(trigger="schedule", requested_by="a weekly one"))
    assert worker.finish()
    found = sentry()
    assert [each["status"] for each in found] == ["in_progress", "ok"]
    assert all(
        each["monitor_config"]
        == {
            "schedule": {"type": "crontab", "value": "0 2 * * *"},
            "timezone": "Europe/Vienna",
            "checkin_margin": 120,
            "max_runtime": 180,
        }
        for each in found
    )


@pytest.mark.parametrize(
    "place, is_followed",
    [
        ("{url}/elsewhere", True),
        ("http://127.0.0.2:{port}/elsewhere", False),
        ("http://127.0.0.1:{other}/elsewhere", False),
        ("ftp://127.0.0.1:{port}/elsewhere", False),
    ],
)
def test_monitor_is_followed_within_its_own_host_only(pings, place, is_followed, caplog):
    """What answers a ping must not make this machine ask its neighbours, such as the metadata of a cloud."""
    with monitor() as neighbour:
        port, other = (each.url.rpartition(":")[2] for each in (pings, neighbour))
        pings.status, pings.location = 302, place.format(url=pings.url, port=port, other=other)
        if is_followed:
            channels.ping(f"{pings.url}/abc", "1")
        else:
            with pytest.raises(BackupError, match="status 302"):
                channels.ping(f"{pings.url}/abc", "1")
        asked = [each.partition("?")[0] for each in pings.requests]
        assert (asked, neighbour.requests) == (["/abc", "/elsewhere"][: 1 + is_followed], [])


def test_mail_server_that_refuses_is_told_by_its_code_and_asked_again(backups, mails, caplog):
    for code in (421, 450, 554):
        mails.answer = f"{code} go away, ann@example.com"
        look()
        assert mails.mails == []
        assert f"SMTPDataError {code}" in caplog.text
    assert "ann@example.com" not in caplog.text
    mails.answer = "250 OK"
    look()
    assert len(mails.mails) == 1


def test_mail_server_that_went_silent_does_not_end_all_mail_of_the_process(
    backups, mails, settings, monkeypatch
):
    """A process that stays, such as a web worker, sends again when there is a server again."""
    monkeypatch.setattr(channels, "MAIL_SECONDS", 0.2)
    with silent_service() as port:
        send_by(settings, port)
        assert [each.is_sent for each in send_test()] == [False]
        send_by(settings, mails.port)
        assert [each.is_sent for each in send_test()] == [True]


def test_time_limit_of_the_project_for_mail_is_kept(settings):
    for name, value in mail_settings(free_port(), timeout=7).items():
        setattr(settings, name, value)
    assert channels._mailer().timeout == 7
    send_by(settings, free_port())
    assert channels._mailer().timeout == channels.MAIL_SECONDS


@pytest.mark.parametrize(
    "notify, words",
    [
        ({"mail": True}, "“email”"),
        ({"events": ["fialed"]}, "“failed”"),
        ({"events": "failed"}, "list of these"),
        ({"email": "ann@example.com"}, "list of addresses"),
        ({"urls": "json://secret@x"}, "Apprise"),
        ({"ping_url": "file:///etc/secret"}, "https://"),
        ({"ping_url": {"defualt": "https://x.example/secret"}}, "“default”"),
        ({"ping_url": {"default": "secret"}}, "https://"),
        ({"sentry": "yes"}, "True or False"),
    ],
    ids=str,
)
def test_impossible_notify_is_refused_with_what_was_meant(notify, words):
    [(sentence, hint)] = problems({"REMOTE": "x:", "NOTIFY": notify})
    assert "NOTIFY" in sentence
    assert words in hint
    assert "secret" not in f"{sentence} {hint}"


def test_nothing_is_done_where_nobody_is_to_be_told(backups, client: Client):
    backups.configure(NOTIFY={})
    back_up()
    assert not Notice.objects.exists()


# -- checks --------------------------------------------------------------------------------------------------------------


def test_check_is_known_at_once_and_its_failure_is_told_once(backups, mails):
    backups.configure(HEALTH={"ignore": ["no_schedule"]})
    path = backups.put(timezone.now() - HOUR, sha256=hashlib.sha256(bytes(100)).hexdigest())
    look()
    api.verify_backup(path, level="checksum")
    part = api.last_health().databases[0]
    assert (part.facts.proven_level, part.findings) == ("checksum", [])
    stored = backups.remote.root / path
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    for _number in range(2):
        with pytest.raises(BackupError):
            api.verify_backup(path, level="checksum")
    assert worker.finish()
    assert [each.rule for each in api.last_health().findings] == ["damaged"]
    assert len(mails.mails) == 1
    assert "failed the check" in " ".join(mails.bodies[0].split())
