"""What is decided about media files without touching any: pure functions."""

from datetime import UTC, datetime

import pytest

from django_rclone_admin.core import file_lists as media
from django_rclone_admin.core.answers import Entry
from django_rclone_admin.core.file_lists import MediaFile
from django_rclone_admin.exceptions import BackupDamaged, RestoreRefused, UsageError

NOON = "2026-11-22T12:00:00+00:00"


def files(*names: str, size: int = 1, time: str = NOON) -> list[MediaFile]:
    return [MediaFile(path=name, size=size, time=time) for name in names]


def test_listing_becomes_a_list_in_order_with_times_in_utc():
    entries = [
        Entry(name="c", size=2, stamp="2026-11-22T14:00:00+02:00"),
        Entry(name="b", size=2, stamp="2026-11-22T12:00:00.123456789Z"),
        Entry(name="a", size=1, stamp=""),
    ]
    wanted = [*files("a", time=""), *files("b", size=2, time=entries[1].stamp), *files("c", size=2)]
    assert media.from_entries(entries) == wanted


@pytest.mark.parametrize("stamp", ["2026-11-22T14:00:00+02:00", "2026-11-22T12:00:00.000000001Z"])
def test_time_of_an_object_is_worked_out_of_what_the_remote_says(stamp):
    assert Entry(name="a", size=1, stamp=stamp).modified == datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("stamp", ["", "yesterday"])
def test_object_need_not_have_a_time(stamp):
    assert Entry(name="a", size=1, stamp=stamp).modified is None


def test_list_is_read_as_it_was_written():
    wanted = files("Größe/日本.png", " -rf", "new␊line", '"quoted"\\', size=5)
    assert list(media.parse(file.to_line() for file in wanted)) == wanted


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "a/..", "..", ".", "a//b", "a/./b", "a/", ""]
)
def test_path_that_leads_outside_is_refused(path):
    with pytest.raises(BackupDamaged, match="outside"):
        list(media.parse([files(path)[0].to_line()]))


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"null", b'{"path": "a"}', b'{"path": "a", "size": "x", "time": ""}', b"\xff"]
)
def test_line_that_is_no_file_is_refused(line):
    with pytest.raises(BackupDamaged, match="can't be read"):
        list(media.parse([line]))


def test_names_with_two_dots_that_lead_nowhere_are_fine():
    wanted = files("..x", "a..", "a/...", "..a/b")
    assert list(media.parse(file.to_line() for file in wanted)) == wanted


def test_difference_says_what_was_added_changed_and_removed():
    old = files("same", "larger", "gone", "touched")
    new = [
        *files("same", "new"),
        *files("larger", size=2),
        *files("touched", time="2026-11-22T12:00:01+00:00"),
    ]
    found = media.compare(old, new)
    assert (found.added, found.changed, found.removed) == (["new"], ["larger", "touched"], ["gone"])
    assert media.compare(new, new).is_empty


def test_lines_of_a_list_are_compared_like_files():
    old = files("same", "larger", "gone", "touched", "exact", time="2026-11-22T12:00:00.5Z")
    new = [
        *files("same", "new", time="2026-11-22T12:00:00.5Z"),
        *files("larger", size=2, time="2026-11-22T12:00:00.5Z"),
        *files("touched", time="2026-11-22T12:00:01Z", size=1),
        *files("exact", time="2026-11-22T12:00:00.500000001Z"),
    ]
    found = media.compare_lines(media.to_lines(old), media.to_lines(new), new)
    assert found == media.compare(old, new)
    assert (found.added, found.changed, found.removed) == (["new"], ["larger", "touched"], ["gone"])
    assert found.kept_size == 1
    assert media.compare_lines([], media.to_lines(new), new).added == sorted(each.path for each in new)


def test_only_lines_that_differ_are_read():
    [good] = lines = media.to_lines(files("a"))
    assert media.compare_lines([good], lines, files("a")).is_empty
    with pytest.raises(BackupDamaged):
        media.compare_lines([good, b"{"], lines, files("a"))


def test_path_that_is_there_twice_in_a_list_is_not_gone():
    twins, one = media.to_lines([*files("a"), *files("a", size=2)]), media.to_lines(files("a"))
    assert media.compare_lines(twins, one, files("a")).removed == []


def test_path_that_is_there_twice_is_not_gone():
    twins = [*files("a"), *files("a", size=2)]
    assert media.compare(twins, files("a")).is_empty
    assert media.compare(files("a"), twins).is_empty


def test_fractions_of_seconds_are_no_difference():
    assert media.compare(files("a"), files("a", time="2026-11-22T12:00:00.123456+00:00")).is_empty


@pytest.mark.parametrize(
    "one, other, same",
    [
        (".5Z", ".500000001Z", True),
        (".123456+00:00", ".123456789Z", True),
        (".123456789Z", ".123456790Z", False),
        (".1Z", ".2Z", False),
        ("Z", ".999999999Z", True),
    ],
)
def test_times_count_as_exactly_as_both_are_known(one, other, same):
    second = "2026-11-22T12:00:00"
    assert media.compare(files("a", time=second + one), files("a", time=second + other)).is_empty is same


def test_time_that_is_not_known_is_another_one():
    assert media.compare(files("a", time=""), files("a")).changed == ["a"]
    assert media.compare(files("a", time=""), files("a", time="")).is_empty


def test_times_are_those_that_are_known():
    known = files("a", "c", time="2026-01-01T00:00:00+00:00")
    assert [each.time for each in media.with_times(files("a", "b"), known)] == [known[0].time, ""]


@pytest.mark.parametrize(
    "source, mirror, percent",
    [([], [], 50), ("abc", "", 50), ("cd", "abcd", 50), ("x", "abcd", 100), ("abcd", "abcd", 0)],
)
def test_source_is_accepted(source, mirror, percent):
    media.check_source(files(*source), files(*mirror), percent)


@pytest.mark.parametrize(
    "source, mirror, percent, message",
    [
        ("", "a", 100, "There are no media files, but the backup has 1"),
        ("d", "abcd", 50, "remove 3 of 4 files, more than 50 percent"),
        ("wxyz", "abcd", 99, "remove 4 of 4"),
        ("abc", "abcd", 0, "remove 1 of 4"),
    ],
)
def test_source_is_refused(source, mirror, percent, message):
    with pytest.raises(UsageError, match=message):
        media.check_source(files(*source), files(*mirror), percent)


def test_what_a_dead_run_left_may_always_be_removed():
    media.check_source(files("a.jpg"), files("a.jpg.1f0c22ab.partial", "b.jpg.kufimoz3.partial"), 0)


@pytest.mark.parametrize(
    "old, new, expected",
    [
        (["a"], ["a/b"], ["a"]),
        (["a/b/c", "a/d", "e"], ["a"], ["a/b/c", "a/d"]),
        (["a/b"], ["a/b/c"], ["a/b"]),
        (["a", "b/c"], ["ab", "b/d"], []),
        (["a"], ["a", "a/b"], []),  # a bucket may have both
    ],
)
def test_obstacles_are_files_where_folders_have_to_be_and_the_other_way_round(old, new, expected):
    assert media.obstacles(files(*old), files(*new)) == expected


def test_bytes_are_in_the_first_later_folder_that_has_the_file_or_in_the_mirror():
    later = [("1", {"a": 1}), ("2", {"a": 9, "b": 1})]
    assert media.locate(files("a", "b", "c"), later, {"a": 9, "b": 9, "c": 1}) == {
        "1": ["a"],
        "2": ["b"],
        None: ["c"],
    }


@pytest.mark.parametrize(
    "later, mirror",
    [([], {}), ([], {"a": 2}), ([("1", {"a": 2})], {"a": 1}), ([("1", {"b": 1})], {"b": 1})],
)
def test_file_that_is_nowhere_or_has_another_size_is_damage(later, mirror):
    with pytest.raises(BackupDamaged, match=r"missing on the remote: 1, among them 'a'"):
        media.locate(files("a"), later, mirror)


def test_empty_backup_is_not_restored():
    media.check_restore(files("a"))
    with pytest.raises(RestoreRefused, match="empty"):
        media.check_restore([])


def test_versions_are_sorted_by_their_folder():
    entries = [
        Entry(name=name, size=number, stamp="")
        for number, name in enumerate(["1/a", "1/b/c", "2/a", "media-2026.jsonl.zst"])
    ]
    assert media.by_folder(entries) == {"1": {"a": 0, "b/c": 1}, "2": {"a": 2}}
