"""A manifest says about a backup what nobody could tell from its bytes, and survives the years."""

import dataclasses
import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_rclone_admin.core.manifest import BEGINNING, Manifest
from django_rclone_admin.core.many_manifests import BriefReading, FullReading, ManifestReader, ThinManifest
from django_rclone_admin.exceptions import BackupDamaged

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
MANIFEST = Manifest(
    name="default-2026-11-22-120000.dump.zst",
    database="default",
    engine="postgresql",
    connector="django_rclone_admin.connectors.postgresql.PgDumpConnector",
    taken_at=NOON,
    finished_at=NOON,
    size=123,
    raw_size=4567,
    sha256="ab" * 32,
    compression="zstd",
    migrations={"auth": ["0012_alter_user_first_name_max_length"]},
    tables=["auth_user", "shop_order"],
    label="before the move to Köln 🚚",
    trigger="command",
)

STORED = (
    '{"format": 1, "name": "default-2026-11-22-120000.dump.zst", "database": "default", "engine": "postgresql", '
    '"connector": "django_rclone_admin.connectors.postgresql.PgDumpConnector", '
    '"taken_at": "2026-11-22T12:00:00.123456+00:00", "finished_at": "2026-11-22T12:00:00.123456+00:00", '
    f'"size": 123, "raw_size": 4567, "sha256": "{"ab" * 32}", "compression": "zstd", "server_version": "", '
    '"tool_version": "", "django_version": "", "package_version": "", '
    '"migrations": {"auth": ["0012_alter_user_first_name_max_length"]}, "tables": ["auth_user", "shop_order"], '
    '"label": "before the move to Köln 🚚", "trigger": "command", "run": "", "host": ""}\n'
)
"""Format 1 as it is on people's remotes: this text may never change."""

text = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=30)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(timezones=offsets).filter(lambda time: 1 < time.year < 9999)
sizes = st.integers(0, 2**63 - 1)
manifests = st.builds(
    Manifest, name=text, database=text, engine=text, connector=text, taken_at=times, finished_at=times,
    size=sizes, raw_size=sizes, sha256=text, compression=text | st.none(), label=text,
    migrations=st.dictionaries(text, st.lists(text, max_size=3), max_size=3), tables=st.lists(text, max_size=3),
    format=st.just(1),
)  # fmt: skip


def read_lines(data, chunk=1000):
    """Return the manifests in these bytes, which come in parts, by their names."""
    found = {}
    reader = ManifestReader(FullReading(), lambda manifest: found.update({manifest.name: manifest}))
    for start in range(0, len(data), chunk):
        reader.feed(data[start : start + chunk])
    reader.finish()
    return found


def test_format_1_is_written_as_it_always_was():
    assert MANIFEST.to_bytes().decode() == STORED


def test_format_1_is_read_as_it_always_was():
    assert Manifest.from_bytes(STORED.encode()) == MANIFEST


@given(manifest=manifests)
def test_what_is_written_is_read_again(manifest):
    stored = manifest.to_bytes()

    assert stored.count(b"\n") == 1
    assert stored.endswith(b"\n")
    assert Manifest.from_bytes(stored) == manifest


@given(several=st.lists(manifests, max_size=5, unique_by=lambda each: each.name))
def test_many_are_read_at_once_in_any_order(several):
    assert read_lines(b"".join(each.to_bytes() for each in several)) == {each.name: each for each in several}


def test_keys_of_a_newer_package_are_passed_over():
    assert Manifest.from_bytes(json.dumps(json.loads(STORED) | {"novelty": [1]}).encode()) == MANIFEST


def test_newer_format_is_not_guessed_at():
    with pytest.raises(BackupDamaged, match="newer version") as caught:
        Manifest.from_bytes(json.dumps(json.loads(STORED) | {"format": 2}).encode())

    assert "Upgrade" in caught.value.hint


WRONG = [
    {"format": None}, {"format": "1"}, {"name": None}, {"name": 5}, {"size": -1}, {"size": 2**63}, {"raw_size": -1}, {"files": "3"}, {"tables": [1]}, {"migrations": {"a": "b"}}, {"size": "123"}, {"size": None}, {"size": 1.5},
    {"raw_size": []}, {"taken_at": "yesterday"}, {"taken_at": 5}, {"taken_at": "0001-01-01T00:00:00"},
    {"finished_at": "9999-12-31T23:59:59"}, {"sha256": None}, {"label": 5}, {"tables": "auth_user"},
    {"taken_at": "0001-01-01T00:00:00+00:00"}, {"finished_at": "9999-12-31T23:59:59+00:00"}, {"size": True},
    {"taken_at": "0001-01-01T00:00:00+23:59"}, {"taken_at": "10000-01-01T00:00:00+00:00"}, {"files": False},
    {"taken_at": {}}, {"taken_at": None}, {"size": float("nan")}, {"size": float("inf")}, {"name": ["x"]},
    {"tables": {"a": []}}, {"tables": [None]}, {"migrations": {"a": [1]}}, {"label": None}, {"run": 5}, {"host": []},
    {"migrations": []}, {"compression": 5}, {"trigger": None},
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_wrong_value_is_damage(change):
    with pytest.raises(BackupDamaged):
        Manifest.from_bytes(json.dumps(json.loads(STORED) | change).encode())


@pytest.mark.parametrize("key", ["format", "name", "database", "engine", "taken_at", "size", "sha256"])
def test_missing_key_is_damage(key):
    values = json.loads(STORED)
    del values[key]

    with pytest.raises(BackupDamaged):
        Manifest.from_bytes(json.dumps(values).encode())


@given(
    garbage=st.binary(max_size=200)
    | st.sampled_from([b"[]", b"null", b"1", b'"x"', b"{}", b"\xff\xfe{}", b"NaN"])
)
def test_garbage_is_damage_and_nothing_worse(garbage):
    with pytest.raises(BackupDamaged):
        Manifest.from_bytes(garbage)


def test_manifest_cut_off_at_any_byte_is_damage():
    stored = MANIFEST.to_bytes()

    for length in range(len(stored) - 1):
        with pytest.raises(BackupDamaged):
            Manifest.from_bytes(stored[:length])


@pytest.mark.parametrize(
    "rubbish", [b"", b"{", b"garbage", b"\xff\x00", STORED.encode()[:-40], b"\n\n", b'{"format": 1}']
)
def test_one_that_cannot_be_read_does_not_take_its_neighbours_with_it(rubbish):
    """They come one after another, and a file that is cut off has no line end."""
    first, second = MANIFEST.to_bytes(), MANIFEST.to_bytes().replace(b"default", b"analytics")

    assert set(read_lines(first + rubbish + second)) == {
        "default-2026-11-22-120000.dump.zst",
        "analytics-2026-11-22-120000.dump.zst",
    }


def test_label_that_looks_like_the_beginning_of_a_manifest_is_a_label():
    odd = dataclasses.replace(MANIFEST, label='{"format": 1, "name": "x"}\n\r\u2028')

    [found] = read_lines(odd.to_bytes()).values()
    assert found.label == '{"format": 1, "name": "x"}  \ufffd'
    assert dataclasses.replace(found, label=odd.label) == odd


NASTY = "before \x1b[2J\x07\x9b31m\u202e\u2066\ud800\x00\x7f after"


def texts(value):
    """Give all text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        yield from (text for each in value for text in texts(each))
    elif isinstance(value, dict):
        yield from texts([*value, *value.values()])


@pytest.mark.parametrize(
    "field",
    ["label", "host", "engine", "connector", "run", "trigger", "sha256", "database", "server_version"],
)
def test_no_text_breaks_a_page_or_steers_a_terminal(field):
    found = Manifest.from_bytes(json.dumps(json.loads(STORED) | {field: NASTY}).encode())

    assert getattr(found, field) == "before \ufffd[2J\ufffd\ufffd31m\ufffd\ufffd\ufffd\ufffd\ufffd after"


def test_no_name_in_a_list_breaks_a_page_or_steers_a_terminal():
    lists = {"tables": [NASTY], "migrations": {NASTY: [NASTY]}}
    found = Manifest.from_bytes(json.dumps(json.loads(STORED) | lists).encode())

    for text in texts(dataclasses.asdict(found)):
        assert text.isprintable()
        text.encode()


@given(label=st.text(st.characters(exclude_categories=[])))
def test_any_label_can_be_stored(label):
    """An argument of a command may have bytes that are no text."""
    [found] = read_lines(dataclasses.replace(MANIFEST, label=label).to_bytes()).values()

    found.label.encode()
    assert not {"\x1b", "\n", "\x00", "\x9b"} & {*found.label}


def test_plain_text_of_any_language_stays_as_it_is():
    label = "Grüße, «до переезда», 移行前, قبل النقل, 👩‍👩‍👧"

    assert Manifest.from_bytes(dataclasses.replace(MANIFEST, label=label).to_bytes()).label == label


def test_manifest_of_a_hundred_thousand_tables_is_read():
    tables = [f"tenant_{number:06}_{'x' * 40}.{'y' * 40}" for number in range(100_000)]
    large = dataclasses.replace(MANIFEST, tables=tables)

    [found] = read_lines(large.to_bytes(), chunk=1 << 20).values()

    assert found == large


def test_among_many_a_long_one_is_kept_without_its_lists():
    large = dataclasses.replace(
        MANIFEST, name="large", tables=[f"table_{number}" for number in range(10_000)]
    )
    found = []
    reader = ManifestReader(FullReading(thin=True), found.append)
    reader.feed(large.to_bytes() + MANIFEST.to_bytes())
    reader.finish()

    assert [(each.name, isinstance(each, ThinManifest), bool(each.tables)) for each in found] == [
        ("large", True, False),
        (MANIFEST.name, False, True),
    ]


def read_briefs(*lines):
    """Return the briefs of these lines, by name."""
    found = {}
    reader = ManifestReader(BriefReading(), lambda pair: found.update([pair]))
    reader.feed(b"".join(lines))
    reader.finish()
    return found


@given(several=st.lists(manifests, max_size=5, unique_by=lambda each: each.name))
def test_brief_says_of_a_manifest_what_the_whole_says(several):
    briefs = read_briefs(*(each.to_bytes() for each in several))

    assert {name: brief.size for name, brief in briefs.items()} == {each.name: each.size for each in several}
    for each in several:
        facts = briefs[each.name].facts._asdict()
        assert facts == {name: getattr(each, name) for name in facts}


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_manifest_with_a_wrong_value_has_no_brief_either(change):
    assert read_briefs(json.dumps(json.loads(STORED) | change).encode()) == {}


@pytest.mark.parametrize("key", ["format", "name", "database", "engine", "taken_at", "raw_size", "sha256"])
def test_manifest_that_lacks_a_value_has_no_brief_either(key):
    values = json.loads(STORED)
    del values[key]

    assert read_briefs(json.dumps(values).encode()) == {}


def test_briefs_share_what_is_equal():
    first, second, other = read_briefs(
        *(
            dataclasses.replace(MANIFEST, name=name, size=size, sha256=name, label=label).to_bytes()
            for name, size, label in (("a", 1, ""), ("b", 2, ""), ("c", 3, "odd"))
        )
    ).values()

    assert first.facts is second.facts
    assert (other.size, other.facts.label) == (3, "odd")


def test_equal_text_of_another_kind_is_not_shared():
    """Someone may label a backup with what is the text of a list, or a number may equal a truth value."""
    written = [
        dataclasses.replace(MANIFEST, name="a", label="[]", host="{}", tables=[], migrations={}, files=1),
        dataclasses.replace(MANIFEST, name="b", label="['a']", tables=["a"], rows={"a": 1}, rows_exact=True),
        dataclasses.replace(MANIFEST, name="c", label="", tables=["a"], contents={"views": ["a"]}),
    ]
    found = []
    reader = ManifestReader(FullReading(), found.append)
    reader.feed(b"".join(each.to_bytes() for each in written))
    reader.finish()

    assert [repr(each) for each in found] == [repr(each) for each in written]
    assert found[1].tables is found[2].tables


def test_line_without_end_takes_neither_memory_nor_its_neighbours():
    found, part = [], b"1" * (1 << 20)
    reader = ManifestReader(FullReading(), found.append)
    tracemalloc.start()
    try:
        reader.feed(MANIFEST.to_bytes() + BEGINNING)
        for _ in range(80):
            reader.feed(part)
        reader.feed(b"\n" + MANIFEST.to_bytes())
        reader.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert found == [MANIFEST, MANIFEST]
    assert peak < 50 << 20
