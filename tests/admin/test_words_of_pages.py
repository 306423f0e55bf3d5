"""The words of the pages: one name for one thing, no number without a reason, nothing where nothing is known."""

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.urls import reverse

from django_rclone_admin import api, wording
from django_rclone_admin.models import BackupSchedule, Status
from tests.admin.test_dashboard_pages import get, make_run, url
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


def test_run_history_has_one_name_and_counts_runs(admin_client, backups):
    make_run()
    page = get(admin_client, url("backuprun_changelist")).text
    assert page.count("Run history") >= 3  # in the menu, in the trail, as the title
    assert "Runs" not in page
    assert re.search(r"\b1 run\b", page)
    make_run()
    assert re.search(r"\b2 runs\b", get(admin_client, url("backuprun_changelist")).text)
    assert "Run history" in get(admin_client, reverse("admin:index")).text
    assert "Run history" in get(admin_client, url("backup_changelist")).text


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("backup_changelist", "There are no backups on the remote yet."),
        ("backuprun_changelist", "There are no runs yet."),
        ("openedbackup_changelist", "No backup is open."),
        ("backupschedule_changelist", "There are no automatic backups yet."),
    ],
)
def test_empty_list_is_a_sentence_without_tools(admin_client, backups, name, sentence):
    page = get(admin_client, url(name))
    assert sentence in page.text
    assert "0 of 0 selected" not in page.text
    assert not [each for each in page.elements if each.attributes.get("id") == "changelist-filter"]


def test_results_are_counted_where_something_was_searched(admin_client, backups):
    backups.put(DAY)
    backups.put(DAY.replace(hour=1), database="analytics")
    assert "results" not in get(admin_client, url("backup_changelist")).text
    assert "results" not in get(admin_client, f"{url('backup_changelist')}?o=1").text
    assert "1 result (" in get(admin_client, f"{url('backup_changelist')}?q=analytics").text
    nothing = get(admin_client, f"{url('backup_changelist')}?q=nothing").text
    assert "0 results (" in nothing
    assert "no backups on the remote" not in nothing


def test_schedules_offer_only_filters_that_exist(admin_client, backups):
    BackupSchedule.objects.create(name="Nightly", cron="0 2 * * *")
    page = get(admin_client, url("backupschedule_changelist")).text
    assert "By " not in page
    assert "not run yet" in page
    BackupSchedule.objects.create(name="Off", cron="0 2 * * *", action="verify", enabled=False)
    page = get(admin_client, url("backupschedule_changelist"))
    assert "By action" in page.text
    assert "By state" in page.text
    off = get(admin_client, f"{url('backupschedule_changelist')}?enabled__exact=0").text
    assert "Nightly" not in off
    assert "1 schedule" in off


def test_page_of_a_backup_has_one_button_that_deletes_it(admin_client, backups):
    path = backups.put(DAY)
    links = get(admin_client, url("backup_change", path)).links()
    assert [each for each in links if each.endswith("/delete/")] == [url("backup_delete", path)]


@pytest.mark.parametrize("kind", ["database", "media"])
def test_checks_are_called_what_they_do(kind):
    levels = [each for each in api.LEVELS if kind == "database" or each != "site"]
    assert len({wording.check(each, kind) for each in levels}) == len(levels)
    assert wording.check("restore") == "test restore"
    assert wording.a_run("verify") == "a check"


def test_sizes_of_failed_runs_are_blank(admin_client, backups):
    make_run(status=Status.FAILED, size=None)
    html = admin_client.get(url("backuprun_changelist")).content.decode()
    cell = re.search(r'<td class="field-shown_size">(.*?)</td>', html)
    assert cell
    assert cell[1] in ("", "&nbsp;")


@pytest.mark.parametrize(
    "hours, text", [(1, "1 hour"), (26, "26 hours"), (0.5, "0.5 hours"), (50, "50 hours"), (72, "3 days")]
)
def test_limits_are_said_as_people_count(hours, text):
    assert wording.hours(hours) == text


def test_span_is_at_least_a_minute():
    assert wording.span(timedelta(seconds=3)).replace("\xa0", " ") == "1 minute"


def test_counting_leaves_the_list_itself_alone():
    from django_rclone_admin.templatetags.backups import counting

    changelist = SimpleNamespace(opts=SimpleNamespace(verbose_name_plural="run history"), result_count=2)
    counted = counting(changelist, "runs")
    assert (counted.opts.verbose_name_plural, counted.result_count) == ("runs", 2)
    assert changelist.opts.verbose_name_plural == "run history"
