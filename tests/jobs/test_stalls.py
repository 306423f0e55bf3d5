"""A program in which nothing moves any more is ended after ``STALL_TIMEOUT``; one that works is not, however long."""

import io
from dataclasses import replace

import pytest

from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSource
from django_rclone_admin.core.rclone import Rclone
from django_rclone_admin.core.transfer import CommandSink, transfer
from django_rclone_admin.exceptions import Stalled
from tests.support import programs
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.programs import DOWNLOAD, UPLOAD
from tests.support.storage import StorageServer
from tests.support.tables import HISTORY

LIMIT = 2
MEGABYTE = 1 << 20

NEVER_ENDS = f"""
import re
if re.search({UPLOAD!r}, " ".join(arguments)):
    process = start(stdin=PIPE)
    copy(sys.stdin.buffer, process.stdin)
    signal.pause()
"""


def assert_stalls(shop, program, *command: str) -> None:
    shop.settings["DJANGO_RCLONE"] |= {"RCLONE_BINARY": str(program), "STALL_TIMEOUT": LIMIT}
    with nothing_changes(shop):
        assert_failed(shop.manage(*command), f"Nothing moved for {LIMIT} seconds")
    runs = shop.execute(f"SELECT status, lock FROM {HISTORY} ORDER BY created_at DESC")
    assert runs[0] == ("failed", None)


@pytest.mark.parametrize("shop", sampled(["sqlite", "postgresql"], "postgresql"), indirect=True)
def test_rclone_that_never_reads_ends_the_backup(shop, tmp_path, rclone_binary):
    add_noise(shop)
    assert_stalls(shop, programs.hang(tmp_path / "bin", "rclone", rclone_binary, when=UPLOAD), "dbbackup")


def test_rclone_that_never_ends_after_the_end_of_its_input_ends_the_backup(shop, tmp_path, rclone_binary):
    assert_stalls(shop, programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, NEVER_ENDS), "dbbackup")


@pytest.mark.backed_up
def test_rclone_that_never_writes_ends_the_restore(shop, tmp_path, rclone_binary):
    program = programs.hang(tmp_path / "bin", "rclone", rclone_binary, when=DOWNLOAD)
    assert_stalls(shop, program, "dbrestore", "--noinput", "--no-safety-backup")


@pytest.fixture
def slow(rclone_binary, tmp_path):
    """An rclone with a remote that takes no streams, and all else slowly: it spools them, and sends what it has then."""
    (tmp_path / "server").mkdir()
    server = StorageServer(rclone_binary, "webdav", tmp_path / "server", bandwidth="8M")
    settings = server.remote("slow").settings
    yield Rclone(binary=rclone_binary, remote=settings["REMOTE"], env=settings["RCLONE_ENV"])
    server.stop()


def test_upload_that_begins_after_the_end_of_the_data_is_no_stall(slow):
    control = Control(stall_timeout=4)  # what the connection itself holds takes 2 seconds
    sink = CommandSink(slow.upload("file"), control=control)

    transfer(FileSource(io.BytesIO(bytes(64 * MEGABYTE))), sink, control=control)

    assert slow.size("file") == 64 * MEGABYTE


def test_upload_that_stops_after_the_end_of_the_data_is_a_stall(slow):
    control = Control(stall_timeout=LIMIT)
    crawling = replace(slow, flags=("--bwlimit=1k",))
    sink = CommandSink(crawling.upload("file"), control=control)

    with pytest.raises(Stalled):
        transfer(FileSource(io.BytesIO(bytes(MEGABYTE))), sink, control=control)

    assert slow.size("file") is None
