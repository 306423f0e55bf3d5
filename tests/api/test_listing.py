"""``Backup.objects`` gives the answers that SQL gives about a table with the same rows, and asks rclone at most twice."""

import json
import operator
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import NotSupportedError, connection, models
from django.db.models import Avg, Count, Exists, F, Max, Min, OuterRef, Q, StdDev, Sum, Value
from django.db.models.functions import ExtractYear, Lower
from django.utils import timezone
from hypothesis import HealthCheck, given, settings, strategies

from django_rclone_admin import api
from django_rclone_admin.exceptions import RemoteUnreachable
from django_rclone_admin.models import Backup, BackupRun
from tests.support.backups import DAY, Backups, manifest_of
from tests.support.storage import Storage

ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
LABELS = ("", "Before the move", "100% sure", "under_score", "Grüße", "before THE move", "back\\slash")

# -- the same rows on a remote and in a table ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue(
    storage: Storage,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: Any,
) -> Iterator[Backups]:
    """A remote with backups of every kind, and a table that has them as rows."""
    log = tmp_path_factory.mktemp("catalogue") / "calls.log"
    backups = Backups(remote=storage.remote("local"), configure=lambda **values: None, log=log)
    rows = [_put(backups, number) for number in range(24)] + [
        _put_media(backups, number) for number in range(4)
    ]
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            editor.create_model(Backup)
        models.QuerySet(Backup).bulk_create(rows)
    yield backups
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.delete_model(Backup)


def _put(backups: Backups, number: int) -> Backup:
    """Put a backup there, and return what has to be read back."""
    database = ("default", "analytics", "old-shop")[number % 3]
    # Every 31 hours, and on both sides of new year in each time zone
    taken_at = datetime(2026, 1, 5, 23, 30, 1, tzinfo=UTC) - timedelta(hours=31 * (number // 2))
    size = number * 7 % 5 + 1
    name = f"{database}-{taken_at:%Y-%m-%d-%H%M%S}.dump"
    manifest = manifest_of(
        name, database, taken_at, size, label=LABELS[number % 7], raw_size=size * 10, server_version="3.50"
    )
    row = Backup(
        name=name, path=f"db/{name}", kind="database", database=database, taken_at=taken_at, size=size
    )
    row.pinned = number % 4 == 0
    if number % 5 == 1:
        row.state = "legacy"
        backups.put(taken_at, database=database, size=size, name=name, manifest=False, pinned=row.pinned)
        return row
    row.state = "damaged" if number % 5 == 2 else "complete"
    backups.remote.write(f"db/{name}", bytes(size - (row.state == "damaged")))
    row.size -= row.state == "damaged"
    backups.remote.write(f"db/{name}.manifest.json", manifest.to_bytes())
    if row.pinned:
        backups.remote.write(f"db/{name}.keep", b"")
    for field, value in asdict(manifest).items():
        if field in Backup.FROM_MANIFEST:
            setattr(row, field, value)
    return row


def _put_media(backups: Backups, number: int) -> Backup:
    """Put a media backup there, and return what has to be read back."""
    taken_at = datetime(2026, 1, 5, 23, 30, 1, tzinfo=UTC) - timedelta(hours=31 * number)
    files = {f"{each}.jpg": bytes(number) for each in range(number)}
    label, has_manifest = LABELS[number + 1], number != 2
    path = backups.put_media(
        taken_at, files, manifest=has_manifest, pinned=number == 1, raw_size=number, label=label
    )
    name = path.removeprefix("media-versions/")
    row = Backup(name=name, path=path, kind="media", database="media", taken_at=taken_at, pinned=number == 1)
    if not has_manifest:
        row.size, row.state = len(backups.remote.read(path)), "legacy"
        return row
    for field, value in json.loads(backups.remote.read(f"{path}.manifest.json")).items():
        if field in Backup.FROM_MANIFEST:
            setattr(row, field, Backup._meta.get_field(field).to_python(value) if value else value)
    row.size, row.state = number * number, "complete"
    return row


@pytest.fixture
def both(
    catalogue: Backups, settings: Any, rclone_binary: str, db: None
) -> tuple[models.QuerySet[Backup], models.QuerySet[Backup]]:
    """The backups, asked of the remote and asked of the table."""
    settings.DJANGO_RCLONE = {
        "RCLONE_BINARY": rclone_binary,
        "LISTING_CACHE_SECONDS": 3600,
        **catalogue.remote.settings,
    }
    return Backup.objects.all(), models.QuerySet(Backup)


# -- random questions ---------------------------------------------------------------------------------------------------


def conditions(field: str, values: strategies.SearchStrategy[Any], *lookups: str) -> Any:
    """Return conditions on one field: the lookups, with values that fit them."""
    alone = ("exact", *lookups)
    return strategies.one_of(
        strategies.builds(
            lambda lookup, value: Q(**{f"{field}__{lookup}": fitting(lookup, value)}),
            strategies.sampled_from(alone),
            values,
        ),
        strategies.builds(lambda some: Q(**{f"{field}__in": some}), strategies.lists(values, max_size=3)),
        strategies.builds(
            lambda some: Q(**{f"{field}__range": sorted(some)}),
            strategies.lists(values, min_size=2, max_size=2),
        ),
    )


def fitting(lookup: str, value: Any) -> Any:
    """Return a value that the lookup can take: a backslash alone is no regular expression."""
    return value.replace("\\", "\\\\") if lookup.endswith("regex") else value


ORDER = ("gt", "gte", "lt", "lte")
# SQLite ignores the case of ASCII letters in LIKE, so what heeds the case is asked of lower case alone.
TEXT = (
    "contains",
    "startswith",
    "endswith",
    "icontains",
    "iexact",
    "istartswith",
    "iendswith",
    "regex",
    "iregex",
)
ANY_CASE = ("iexact", "icontains", "istartswith", "iendswith", "iregex", *ORDER)

sizes = strategies.integers(0, 6)
times = strategies.integers(-40, 10).map(
    lambda hours: datetime(2026, 1, 1, 5, tzinfo=UTC) + timedelta(hours=hours * 9)
)
days = times.map(lambda time: time.date())
parts = strategies.sampled_from(["default", "old", "2026", "-01-", "12-31", ".dump", "d", "%", "_", "-"])
labels = strategies.sampled_from([*LABELS, "MOVE", "before", "%", "_", "\\", "e"])

never_null = strategies.one_of(
    conditions("size", sizes, *ORDER),
    conditions("name", parts, *TEXT, *ORDER),
    conditions("database", strategies.sampled_from(["default", "analytics", "nobody"]), *TEXT),
    conditions("state", strategies.sampled_from(["complete", "legacy", "damaged", "x"])),
    conditions("label", labels, *ANY_CASE),
    conditions("taken_at", times, *ORDER),
    conditions("taken_at__date", days, *ORDER),
    conditions("taken_at__year", strategies.integers(2025, 2027), *ORDER),
    conditions("taken_at__month", strategies.sampled_from([1, 12, 6]), *ORDER),
    conditions("taken_at__day", strategies.integers(1, 31), *ORDER),
    conditions("taken_at__hour", strategies.integers(0, 23), *ORDER),
    strategies.builds(lambda value: Q(pinned=value), strategies.booleans()),
)
may_be_null = strategies.one_of(
    conditions("raw_size", sizes.map(lambda size: size * 10), *ORDER),
    conditions("finished_at", times, *ORDER),
    conditions("finished_at__date", days, *ORDER),
    strategies.builds(lambda value: Q(raw_size__isnull=value), strategies.booleans()),
)
questions = strategies.recursive(
    # Django 4.2 means another thing by an XOR of three.
    never_null | may_be_null | strategies.builds(operator.xor, never_null, never_null),
    lambda inner: strategies.one_of(
        strategies.builds(operator.and_, inner, inner),
        strategies.builds(operator.or_, inner, inner),
        inner.map(operator.invert),
    ),
    max_leaves=6,
)
sort_keys = strategies.lists(
    strategies.sampled_from(
        ["database", "size", "state", "raw_size", "finished_at", "pinned", "label", "taken_at"]
    ).flatmap(
        lambda name: strategies.sampled_from(
            [
                name,
                f"-{name}",
                F(name).asc(nulls_last=True),
                F(name).desc(nulls_first=True),
                F(name).asc(nulls_first=True),
                F(name).desc(nulls_last=True),
            ]
        )
    ),
    max_size=3,
)


random_questions = given(
    question=questions,
    order=sort_keys,
    is_reversed=strategies.booleans(),
    zone=strategies.sampled_from(ZONES),
    window=strategies.tuples(strategies.integers(0, 5), strategies.integers(0, 30)),
)


def few(examples: int) -> settings:
    """Ask that many questions, none of them for too long to be healthy."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@few(100)
@random_questions
def test_random_questions_have_the_answers_of_sql(both, question, order, is_reversed, zone, window):
    compare(both, question, order, is_reversed, zone, window)


@pytest.mark.soak
@few(1000)
@random_questions
def test_many_random_questions_have_the_answers_of_sql(both, question, order, is_reversed, zone, window):
    compare(both, question, order, is_reversed, zone, window)


def compare(both, question, order, is_reversed, zone, window):
    """Ask a question of both, in every way."""

    def ask(backups: models.QuerySet[Backup]) -> list[Any]:
        found = backups.filter(question).order_by(*order, "pk")
        found = found.reverse() if is_reversed else found
        return [
            list(found.values()),
            [each.pk for each in found[slice(*window)]],
            found.count(),
            found[slice(*window)].count(),
            found.exists(),
            found.first(),
            found.last(),
            sorted(backups.exclude(question).values_list("pk", flat=True)),
        ]

    with timezone.override(zone):
        remote, table = map(ask, both)
    assert remote == table


# -- chosen questions ---------------------------------------------------------------------------------------------------


def raised(error: type[Exception], action: Any) -> str:
    with pytest.raises(error) as caught:
        action()
    return str(caught.value)


QUESTIONS = {
    "all": lambda q: list(q.all()),
    "every field": lambda q: list(q.values()),
    "default order reversed": lambda q: list(q.reverse()),
    "pk": lambda q: q.get(pk=q.first().pk),
    "iterator": lambda q: [each.label for each in q.iterator()],
    "index": lambda q: [q[0], q[5], q[5:7][1]],
    "slice of slice": lambda q: list(q[3:12][2:4]),
    "step": lambda q: q[1:9:2],
    "slice to nothing": lambda q: [list(q[5:5]), list(q[100:]), q[100:].exists()],
    "latest": lambda q: [
        q.latest("taken_at", "pk"),
        q.earliest("size", "pk"),
        q.order_by("label", "pk").last(),
    ],
    "nothing to be latest": lambda q: raised(Backup.DoesNotExist, lambda: q.none().latest("taken_at")),
    "get nothing": lambda q: raised(Backup.DoesNotExist, lambda: q.get(size=99)),
    "get too many": lambda q: raised(Backup.MultipleObjectsReturned, lambda: q.get(size=1)).partition("!")[0],
    "nothing": lambda q: [list(q.none()), q.none().count(), q.none().exists(), q.none().first()],
    "nothing or something": lambda q: list((q.none() | q.filter(size=1)).order_by("pk")),
    "both": lambda q: list((q.filter(pinned=True) & q.filter(size=1)).order_by("pk")),
    "in bulk": lambda q: [q.in_bulk([q[3].pk, q[1].pk, "x"]), len(q.in_bulk()), q.in_bulk([])],
    "no condition": lambda q: [
        q.filter().count(),
        q.exclude().count(),
        q.filter(Q()).count(),
        q.filter(~Q()).count(),
    ],
    "either or": lambda q: list(q.filter(Q(size__gt=1) ^ Q(size__gt=3)).order_by("pk")),
    "one of none": lambda q: [list(q.filter(pk__in=[])), q.exclude(pk__in=[]).count()],
    "one of a query": lambda q: list(q.filter(pk__in=q.filter(pinned=True)).order_by("pk")),
    "one of a query's values": lambda q: list(
        q.exclude(size__in=q.filter(database="default").values("size")).order_by("pk")
    ),
    "contains": lambda q: [q.contains(q[2]), q.filter(pinned=False).contains(Backup(pk="x"))],
    "values": lambda q: list(q.values("name", "raw_size")),
    "values of pk": lambda q: [list(q.values("pk")), list(q.values_list("pk", "size"))],
    "named": lambda q: [each.size for each in q.values_list("size", "label", named=True)],
    "json": lambda q: list(q.values_list("tables", "migrations")),
    "distinct": lambda q: sorted(q.order_by().values_list("database", "size").distinct()),
    "distinct by the manifest": lambda q: sorted(q.order_by().values_list("label", "state").distinct()),
    "distinct, counted": lambda q: q.order_by().values("database").distinct().count(),
    "distinct, cut": lambda q: list(
        q.order_by("database").values_list("database", flat=True).distinct()[1:5]
    ),
    "distinct objects": lambda q: q.distinct().count(),
    "only and defer": lambda q: [
        [each.label for each in q.only("name")],
        [each.name for each in q.defer("name")],
    ],
    "aggregates": lambda q: q.aggregate(
        Count("pk"), Min("taken_at"), Max("name"), Sum("size"), Avg("raw_size")
    ),
    "count": lambda q: q.aggregate(a=Count("*"), b=Count("raw_size"), c=Count("size", distinct=True)),
    "sum of distinct": lambda q: q.aggregate(a=Sum("size", distinct=True), b=Avg("size", distinct=True)),
    "aggregate of some": lambda q: q.filter(size__gt=2)[1:4].aggregate(n=Count("pk"), most=Max("size")),
    "aggregate with a filter": lambda q: q.aggregate(
        n=Count("pk", filter=Q(pinned=True)), least=Min("size", filter=Q(state="legacy") | Q(label=""))
    ),
    "aggregate with a subquery": lambda q: q.aggregate(n=Count("pk", filter=Q(pk__in=q.filter(size=3)))),
    "aggregate of nothing": lambda q: q.filter(size=99).aggregate(
        Count("pk"), Max("size"), Sum("size", default=0)
    ),
    "dates": lambda q: [list(q.dates("taken_at", kind)) for kind in ("year", "month", "week", "day")],
    "dates, newest first": lambda q: list(q.dates("finished_at", "day", order="DESC")),
    "datetimes": lambda q: [
        list(q.datetimes("taken_at", kind))
        for kind in ("year", "month", "week", "day", "hour", "minute", "second")
    ],
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize("zone", ["America/New_York"])
def test_chosen_questions_have_the_answers_of_sql(both, question, zone):
    with timezone.override(zone):
        remote, table = map(question, both)
    assert remote == table


def test_a_backup_knows_what_the_listing_and_its_manifest_say(both):
    for found, expected in zip(*(each.order_by("pk") for each in both), strict=True):
        values = [[getattr(row, field.attname) for field in Backup._meta.fields] for row in (found, expected)]
        assert values[0] == values[1]
        assert (found._state.adding, str(found)) == (False, expected.name)
        is_legacy_media = (expected.kind, expected.state) == ("media", "legacy")
        assert found.is_restorable == (expected.state != "damaged" and not is_legacy_media)
        found.label = "changed"
        found.refresh_from_db()
        assert found.label == expected.label


def test_random_order_gives_every_backup_once(both):
    assert sorted(each.pk for each in both[0].order_by("?")) == sorted(each.pk for each in both[1])


def test_no_sql_is_sent(both, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert (
            Backup.objects.filter(label__icontains="move", taken_at__year__gt=2024).order_by("size").exists()
        )
        assert list(Backup.objects.in_bulk())


# -- what can't be answered ---------------------------------------------------------------------------------------------

REFUSED = {
    "key of JSON": lambda q: q.filter(migrations__shop="0001_initial"),
    "lookup in JSON": lambda q: q.filter(migrations__shop__contains="0001_initial"),
    "JSON contains": lambda q: q.filter(tables__contains=["shop_order"]),
    "JSON is": lambda q: q.exclude(tables=[]),
    "order by JSON": lambda q: q.order_by("migrations"),
    "distinct JSON": lambda q: q.values_list("tables").distinct(),
    "week": lambda q: q.filter(taken_at__week=3),
    "year of date": lambda q: q.filter(taken_at__date__year=2026),
    "hidden by another condition": lambda q: q.filter(name="x", taken_at__quarter=1),
    "hidden in OR": lambda q: q.filter(Q(size__gte=0) | Q(taken_at__iso_year=1)),
    "regular expression": lambda q: q.filter(name__regex="("),
    "field": lambda q: q.filter(size__lt=F("raw_size")),
    "field in a list": lambda q: q.filter(name__in=[F("path")]),
    "field in a range": lambda q: q.filter(size__range=(F("raw_size"), 3)),
    "expression": lambda q: q.filter(Value(True)),
    "subquery": lambda q: q.filter(Exists(BackupRun.objects.filter(path=OuterRef("path")))),
    "values of another model": lambda q: q.filter(pk__in=BackupRun.objects.values("path")),
    "order by an expression": lambda q: q.order_by(Lower("name")),
    "distinct on": lambda q: q.distinct("database"),
    "values of a part": lambda q: q.values_list("taken_at__year"),
    "values of an expression": lambda q: q.values(year=ExtractYear("taken_at")),
    "annotate": lambda q: q.annotate(n=Count("pk")),
    "alias": lambda q: q.alias(n=F("size")),
    "groups": lambda q: q.values("database").annotate(n=Count("pk")),
    "union": lambda q: q.union(q),
    "difference": lambda q: q.difference(q),
    "intersection": lambda q: q.intersection(q),
    "extra": lambda q: q.extra(where=["1 = 1"]),
    "raw": lambda q: q.raw("SELECT 1"),
    "explain": lambda q: q.explain(),
    "deviation": lambda q: q.aggregate(StdDev("size")),
    "sum of text": lambda q: q.aggregate(Sum("name")),
    "largest JSON": lambda q: q.aggregate(Max("migrations")),
    "sum of an expression": lambda q: q.aggregate(n=Sum(F("size") + 1)),
    "sum of sums": lambda q: q.aggregate(n=Sum("size") + 1),
    "update": lambda q: q.update(label="x"),
    "create": lambda q: q.create(name="x"),
    "get or create": lambda q: q.get_or_create(name="x"),
    "update or create": lambda q: q.update_or_create(name="x"),
    "bulk create": lambda q: q.bulk_create([Backup(name="x")]),
    "bulk update": lambda q: q.bulk_update([Backup(name="x")], ["name"]),
    "save": lambda q: q.model(name="x").save(),
}


@pytest.mark.parametrize("action", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_answered_is_refused(backups, action):
    backups.configure(LISTING_CACHE_SECONDS=3600)
    for _remote_is_empty in (True, False):
        with pytest.raises(NotSupportedError):
            list(action(Backup.objects.all()))
        backups.put()
        api.refresh()


# -- calls of rclone ----------------------------------------------------------------------------------------------------


LISTING = ["lsjson", "lsjson"]
"""The calls that tell what is there: one for the databases, and beside it one for the media."""


@pytest.fixture
def counted(backups, tmp_path):
    """A remote with three backups whose calls are counted."""
    for days_ago in range(3):
        backups.put(DAY - timedelta(days=days_ago), label=f"{days_ago} days ago")
    backups.count_calls(tmp_path)
    return backups


def test_a_listing_takes_one_lsjson_of_each_kind_and_one_cat(counted):
    assert len(list(Backup.objects.all())) == 3
    assert counted.calls() == [*LISTING, "cat"]
    assert Backup.objects.filter(label="1 days ago").order_by("state").get().taken_at == DAY - timedelta(
        days=1
    )
    assert counted.calls() == []


def test_media_take_one_cat_more_and_a_site_without_media_no_call_at_all(counted, settings):
    counted.put_media()
    assert [each.files for each in Backup.objects.all()] == [1, None, None, None]
    assert counted.calls() == [*LISTING, "cat", "cat"]
    settings.MEDIA_ROOT = ""
    assert Backup.objects.count() == 3
    assert counted.calls() == ["lsjson"]


def test_the_size_of_media_is_all_that_a_question_about_sizes_reads(counted):
    counted.put_media(DAY, {"a": bytes(40), "b": bytes(2)})
    assert Backup.objects.aggregate(Sum("size")) == {"size__sum": 342}
    assert counted.calls() == [*LISTING, "cat"]
    assert Backup.objects.order_by("size").values_list("kind", "size").first() == ("media", 42)
    assert counted.calls() == []


def test_manifests_are_read_only_where_they_are_needed(counted):
    assert Backup.objects.filter(database="default", taken_at__date=DAY.date()).count() == 1
    assert Backup.objects.values_list("name", "size").first()[1] == 100
    assert Backup.objects.aggregate(Max("taken_at")) == {"taken_at__max": DAY}
    assert Backup.objects.dates("taken_at", "year") == [date(2026, 1, 1)]
    assert counted.calls() == LISTING
    assert Backup.objects.latest("taken_at").label == "0 days ago"
    assert counted.calls() == ["cat"]
    assert list(Backup.objects.filter(state="damaged")) == []
    assert counted.calls() == ["cat"]


def test_a_manifest_that_cannot_be_read_is_not_tried_again_and_again(counted):
    counted.put(manifest=b"not a manifest", database="broken")
    assert Backup.objects.get(database="broken").state == "damaged"
    assert counted.calls() == [*LISTING, "cat"]
    assert Backup.objects.get(database="broken").state == "damaged"
    assert counted.calls() == []


def test_our_writes_and_a_refresh_empty_the_cache(counted):
    newest, *others = Backup.objects.all()
    api.pin_backup(newest.path)
    assert Backup.objects.get(pinned=True) == newest
    counted.calls()
    counted.put(DAY + timedelta(days=1))
    assert Backup.objects.count() == 3
    assert counted.calls() == []
    api.refresh()
    assert Backup.objects.count() == 4
    assert counted.calls() == LISTING
    Backup.objects.filter(pk__in=[each.pk for each in others]).delete()
    assert Backup.objects.count() == 2


def test_without_a_cache_every_question_is_asked_of_the_remote(counted):
    counted.configure(LISTING_CACHE_SECONDS=0)
    assert [Backup.objects.count(), Backup.objects.count()] == [3, 3]
    assert counted.calls() == [*LISTING, *LISTING]


def test_another_remote_has_another_listing(counted, tmp_path):
    assert Backup.objects.count() == 3
    counted.configure(REMOTE=str(tmp_path / "nothing-here-yet"))
    assert list(Backup.objects.all()) == []


def test_a_remote_that_is_down_is_an_error_and_is_not_asked_again_at_once(counted):
    good = dict(counted.remote.settings)
    counted.take_down()
    for question in (Backup.objects.exists, lambda: list(Backup.objects.all()), Backup.objects.first):
        with pytest.raises(RemoteUnreachable) as caught:
            question()
        assert caught.value.hint
    assert counted.calls() == LISTING
    api.refresh()
    with pytest.raises(RemoteUnreachable):
        Backup.objects.count()
    assert counted.calls() == LISTING
    counted.configure(**good, RCLONE_FLAGS=[])
    assert Backup.objects.count() == 3


# -- changes ------------------------------------------------------------------------------------------------------------


def test_delete_removes_the_object_its_manifest_and_its_pin(backups):
    gone = [backups.put(DAY - timedelta(days=ago), pinned=ago == 0, manifest=ago != 1) for ago in range(3)]
    kept = backups.put(database="analytics", pinned=True)
    one = Backup.objects.get(pk=gone[0])
    assert one.delete() == (1, {"django_rclone_admin.Backup": 1})
    assert one.delete() == (0, {"django_rclone_admin.Backup": 0})
    assert Backup.objects.filter(database="default").delete() == (2, {"django_rclone_admin.Backup": 2})
    assert backups.remote.names() == [kept, f"{kept}.keep", f"{kept}.manifest.json"]


def test_save_refuses(backups):
    backups.put()
    backup = Backup.objects.get()
    backup.label = "changed"
    with pytest.raises(NotSupportedError, match="never changed"):
        backup.save()
    with pytest.raises(NotSupportedError, match="never changed"):
        backup.save(update_fields=["label"])


# -- the rest of Django -------------------------------------------------------------------------------------------------


@pytest.mark.backed_up
@pytest.mark.parametrize(
    "arguments", [("dumpdata",), ("dumpdata", "--all"), ("dumpdata", "django_rclone_admin")]
)
def test_dumpdata_leaves_backups_out_and_calls_no_rclone(shop, arguments):
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = "/nonexistent/rclone"
    result = shop.manage(*arguments)
    assert result.code == 0, result.err
    models_dumped = {each["model"] for each in result.json}
    assert "django_rclone_admin.backuprun" in models_dumped
    assert "django_rclone_admin.backup" not in models_dumped


def test_django_commands_call_no_rclone(shop):
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = "/nonexistent/rclone"
    for arguments in (
        ("check",),
        ("check", "--database", "default"),
        ("migrate",),
        ("makemigrations", "--check"),
        ("flush", "--no-input"),
        ("sqlflush",),
        ("inspectdb", "shop_order"),
        ("testserver", "--help"),
        ("test", "tests.site"),
    ):
        result = shop.manage(*arguments)
        assert result.code == 0, (arguments, result)


def test_serialized_rollback_calls_no_rclone(backups, db):
    backups.configure(RCLONE_BINARY="/nonexistent/rclone")
    assert 'django_rclone_admin.backup"' not in connection.creation.serialize_db_to_string()
