"""A backup's name says which database it is of and when it was taken, and nothing else is taken for such a name."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_rclone_admin.core.naming import Naming, ParsedName, partial, partial_run
from django_rclone_admin.exceptions import UsageError
from tests.support.engine import NAMING

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2024, 1, 15, 12, 0, 0, tzinfo=UTC)
RUN = "6f1c1a52-97a3-4a86-9a53-3f1d9e0f4f07"

TEMPLATES = [
    "{database}-{datetime}.{ext}",
    "{database}_{datetime}.{ext}",
    "{database}.{datetime}.{ext}",
    "{database}-site of {datetime}.{ext}",
    "{database}-{ext}-{datetime}",
    "{database}-+{datetime}.{ext}",
]
DATE_FORMATS = [
    "%Y-%m-%d-%H%M%S",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%SZ",
    "%d.%m.%Y %H.%M.%S",
    "%Y-%m-%d-%H%M%S.%f",
    "%Y-%m-%d",
]

aliases = st.from_regex(r"\A[\w@+][\w.@+-]{0,20}\Z") | st.sampled_from(
    [
        "default",
        "a-b",
        "db-2",
        "x-2024-01-15-120000",
        "x-2024-01-15-120000-2",
        "x.dump",
        "2024",
        "Ünïcode",
        "a-1-1",
    ]
)
times = st.integers(0, 7 * 10**15).map(lambda micros: EPOCH + timedelta(microseconds=micros))
extensions = st.sampled_from(["dump", "dump.zst", "sqlite3.gz", "sql", "sqlite3", "archive.zst"])
numbers = st.integers(1, 9999)


@given(
    naming=st.builds(Naming, st.sampled_from(TEMPLATES), st.sampled_from(DATE_FORMATS)),
    alias=aliases,
    taken_at=times,
    extension=extensions,
    number=numbers,
)
@example(naming=NAMING, alias="a-2024-01-15-120000", taken_at=NOON, extension="dump", number=2024)
@example(
    naming=Naming(TEMPLATES[0], "%Y-%m-%d"), alias="a-2024-01-15", taken_at=NOON, extension="dump", number=1
)
def test_parsing_undoes_rendering(naming, alias, taken_at, extension, number):
    exact = datetime.strptime(taken_at.strftime(naming.date_format), naming.date_format).replace(tzinfo=UTC)

    name = naming.render(database=alias, taken_at=taken_at, extension=extension, number=number)

    assert naming.parse(name) == ParsedName(
        database=alias, taken_at=exact, extension=extension, number=number
    )


@given(alias=st.text(max_size=15))
def test_any_alias_is_rendered_to_what_can_be_parsed_back_or_refused(alias):
    try:
        name = NAMING.render(database=alias, taken_at=NOON, extension="dump")
    except UsageError:
        return
    assert NAMING.parse(name).database == alias
    assert "/" not in name
    assert not name.startswith((".", "-"))


@given(name=st.text(max_size=60) | st.from_regex(r"\A\w+-\d{4}-\d\d-\d\d-\d{6}(-\d+)?\.[\w.-]+\Z"))
def test_what_is_parsed_is_rendered_to_the_same_name(name):
    parsed = NAMING.parse(name)
    if parsed is None:
        return
    assert name == NAMING.render(
        database=parsed.database, taken_at=parsed.taken_at, extension=parsed.extension, number=parsed.number
    )


def test_time_in_a_name_is_utc():
    in_delhi = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert (
        NAMING.render(database="default", taken_at=in_delhi, extension="dump")
        == "default-2024-01-15-120000.dump"
    )


@pytest.mark.parametrize(
    "name, expected",
    [
        ("default-2024-01-15-120000.dump", ("default", "dump", 1)),
        ("default-2024-01-15-120000.sqlite3", ("default", "sqlite3", 1)),
        ("my-shop-2-2024-01-15-120000.sql", ("my-shop-2", "sql", 1)),
        ("default-2024-01-15-120000-2.dump.zst", ("default", "dump.zst", 2)),
        ("default-2024-01-15-120000-2024-01-15-120000.dump", ("default-2024-01-15-120000", "dump", 1)),
    ],
)
def test_name_is_parsed(name, expected):
    """The first three are names that django-rclone gives."""
    parsed = NAMING.parse(name)

    assert (parsed.database, parsed.extension, parsed.number) == expected
    assert parsed.taken_at == NOON


FOREIGN = [
    "",
    "default",
    "default-2024-01-15-120000",
    "default-2024-01-15-120000.",
    "default-2024-01-15-120000..dump",
    "-2024-01-15-120000.dump",
    ".hidden-2024-01-15-120000.dump",
    "default-2024-13-15-120000.dump",
    "default-2024-02-30-120000.dump",
    "default-2024-01-15-126000.dump",
    "default-2024-01-15.dump",
    "default-2024-1-15-120000.dump",
    "default-2024-01-15-120000-1.dump",
    "default-2024-01-15-120000-02.dump",
    "default-2024-01-15-120000 (1).dump",
    "default-2024-01-15-120000.dump\n",
    "default-2024-01-15-120000.dump~",
    "../default-2024-01-15-120000.dump",
    "sub/default-2024-01-15-120000.dump",
    "a b-2024-01-15-120000.dump",
    "a\nb-2024-01-15-120000.dump",
    "a\x00b-2024-01-15-120000.dump",
    "$(reboot)-2024-01-15-120000.dump",
    "default-2024-01-15-120000.dump;rm -rf",
    "README.md",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_name_is_no_backup(name):
    assert NAMING.parse(name) is None


@given(
    alias=aliases,
    taken_at=times,
    extension=extensions,
    suffix=st.sampled_from([".manifest.json", ".keep", f".partial-{RUN}", ".partial-"]),
)
def test_what_belongs_to_a_backup_is_no_backup_itself(alias, taken_at, extension, suffix):
    name = NAMING.render(database=alias, taken_at=taken_at, extension=extension)

    assert NAMING.parse(name + suffix) is None


def test_run_of_an_upload_in_flight_is_known_by_its_name():
    assert partial_run(partial("default-2024-01-15-120000.dump", RUN)) == RUN


@pytest.mark.parametrize(
    "name", ["default-2024-01-15-120000.dump", "default.partial", "x.dump.manifest.json"]
)
def test_other_objects_are_no_uploads_in_flight(name):
    assert partial_run(name) is None


@pytest.mark.parametrize(
    "alias",
    ["", ".", "..", "-rf", ".hidden", "a/b", "a\\b", "a b", "a\nb", "a\0b", "a'b", "a;b", "x.partial-y"],
)
def test_alias_that_can_be_no_part_of_a_name_is_refused(alias):
    with pytest.raises(UsageError) as caught:
        NAMING.render(database=alias, taken_at=NOON, extension="dump")

    assert "alias" in str(caught.value) + caught.value.hint


def test_alias_that_would_be_read_as_another_is_refused():
    """Here nobody can tell where the alias ends and the extension begins."""
    naming = Naming("{database}.{ext}-{datetime}", "%Y-%m-%d-%H%M%S")

    with pytest.raises(UsageError, match="is ambiguous"):
        naming.render(database="a.b", taken_at=NOON, extension="dump")


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{database}",
        "{database}-{datetime}",
        "{datetime}.{ext}",
        "{datetime}-{database}.{ext}",
        "x{database}-{datetime}.{ext}",
        "{database}{datetime}.{ext}",
        "{database}x{datetime}.{ext}",
        "{database}-{database}-{datetime}.{ext}",
        "{database}-{datetime}.{ext}{ext}",
        "{database}-{datetime}-{host}.{ext}",
        "{database}-{datetime!r}.{ext}",
        "{database}-{datetime:%Y}.{ext}",
        "{database:>20}-{datetime}.{ext}",
        "{database.__class__}-{datetime}.{ext}",
        "{}-{datetime}.{ext}",
        "{0}-{datetime}.{ext}",
        "{database}-{datetime.{ext}",
        "{database}/{datetime}.{ext}",
        "{database}-/../{datetime}.{ext}",
        "{database}-\n{datetime}.{ext}",
        "{database}-{datetime}.{ext}.keep",
        "{database}-{datetime}.{ext}.manifest.json",
        "{database}.partial-{datetime}.{ext}",
    ],
)
def test_template_that_cannot_be_parsed_back_is_refused(template):
    with pytest.raises(UsageError, match="DB_FILENAME_TEMPLATE") as caught:
        Naming(template, "%Y-%m-%d-%H%M%S")

    assert "{database}" in caught.value.hint


@pytest.mark.parametrize(
    "date_format",
    ["", "backup", "%Y", "%H%M%S", "%Y-%m", "%y-%m-%d", "%Y-%j", "%c", "%Y-%m-%d%", "%Y-%m-%d %%", "%Y-%m-%d-%Y",
     "%Y/%m/%d", "%Y-%m-%d\n", "%Y-%-m-%d", "%Y-%m-%d %Z"],
)  # fmt: skip
def test_date_format_that_cannot_be_read_back_to_the_day_is_refused(date_format):
    with pytest.raises(UsageError, match="DB_DATE_FORMAT") as caught:
        Naming("{database}-{datetime}.{ext}", date_format)

    assert "%" in caught.value.hint
