"""A listing is read a part at a time, and comes to the same as if it were read at once."""

import json
import tracemalloc

import pytest

from django_rclone_admin.core.answers import PART_BYTES, Entry, ListingReader
from django_rclone_admin.core.command import Command
from django_rclone_admin.core.programs import Completed
from django_rclone_admin.exceptions import ProgramFailed, RemoteDenied, RemoteError

COMMAND = Command(argv=("rclone",), env={}, name="rclone")
NAMES = ["plain", 'quote " and \\ backslash', "},\n{", "line\nend", "Köln 🚚", "\x1b[2J", "", "]", "[{"]
ENTRIES = [Entry(f"{number} {name}", number, "2026-11-22T08:30:20Z") for number, name in enumerate(NAMES)]


def done(status=0, errors=""):
    return Completed(command=COMMAND, status=status, output=b"", errors=errors)


def printed(entries):
    """Return what rclone prints: a line for each entry."""
    items = [
        {"Path": name, "Name": name, "Size": size, "ModTime": stamp, "IsDir": False}
        for name, size, stamp in entries
    ]
    return b"[\n" + b",\n".join(json.dumps(item, ensure_ascii=False).encode() for item in items) + b"\n]\n"


def read(*pieces, status=0, errors=""):
    reader = ListingReader()
    for piece in pieces:
        reader.feed(piece)
    return reader.finish(done(status, errors))


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_listing_in_pieces_of_any_size_is_the_listing(size, monkeypatch):
    # Parts this small would need a listing of every length otherwise.
    monkeypatch.setattr("django_rclone_admin.core.answers.PART_BYTES", 150)
    text = printed(ENTRIES)

    assert read(*(text[start : start + size] for start in range(0, len(text), size))) == ENTRIES


@pytest.mark.parametrize("text", [b"[]", b"[\n]\n", b"[\n\n]", b" [ ] "])
def test_listing_of_nothing_is_empty(text):
    assert read(text) == []


def test_listing_that_is_laid_out_otherwise_is_read_too():
    items = [{"Path": f"name {number}", "Size": number} for number in range(20_000)]
    expected = [Entry(f"name {number}", number, "") for number in range(20_000)]

    for text in (
        json.dumps(items),
        json.dumps(items, indent=1),
        json.dumps(items, indent=None, separators=(",\n", ":")),
    ):
        assert len(text) > PART_BYTES
        assert read(*(text[at : at + 5000].encode() for at in range(0, len(text), 5000))) == expected


LONG = printed([Entry("x" * 1000, number, "") for number in range(2 * PART_BYTES // 1000)])


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"null", b"[1]", b"[\n{}\n]", b'[{"Path": "x"', b"garbage", b"\xff\xfe", b"[[]]", b"hello" + LONG, LONG[:-5], LONG[:-2] + b",",
        LONG + LONG, LONG + b"x", LONG.replace(b'"Path"', b'"path"', 1), LONG[: len(LONG) // 2] + b"\xff" + LONG[len(LONG) // 2 :], LONG.replace(b"[\n", b"[\n5,\n"),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_listing_is_an_error_and_never_a_part_of_one(text):
    with pytest.raises(RemoteError, match="unexpected"):
        read(*(text[at : at + 10_000] for at in range(0, len(text), 10_000)))


def test_failed_call_is_explained_by_itself_whatever_it_had_printed():
    with pytest.raises(ProgramFailed):
        read(LONG[:-7], b"oops", status=1)
    with pytest.raises(RemoteDenied):
        read(LONG, errors="x: Skipping undecryptable file name: illegal base32")
    assert read(b"[\n", status=3) is None


def test_long_listing_takes_little_more_memory_than_its_entries():
    names = (f"default-{number:06}.dump.zst.manifest.json" for number in range(20_000))
    text = printed(Entry(name, 1, "2026-11-22T08:30:20.000000000Z") for name in names)
    pieces = [text[at : at + 200] for at in range(0, len(text), 200)]

    tracemalloc.start()
    try:
        reader = ListingReader()
        for piece in pieces:
            reader.feed(piece)
        found = reader.finish(done())
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(found) == 20_000
    assert peak - kept < 16 * PART_BYTES
