"""The rows, the filters and the cards of the backup list."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from django_rclone_admin import wording
from django_rclone_admin.health.facts import Day
from django_rclone_admin.models import Backup, BackupSchedule, Kind, Status
from django_rclone_admin.templatetags.backups import strip
from tests.admin.test_dashboard_pages import get, make_run, post, url
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


def hours_ago(hours):
    return timezone.now().replace(microsecond=0) - timedelta(hours=hours)


# -- rows ---------------------------------------------------------------------------------------------------------------


def test_row_tells_how_the_size_has_changed(admin_client, backups):
    backups.put(hours_ago(3), size=1000)
    backups.put(hours_ago(2), size=1004)
    backups.put(hours_ago(2), database="analytics", size=9)
    backups.put(hours_ago(1), size=502)
    text = get(admin_client, url("backup_changelist")).text
    assert "1004 bytes +0.4 %" in text.replace(",", "")
    assert "502 bytes −50 %" in text
    # The first of a database, whatever there is of others, has nothing before it.
    assert "9 bytes never checked Restore" in text
    assert "1000 bytes never checked Restore" in text.replace(",", "")


def test_change_is_that_of_the_one_before_however_the_list_is_sorted_and_filtered(admin_client, backups):
    backups.put(hours_ago(3), size=1000)
    backups.put(hours_ago(2), size=1100)
    backups.put(hours_ago(1), size=2200, label="seen")
    for query in ({"o": "3"}, {"o": "-3"}, {"q": "seen"}):
        assert "2200 bytes +100 %" in get(admin_client, url("backup_changelist"), **query).text.replace(
            ",", ""
        ).replace("2.1 KB", "2200 bytes")


def test_what_is_damaged_says_nothing_about_sizes(admin_client, backups):
    backups.put(hours_ago(2), size=1000)
    backups.put(hours_ago(1), size=500, manifest=b"{")
    backups.put(hours_ago(0), size=1000)
    text = get(admin_client, url("backup_changelist")).text
    assert "%" not in text


def test_row_of_media_tells_how_many_files_have_come(admin_client, backups, tmp_path):
    backups.put_media(hours_ago(2), {"a": b"1"})
    backups.put_media(hours_ago(1), {"a": b"1", "b": b"2", "c": b"3"})
    assert "3 files, +2" in get(admin_client, url("backup_changelist")).text


def test_menu_of_a_row_has_what_one_may_do(admin_client, client, backups, django_user_model):
    path = backups.put(hours_ago(1))
    page = get(admin_client, url("backup_changelist"))
    buttons = [each.attributes.get("formaction") for each in page.elements if each.tag == "button"]
    assert url("backup_pin", path) in buttons
    assert {url("backup_change", path), url("backup_download", path), url("backup_delete", path)} <= set(
        page.links()
    )
    # The button sends the whole form of the list.
    assert (
        "Pinned 1 backup." in post(admin_client, url("backup_pin", path), action="", select_across="0").text
    )
    assert "Unpin" in get(admin_client, url("backup_changelist")).text
    looker = django_user_model.objects.create_user("looker", is_staff=True)
    looker.user_permissions.set([Permission.objects.get(codename="view_backup")])
    client.force_login(looker)
    page = get(client, url("backup_changelist"))
    assert url("backup_change", path) in page.links()
    for name in ("backup_download", "backup_delete", "backup_pin"):
        assert url(name, path) not in {
            *page.links(),
            *(each.attributes.get("formaction") for each in page.elements),
        }


# -- safety backups -------------------------------------------------------------------------------------------------------


@pytest.fixture
def safety(backups):
    backups.put(hours_ago(30), label="mine")
    return backups.put(hours_ago(2), trigger="safety", label="before the restore of x")


def test_safety_backups_are_folded(admin_client, backups, safety):
    page = get(admin_client, url("backup_changelist"))
    assert "1 backup" in page.text
    assert url("backup_change", safety) not in page.links()
    shown = get(admin_client, url("backup_changelist"), safety="shown")
    day = timezone.localtime(hours_ago(2) + timedelta(days=7))
    assert f"safety backup before a restore, kept until {day.day} {day:%B}" in shown.text
    assert "2 backups" in shown.text


def test_what_asks_for_a_safety_backup_finds_it(admin_client, backups, safety):
    assert "safety backup" in get(admin_client, url("backup_changelist"), q="before the restore").text
    chosen = {"action": "pin_selected", "_selected_action": safety}
    assert "Pinned 1 backup." in post(admin_client, url("backup_changelist"), **chosen).text
    get(admin_client, url("backup_change", safety))


# -- filters --------------------------------------------------------------------------------------------------------------


def test_filters_offer_only_what_exists(admin_client, backups):
    backups.put(hours_ago(1))
    text = get(admin_client, url("backup_changelist")).text
    for filter_ in ("By kind", "By state", "By safety backups"):
        assert filter_ not in text
    backups.put(hours_ago(2), manifest=False)
    backups.put_media(hours_ago(3))
    admin_client.post(url("backup_refresh"))
    text = get(admin_client, url("backup_changelist")).text
    assert "By kind All database media" in text
    assert "By state All complete legacy" in text
    assert "damaged" not in text


def test_filter_that_was_asked_for_stays_to_be_taken_back(admin_client, backups):
    backups.put(hours_ago(1))
    text = get(admin_client, url("backup_changelist"), state__exact="damaged").text
    assert "By state" in text
    assert "0 backups" in text


# -- cards ----------------------------------------------------------------------------------------------------------------


def days(*states):
    today = timezone.localdate()
    return [
        Day(day=today - timedelta(days=back), state=state)
        for back, state in zip(range(len(states))[::-1], states, strict=True)
    ]


def test_days_before_the_first_backup_are_no_failures():
    html = strip(days("none", "none", "ok", "none", "ok"))
    assert html.count("dra-before") == 2
    assert "Backed up on 2 of the 3 days since the first backup" in html
    assert "4 days ago" in html
    assert "today" in html


@pytest.mark.parametrize(
    "states, legend",
    [
        (("ok", "ok"), []),
        (("ok", "failed"), ["ok", "failed"]),
        (("ok", "none", "failed"), ["ok", "failed", "none"]),
        (("none", "none"), []),
    ],
)
def test_legend_explains_what_is_there(states, legend):
    html = strip(days(*states))
    assert [
        each for each in ("ok", "failed", "none") if f'dra-key"><i class="dra-day dra-{each}' in html
    ] == legend


def test_card_says_how_much_is_stored_and_draws_on_an_axis(admin_client, backups):
    backups.put(hours_ago(2), size=1024)
    backups.put(hours_ago(1), size=3072)
    backups.put_media(hours_ago(1))
    text = get(admin_client, url("backup_health")).text
    assert "Stored 4.0 KB in 2 backups" in text
    assert "Size of the last 2 backups 0 – 3.0 KB" in text
    assert "Stored 1 backup" in text
    assert text.count("Proven never") == 2
    assert "Next not scheduled here" in text


def test_safety_backups_do_not_hide_in_the_totals(admin_client, backups, safety):
    assert Backup.objects.count() == 2
    assert "in 2 backups" in read_page(admin_client.get(url("backup_health"))).text


def test_card_says_what_comes_next(admin_client, backups):
    backups.put(hours_ago(1))
    schedule = BackupSchedule.objects.create(
        name="nightly", cron="0 2 * * *", time_zone="UTC", databases=["default"]
    )
    text = get(admin_client, url("backup_health")).text
    assert f"Next {wording.when(schedule.next_run_at)} Stored 100 bytes in 1 backup" in text


def test_headline_says_what_was_proven_and_what_comes_next(admin_client, backups):
    taken_at = hours_ago(1)
    for database in ("default", "analytics"):
        name = backups.put(taken_at, database=database)
        backups.remote.write(f"{name}.check.restore.passed.{taken_at:%Y%m%dT%H%M%SZ}.json", b"{}")
    schedule = BackupSchedule.objects.create(name="nightly", cron="0 2 * * *", time_zone="UTC")
    backups.configure(HEALTH={"ignore": ["no_runner"]})
    text = get(admin_client, url("backup_health")).text
    assert "Protected." in text
    assert "each backed up less than 2 hours ago. The last test restore passed 1 hour ago." in text
    assert f"Next backup: {wording.when(schedule.next_run_at)}." in text
    assert "Proven restored, 1 hour ago" in text


def test_nothing_is_called_protected_while_the_remote_does_not_answer(admin_client, backups):
    run = make_run(status=Status.SUCCEEDED, path="db/default-1", size=100)
    assert run.is_active is False
    backups.take_down()
    text = get(admin_client, url("backup_changelist")).text
    assert "default SQLite not known" in text
    assert "by the run history" in text
    assert "protected" not in text
    assert "Proven never" not in text


def test_row_offers_to_open_a_database_backup_and_nothing_else(
    admin_client, client, backups, django_user_model
):
    path, media = backups.put(hours_ago(1)), backups.put_media(hours_ago(2))
    page = get(admin_client, url("backup_changelist"))
    actions = [each.attributes.get("formaction") for each in page.elements]
    assert url("backup_open", path) in actions
    assert url("backup_open", media) not in actions
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_backup"))
    client.force_login(user)
    actions = [each.attributes.get("formaction") for each in get(client, url("backup_changelist")).elements]
    assert url("backup_open", path) not in actions


def test_run_history_offers_only_filters_that_exist(admin_client, backups):
    make_run(status=Status.SUCCEEDED, database="default")
    page = get(admin_client, url("backuprun_changelist"))
    assert not any("__exact=" in link for link in page.links())
    make_run(kind=Kind.VERIFY, status=Status.FAILED, database="media")
    page = get(admin_client, url("backuprun_changelist"))
    shown = {link.partition("?")[2] for link in page.links() if "__exact=" in link}
    assert shown == {
        "status__exact=succeeded",
        "status__exact=failed",
        f"kind__exact={Kind.DB_BACKUP}",
        f"kind__exact={Kind.VERIFY}",
    }
    assert "check failed media files" in page.text
    assert "queued" not in page.text


def test_nothing_is_half_in_another_language(admin_client, backups, settings):
    """Django has a translation of the word for its groups of users; we have none yet."""
    settings.LANGUAGE_CODE = "he"
    backups.put(hours_ago(23), group="g1", label="seen")
    html = admin_client.get(url("backup_changelist")).content.decode()
    assert ">group</a>" in html
    assert '<span class="dra-quiet"><bdi>23\xa0hours ago</bdi></span>' in html
