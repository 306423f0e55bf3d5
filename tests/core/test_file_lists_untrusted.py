"""What a file list on the remote says is not trusted: neither its size nor its names."""

import json
from itertools import product

import pytest

from django_rclone_admin.core import file_lists
from django_rclone_admin.core.file_lists import MediaFile
from django_rclone_admin.core.list_sink import ListSink
from django_rclone_admin.exceptions import BackupDamaged
from tests.support.matrix import sampled
from tests.support.memory import MEGABYTE, peak

BOMB = """
import hashlib, pathlib, sys
from datetime import UTC, datetime
import django
from django.conf import settings
folder, binary, raw, says, line = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
settings.configure(DJANGO_RCLONE={"REMOTE": str(folder), "RCLONE_BINARY": binary})
django.setup()
from django_rclone_admin import media_lists, remote
from django_rclone_admin.core.catalog import StoredObject
from django_rclone_admin.core.states import State
from django_rclone_admin.core.compression import Compressor
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.exceptions import BackupDamaged
compress, piece, stored = Compressor("zstd"), (line + "\\n").encode() * (1 << 15), b""
part = min(raw, 1 << 28)
for _number in range(part // len(piece)):
    stored += b"".join(compress.feed(piece))
stored = (stored + compress.finish()) * (raw // part)
(folder / "m").write_bytes(stored)
now = datetime(2026, 11, 20, tzinfo=UTC)
manifest = Manifest(name="m", database="media", engine="media", connector="rclone", taken_at=now, finished_at=now,
    size=len(stored), raw_size=says, sha256=hashlib.sha256(stored).hexdigest())
backup = StoredObject(name="m", path="m", size=len(stored), state=State.COMPLETE, taken_at=now, manifest=manifest)
"""
READ = """
try:
    media_lists.read_list(remote.get_catalog(), backup)
    result = "read"
except BackupDamaged as error:
    result = [len(stored), str(error)]
"""


LITTLE, TRUTH, MORE = 1000, 3 << 30, 10 << 30
FILE = '{"path": "a", "size": 1, "time": ""}'


@pytest.mark.parametrize(
    "says, line",
    sampled(product([LITTLE, TRUTH, MORE], ["", FILE]), (LITTLE, ""), (TRUTH, FILE), (MORE, FILE)),
)
def test_bomb_is_refused_in_constant_memory(rclone_binary, tmp_path, says, line):
    raw = 3 << 30 if says == TRUTH and line else 1 << 29
    used, result = peak(BOMB, READ, tmp_path, rclone_binary, raw, says, line)
    assert result != "read"
    assert used < 40 * MEGABYTE


@pytest.mark.parametrize(
    "path",
    ["\x1b[2J", "a\nb", "tab\t", "\x7f", "null\0", "lone\ud800", "x" * 5000, "a/" * 3000 + "b"],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_name_that_rclone_does_not_write_is_refused(path, ascii_only):
    line = json.dumps({"path": path, "size": 1, "time": ""}, ensure_ascii=ascii_only)
    with pytest.raises(BackupDamaged, match="can't be read"):
        list(file_lists.parse([line.encode(errors="surrogatepass")]))


@pytest.mark.parametrize(
    "path", ["C1 \x85\x9b", "bidi \u202e", "␊", "Größe/日本 🙂.png", "\ufffd", 'quo"te\\', "\xa0"]
)
def test_name_of_a_real_file_is_read_as_it_was_written(path):
    file = MediaFile(path, 1, "2026-11-22T12:00:00.123456789Z")
    assert list(file_lists.parse([file.to_line()])) == [file]


def test_message_of_a_refusal_can_be_printed():
    with pytest.raises(BackupDamaged) as caught:
        list(file_lists.parse([json.dumps({"path": "../\x1b[2J\ud800", "size": 1, "time": ""}).encode()]))
    assert str(caught.value).isprintable()
    str(caught.value).encode()


@pytest.mark.parametrize(
    "line",
    ["[" * 100_000, '{"path": "a", "size": 1e999, "time": ""}', '{"path": "a", "size": NaN, "time": ""}'],
)
def test_json_that_breaks_readers_is_refused(line):
    with pytest.raises(BackupDamaged):
        list(file_lists.parse([line.encode()]))


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_list_may_come_in_any_pieces(pieces):
    files = [MediaFile(f"Größe/{number}", number, "") for number in range(500)]
    data, sink = b"".join(map(MediaFile.to_line, files)), ListSink()
    for start in range(0, len(data), pieces):
        sink.write(data[start : start + pieces])
    sink.commit()
    assert sink.files == files


def test_line_without_an_end_is_refused():
    sink = ListSink()
    sink.write(b"x" * 1000)
    with pytest.raises(BackupDamaged):
        sink.write(b"x" * 100_000)


def test_many_lines_are_read_together():
    files = [MediaFile(f"{number}", number, "") for number in range(2 * file_lists.AT_ONCE + 1)]
    assert list(file_lists.parse(map(MediaFile.to_line, files))) == files
