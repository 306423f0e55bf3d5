"""Of a long list a search keeps only the facts of each manifest, and answers as exactly as of a short one."""

import gc
import shutil
import threading
import tracemalloc
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.db.models import Max, Min, Sum
from django.urls import reverse
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.cached_listing import FEW, get_listing, with_facts
from django_rclone_admin.models import Backup, evaluation
from tests.support.backups import DAY, Backups, manifest_of

COUNT = FEW + 60
LISTING = ["lsjson", "lsjson"]


def name_of(number):
    return f"default-{DAY - timedelta(hours=number):%Y-%m-%d-%H%M%S}.dump.zst"


@pytest.fixture(scope="module")
def prepared(storage, tmp_path_factory):
    """A remote with a long list; every hundredth backup has a label, and some are broken, each in its own way."""
    log = tmp_path_factory.mktemp("long") / "calls.log"
    backups = Backups(remote=storage.remote("local"), configure=lambda **values: None, log=log)
    for number in range(COUNT):
        taken_at = DAY - timedelta(hours=number)
        values = {
            "label": "before the move" if number % 100 == 0 else "",
            "sha256": f"{number:064x}",
            "raw_size": 1000 - number % 7,
            "host": "\x1b[2J" if number == 5 else "web",
        }
        manifest = manifest_of(name_of(number), "default", taken_at, 10, **values).to_bytes()
        if number in BROKEN:
            manifest = BROKEN[number](manifest)
        backups.put(taken_at, size=10, manifest=manifest)
    backups.put(DAY - timedelta(days=200), name="default-2026-01-01-000000.dump", manifest=False)
    backups.put_media(DAY, {"a": bytes(40), "b": bytes(2)}, label="before the move")
    return backups.remote


@pytest.fixture
def long(backups, prepared):
    """The long list, as that of this site. It is there for all tests, so none may change it."""
    backups.configure(**prepared.settings)
    api.refresh()  # forgets what the test before has read there
    return backups


BROKEN = {
    7: lambda line: line.replace(b'"size": 10', b'"size": 11'),
    8: lambda line: line[:-30],
    9: lambda line: line.replace(b'"tables": [', b'"tables": [1, '),
    10: lambda line: line.replace(name_of(10).encode(), name_of(11).encode()),
    700: lambda line: b"\n",
    701: lambda line: line.replace(b'"sha256"', b'"sha"'),
    702: lambda line: line.replace(b'"format": 1', b'"format": 2'),
}
LABELLED = [name_of(number) for number in range(0, COUNT, 100) if number not in BROKEN]


def test_search_reads_each_manifest_once_and_the_manifests_of_its_result_once_more(long, tmp_path):
    long.count_calls(tmp_path)
    found = Backup.objects.filter(label__icontains="MOVE", kind="database")
    assert found.count() == len(LABELLED)
    assert long.calls() == [*LISTING, "cat", "cat"]
    assert [each.name for each in found] == LABELLED
    assert long.calls() == ["cat"]
    assert [each.sha256 for each in found.reverse()] == [
        f"{number:064x}" for number in reversed(range(0, COUNT, 100)) if number not in BROKEN
    ]
    assert Backup.objects.filter(host="web").exclude(label="").count() == len(LABELLED)
    assert long.calls() == []


def test_what_is_wrong_with_a_manifest_is_found(long):
    damaged = Backup.objects.filter(state="damaged").order_by("-taken_at")
    assert list(damaged.values_list("name", flat=True)) == [name_of(number) for number in sorted(BROKEN)]
    assert Backup.objects.filter(state="legacy").get().name == "default-2026-01-01-000000.dump"
    assert Backup.objects.get(host__contains="[2J").host == "\ufffd[2J"
    assert {each.state for each in damaged} == {"damaged"}


def test_fields_that_are_not_kept_are_read_for_the_question(long):
    assert Backup.objects.filter(label="before the move").count() == len(LABELLED) + 1
    assert Backup.objects.get(sha256=f"{600:064x}").name == name_of(600)
    assert Backup.objects.filter(kind="database").aggregate(Min("raw_size"), Max("raw_size")) == {
        "raw_size__min": 994,
        "raw_size__max": 1000,
    }
    tables = Backup.objects.filter(label="before the move", kind="database").values_list("tables", flat=True)
    assert [bool(each) for each in tables] == [True] * len(LABELLED)


def test_sizes_of_media_come_from_the_facts_too(long):
    assert Backup.objects.filter(kind="media").exclude(label="").aggregate(Sum("size")) == {"size__sum": 42}
    assert Backup.objects.filter(kind="media", label="before the move").values_list(
        "size", "files"
    ).get() == (42, 2)


def test_the_next_listing_shows_what_was_mended_and_what_broke(long, prepared, tmp_path):
    db = shutil.copytree(prepared.root, tmp_path / "changed") / "db"
    long.configure(REMOTE=str(tmp_path / "changed"))
    assert Backup.objects.filter(state="damaged").count() == len(BROKEN)
    mended = manifest_of(name_of(700), "default", DAY - timedelta(hours=700), 10, label="mended")
    (db / f"{name_of(700)}.manifest.json").write_bytes(mended.to_bytes())
    (db / name_of(20)).write_bytes(bytes(9))
    assert Backup.objects.filter(label="mended").count() == 0

    cache.clear()  # as when its time is over

    assert Backup.objects.filter(label="mended").get().name == name_of(700)
    expected = {name_of(number) for number in ({*BROKEN} - {700}) | {20}}
    assert set(Backup.objects.filter(state="damaged").values_list("name", flat=True)) == expected


def test_page_of_a_search_shows_the_result(admin_client, long):
    address = reverse("admin:django_rclone_admin_backup_changelist")
    pages = [
        admin_client.get(address, query) for query in ({}, {"q": "before move"}, {}, {"q": "before move"})
    ]
    found = [page.context["cl"].result_count for page in pages]
    assert found == [COUNT + 2, len(LABELLED) + 1] * 2
    rows = [[each.name for each in page.context["cl"].result_list] for page in pages]
    assert rows[:2] == rows[2:]
    assert set(rows[1]) > {*LABELLED}


def test_questions_at_the_same_time_have_the_answers_of_questions_one_by_one(long):
    questions = [
        lambda: Backup.objects.filter(label="before the move").count(),
        lambda: [each.name for each in Backup.objects.all()[:3]],
        lambda: Backup.objects.filter(state="damaged").count(),
        lambda: list(Backup.objects.dates("taken_at", "month")),
        lambda: sorted(Backup.objects.values_list("database", "host").distinct()),
        lambda: Backup.objects.order_by("label", "name").values_list("name", "label").last(),
    ]
    alone = [question() for question in questions]
    api.refresh()
    together = [None] * len(questions)

    def ask(number):
        together[number] = questions[number]()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_what_two_questions_learn_at_the_same_time_is_kept(long, monkeypatch):
    """Each completes the same objects with another part of the manifests."""

    def slowly(objects):
        found = with_facts(objects)
        other.start()
        other.join(0.3)  # it ends only after this one
        return found

    other = threading.Thread(target=lambda: Backup.objects.filter(raw_size=1000).count())
    # No remote can be made slow here: the moment between reading and keeping is within this process.
    monkeypatch.setattr(evaluation, "with_facts", slowly)
    Backup.objects.filter(label="before the move").count()
    other.join()

    assert Backup.objects.filter(raw_size=1000).count() > COUNT / 8
    assert Backup.objects.filter(label="before the move").count() == len(LABELLED) + 1


def test_a_search_keeps_little_of_each_backup(long):
    Backup.objects.count()
    gc.collect()
    tracemalloc.start()
    try:
        assert Backup.objects.exclude(label="").count() == len(LABELLED) + 1
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # A manifest takes 1,000 bytes and more.
    assert kept / COUNT < 600


# -- answers that are known ---------------------------------------------------------------------------------------------


def test_questions_that_differ_in_little_have_answers_of_their_own(backups):
    backups.configure(LISTING_CACHE_SECONDS=3600)
    late = datetime(2026, 5, 1, 1, tzinfo=UTC)
    for number, size in enumerate((1, 1, 2)):
        backups.put(late + timedelta(hours=number * 20), size=size, label=f"{number}")
    listing = get_listing()
    q = Backup.objects
    assert [q.filter(size=1).count(), q.filter(size="2").count(), q.exclude(size=1).count()] == [2, 1, 1]
    assert [q.filter(size__gt=1).count(), q.filter(size__gte=1).count()] == [1, 3]
    assert [
        q.filter(label="1").count(),
        q.filter(name="1").count(),
        q.filter(label__in=["1", "2"]).count(),
    ] == [1, 0, 2]
    assert [q.filter(taken_at__day=1).count(), q.filter(taken_at__month=5).count()] == [2, 3]
    assert [
        list(q.order_by(order).values_list("label", flat=True)) for order in ("taken_at", "-taken_at")
    ] == [
        ["0", "1", "2"],
        ["2", "1", "0"],
    ]
    with timezone.override("America/New_York"):
        assert [q.filter(taken_at__day=1).count(), q.filter(taken_at__month=5).count()] == [1, 2]
        assert [day.day for day in q.dates("taken_at", "day")] == [30, 1, 2]
    assert [day.day for day in q.dates("taken_at", "day")] == [1, 2]
    assert q.aggregate(Sum("size")) == {"size__sum": 4}
    assert q.aggregate(n=Sum("size", distinct=True)) == {"n": 3}
    assert q.all()[:2].aggregate(n=Sum("size")) == {"n": 3}
    assert get_listing() is listing


def test_no_caller_can_change_an_answer(backups):
    backups.configure(LISTING_CACHE_SECONDS=3600)
    backups.put()
    backups.put(DAY - timedelta(days=400))
    for _ in range(2):
        for answer in (
            Backup.objects.dates("taken_at", "year"),
            Backup.objects.datetimes("taken_at", "year"),
            list(Backup.objects.values_list("name").distinct()),
            list(Backup.objects.all()),
        ):
            assert len(answer) == 2
            answer.clear()
    assert len({tuple(Backup.objects.order_by("?").values_list("name", flat=True)) for _ in range(50)}) == 2


class Zone(ZoneInfo):
    """Like the time zones of dateutil, which a site may activate."""

    __hash__ = None


def test_zone_that_has_no_hash_has_its_own_answers(admin_client, backups):
    berlin, kiritimati = Zone("Europe/Berlin"), Zone("Pacific/Kiritimati")
    backups.put(datetime(2025, 12, 31, 12, tzinfo=UTC))
    backups.put(datetime(2026, 6, 1, 12, tzinfo=UTC))
    for zone, years, count in [(berlin, [2025, 2026], 1), (kiritimati, [2026], 2), (berlin, [2025, 2026], 1)]:
        with timezone.override(zone):
            assert [each.year for each in Backup.objects.dates("taken_at", "year")] == years
            assert Backup.objects.filter(taken_at__year=2026).count() == count
        assert [each.year for each in Backup.objects.datetimes("taken_at", "year", tzinfo=zone)] == years
    with timezone.override(berlin):
        page = admin_client.get(reverse("admin:django_rclone_admin_backup_changelist"))
    assert page.context["cl"].result_count == 2
