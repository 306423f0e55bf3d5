"""The schedules in the admin: the list, the form, the offer, “run now”, and who may do what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import get_resolver, reverse

from django_rclone_admin import signals
from django_rclone_admin.jobs.queued import carry_out_queued
from django_rclone_admin.models import BackupRun, BackupSchedule
from tests.support.backups import DAY
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


def url(name: str, *args: object) -> str:
    return reverse(f"admin:django_rclone_admin_backupschedule_{name}", args=args)


def make(**values: Any) -> BackupSchedule:
    usual = {"name": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Vienna", "media": False}
    return BackupSchedule.objects.create(**{**usual, **values})


def filled(**values: Any) -> dict[str, Any]:
    usual = {
        "name": "nightly",
        "action": "backup",
        "preset": "",
        "cron": "15 3 * * 1-5",
        "time_zone": "Europe/Vienna",
        "enabled": "on",
        "start_within": "0",
        "spread": "0",
        "level": "",
        "paused_reason": "",
    }
    return {**usual, **values}


def test_fresh_site_is_offered_its_schedules_by_one_click(admin_client, backups):
    page = read_page(admin_client.get(url("changelist")))
    assert "There are no automatic backups yet." in page.text
    assert '"RETENTION": {"last": 3, "daily": 7, "weekly": 4, "monthly": 6}' in page.text
    page = read_page(admin_client.post(url("offer"), follow=True))
    assert "Two schedules were added." in page.text
    assert "every night at 02:00" in page.text
    assert "Sundays at 04:00" in page.text
    assert "no automatic backups" not in page.text
    assert [(each.action, each.clean) for each in BackupSchedule.objects.all()] == [
        ("backup", True),
        ("verify", False),
    ]
    assert LogEntry.objects.count() == 2
    admin_client.post(url("offer"))
    assert BackupSchedule.objects.count() == 2
    backups.configure(RETENTION={"last": 3, "daily": 7})
    assert "RETENTION" not in read_page(admin_client.get(url("changelist"))).text


def test_schedule_is_made_and_changed_in_its_form(admin_client, backups):
    page = read_page(admin_client.get(url("add")))
    assert "is not a cron expression" not in page.text
    assert page.text.count("02:00") > 5  # the next times of the first choice, beside its words
    assert "Cron expression:" in page.text
    values = filled(databases=["analytics"], clean="on")
    assert admin_client.post(url("add"), values).status_code == 302
    schedule = BackupSchedule.objects.get()
    assert (schedule.cron, schedule.databases, schedule.clean) == ("15 3 * * 1-5", ["analytics"], True)
    assert schedule.next_run_at
    values = filled(preset="0 4 * * 0", name="weekly")
    assert admin_client.post(url("change", schedule.pk), values).status_code == 302
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.name, schedule.databases) == ("0 4 * * 0", "weekly", [])


def test_new_form_shows_the_times_of_its_own_choice(admin_client, backups):
    page = read_page(admin_client.get(url("add")))
    assert "every night at 02:00" in page.text
    assert not any("dra-bad" in each.attributes.get("class", "") for each in page.elements)


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"cron": "every night"}, "is not a cron expression with a time that ever comes"),
        ({"cron": ""}, "is not a cron expression with a time that ever comes"),
        ({"time_zone": "Mars/Base"}, "Select a valid choice"),
        ({"databases": ["gone"]}, "Select a valid choice"),
        ({"start_within": "-1"}, "greater than or equal to 0"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_form_refuses_what_can_never_run(admin_client, backups, values, expected):
    response = admin_client.post(url("add"), filled(**values))
    assert response.status_code == 200
    assert expected in read_page(response).text
    assert not BackupSchedule.objects.exists()


def test_broken_row_is_shown_and_can_be_mended(admin_client, backups):
    schedule = make(problem="It went wrong.", databases={"a": 1})
    BackupSchedule.objects.update(cron="nonsense", time_zone="Mars/Base", level="odd")
    page = read_page(admin_client.get(url("changelist")))
    assert "no times" in page.text
    assert "It went wrong." in page.text
    page = read_page(admin_client.get(url("change", schedule.pk)))
    assert "“nonsense” is not a cron expression" in page.text or "There is no time zone" in page.text
    assert admin_client.post(url("change", schedule.pk), filled()).status_code == 302
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.databases) == ("15 3 * * 1-5", [])


def test_times_are_shown_while_somebody_types(admin_client, backups):
    answer = admin_client.get(
        url("times"), {"cron": "30 2 * * *", "time_zone": "Europe/Vienna", "spread": "10"}
    )
    text = answer.content.decode()
    assert "every night at 02:30" in text
    assert text.count("<li>") == 5
    assert "It runs right after that: Sun" in text
    assert "It starts up to 10 minutes later" in text
    text = admin_client.get(url("times"), {"cron": "nope", "time_zone": "Europe/Vienna"}).content.decode()
    assert "“nope” is not a cron expression" in text
    text = admin_client.get(
        url("times"), {"preset": "0 4 * * 0", "cron": "x", "time_zone": "x"}
    ).content.decode()
    assert "There is no time zone “x”." in text
    for spread in ("-1", "x", "9" * 30, "²"):
        assert admin_client.get(url("times"), {"cron": "0 2 * * *", "spread": spread}).status_code == 200


@pytest.mark.parametrize("use_tz", [True, False])
def test_pause_is_kept_as_it_was_typed(admin_client, backups, settings, use_tz):
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Pacific/Auckland"
    schedule = make()
    values = filled(paused_until_0="2098-01-02", paused_until_1="03:04:05", paused_reason="We move.")
    assert admin_client.post(url("change", schedule.pk), values).status_code == 302
    schedule.refresh_from_db()
    assert schedule.paused_until == datetime(2098, 1, 1, 14, 4, 5, tzinfo=UTC)
    page = read_page(admin_client.get(url("changelist")))
    assert "paused until 2 Jan 2098, 03:04" in page.text
    assert "We move." in page.text
    text = admin_client.get(url("change", schedule.pk)).content.decode()
    assert 'value="2098-01-02"' in text
    assert 'value="03:04:05"' in text


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_run_now_does_the_work_and_shows_it(admin_client, backups):
    schedule = make(databases=["analytics"], clean=True, level="checksum")
    page = read_page(admin_client.post(url("run", schedule.pk), follow=True))
    assert "“nightly” started." in page.text
    kinds = BackupRun.objects.order_by("created_at").values_list("kind", "status")
    assert list(kinds) == [("db_backup", "succeeded"), ("verify", "succeeded"), ("prune", "succeeded")]
    run = BackupRun.objects.get(kind="db_backup")
    assert (run.trigger, run.requested_by, run.label, run.status) == (
        "admin",
        "admin",
        "nightly",
        "succeeded",
    )
    before = schedule.last_due_at
    schedule.refresh_from_db()
    assert (schedule.last_run, schedule.last_due_at) == (run.pk, before)
    page = read_page(admin_client.get(url("changelist")))
    assert "succeeded" in page.text
    assert reverse("admin:django_rclone_admin_backuprun_change", args=[run.pk]) in page.links()
    BackupSchedule.objects.update(databases=["gone"])
    page = read_page(admin_client.post(url("run", schedule.pk), follow=True))
    assert "There is no database “gone”." in page.text


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_clean_up_now_is_a_run_of_the_executor(admin_client, backups, monkeypatch):
    """The request queues it and does none of it: a clean-up of thousands of backups takes longer than a web server waits."""
    backups.configure(DB_CLEANUP_KEEP=1)
    for number in range(2):
        backups.put(DAY + timedelta(hours=number), database="analytics")
        backups.put_media(DAY + timedelta(hours=number))
    schedule = make(action="prune", media=True)
    queued: list[str] = []
    monkeypatch.setattr(
        "django_rclone_admin.executors.ImmediateExecutor.submit",
        lambda executor, function, run_id: queued.append(run_id),
    )
    admin_client.post(url("run", schedule.pk))
    runs = BackupRun.objects.filter(kind="prune")
    assert sorted(runs.values_list("database", "status", "trigger", "requested_by")) == [
        ("analytics", "queued", "admin", "admin"),
        ("media", "queued", "admin", "admin"),
    ]
    assert {*backups.paths} <= {*backups.remote.names()}
    for each in queued:
        assert carry_out_queued(each)
    assert {*backups.paths} & {*backups.remote.names()} == {*backups.paths[-2:]}
    assert set(runs.values_list("status", flat=True)) == {"succeeded"}


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_run_now_removes_nothing_after_a_check_that_failed(admin_client, backups):
    """As at its time. What it does after one that passed is in the test before."""
    backups.configure(DB_CLEANUP_KEEP=1)
    backups.put(database="analytics")
    schedule = make(databases=["analytics"], clean=True, level="checksum")

    def damage(run: BackupRun, **values: object) -> None:
        if run.kind == "db_backup":
            backups.remote.write(run.path, b"x" * len(backups.remote.read(run.path)))

    signals.run_finished.connect(damage)
    try:
        admin_client.post(url("run", schedule.pk))
    finally:
        signals.run_finished.disconnect(damage)
    kinds = list(BackupRun.objects.order_by("created_at").values_list("kind", "status"))
    assert kinds == [("db_backup", "succeeded"), ("verify", "failed")]


PAGES = [
    ("changelist", "get", "view", 200),
    ("times", "get", "view", 200),
    ("add", "get", "add", 200),
    ("offer", "post", "add", 302),
    ("change", "get", "view", 200),
    ("change", "post", "change", 200),
    ("history", "get", "view", 200),
    ("delete", "post", "delete", 302),
    ("run", "post", "run", 302),
]


def test_every_page_is_among_those_whose_permission_is_tested():
    names = get_resolver().namespace_dict["admin"][1].reverse_dict
    prefix = "django_rclone_admin_backupschedule_"
    ours = {name.removeprefix(prefix) for name in names if isinstance(name, str) and name.startswith(prefix)}
    assert ours == {name for name, *_rest in PAGES}


@pytest.mark.parametrize("name, method, verb, status", PAGES)
def test_each_page_asks_for_its_permission(client, backups, django_user_model, name, method, verb, status):
    user = django_user_model.objects.create_user("staff", is_staff=True)
    client.force_login(user)
    schedule = make()
    is_about_one = name not in ("changelist", "times", "add", "offer")
    address = url(name, *([schedule.pk] if is_about_one else []))
    ask = getattr(client, method)
    values = {"post": "yes"} if method == "post" else {}
    assert ask(address, values).status_code == 403
    codename = "run_backup" if verb == "run" else f"{verb}_backupschedule"
    user.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(django_user_model.objects.get(pk=user.pk))
    assert ask(address, values).status_code == status


def test_run_needs_the_permission_to_back_up_and_only_takes_posts(client, backups, django_user_model):
    user = django_user_model.objects.create_user("staff", is_staff=True)
    schedule = make()
    for codename in ("view_backupschedule", "change_backupschedule"):
        user.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(user)
    assert client.post(url("run", schedule.pk)).status_code == 403
    assert "Run now" not in read_page(client.get(url("change", schedule.pk))).text
    assert [
        client.get(url(name, *args)).status_code for name, args in (("offer", ()), ("run", (schedule.pk,)))
    ] == [
        405,
        405,
    ]


def test_backup_list_leads_to_the_schedules(admin_client, backups):
    page = read_page(admin_client.get(reverse("admin:django_rclone_admin_backup_changelist")))
    assert url("changelist") in page.links()


def test_list_of_schedules_asks_for_their_runs_once(admin_client, backups, django_assert_max_num_queries):
    for number in range(20):
        run = BackupRun.objects.create(kind="db_backup", status="succeeded", database="default")
        make(name=str(number), last_run=run.pk, last_due_at=datetime.now(UTC) - timedelta(hours=1))
    with django_assert_max_num_queries(14):
        admin_client.get(url("changelist"))
