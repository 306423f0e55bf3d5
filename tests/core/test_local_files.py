"""Local files and open streams, as sources and as sinks of a transfer."""

import errno
import io
import os
import resource
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from django_rclone_admin.core.files import FileSink, FileSource, StreamSink
from django_rclone_admin.core.temporary import private_folder
from django_rclone_admin.core.transfer import CommandSource, transfer
from django_rclone_admin.exceptions import NoPrivateFolder, ProgramFailed, UsageError
from tests.support.engine import SOURCE, python

BIG = 3_000_000


def write(size, then=""):
    return CommandSource(python(f"{SOURCE}out.write(bytes({size})); out.flush()\n{then}", name="dump"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_file_appears_whole_and_for_our_eyes_only(folder):
    transfer(write(BIG), FileSink(folder / "backup"))

    assert [path.name for path in folder.iterdir()] == ["backup"]
    assert (folder / "backup").stat().st_size == BIG
    assert stat.S_IMODE((folder / "backup").stat().st_mode) == 0o600


@pytest.mark.parametrize("size", [0, 10, BIG])
def test_failure_leaves_no_file(folder, size):
    with pytest.raises(ProgramFailed):
        transfer(write(size, "sys.exit(1)"), FileSink(folder / "backup"))

    assert list(folder.iterdir()) == []


def test_failure_leaves_the_older_file_as_it_was(folder):
    (folder / "backup").write_text("the older one")

    with pytest.raises(ProgramFailed):
        transfer(write(BIG, "sys.exit(1)"), FileSink(folder / "backup"))

    assert [path.read_text() for path in folder.iterdir()] == ["the older one"]


def test_older_file_is_replaced(folder):
    (folder / "backup").write_text("the older one")

    transfer(write(10), FileSink(folder / "backup"))

    assert [path.read_bytes() for path in folder.iterdir()] == [bytes(10)]


def test_folder_that_is_not_there_is_said_to_be_so(folder):
    with pytest.raises(UsageError, match="No such file or directory"):
        transfer(write(10), FileSink(folder / "missing" / "backup"))


def test_device_is_not_replaced_by_a_file(folder):
    """A rename onto ``/dev/null`` takes it away from the whole machine."""
    (folder / "device").symlink_to("/dev/null")

    with pytest.raises(UsageError, match="is not a regular file") as caught:
        transfer(write(10), FileSink(folder / "device"))

    assert "“-”" in caught.value.hint
    assert [path.name for path in folder.iterdir()] == ["device"]
    assert (folder / "device").is_symlink()


@pytest.fixture
def small_files():
    """No file may grow beyond 100,000 bytes: a full disk, for this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("size", [200_000, BIG])
def test_full_disk_is_explained_and_leaves_no_file(folder, size):
    with pytest.raises(ProgramFailed, match=os.strerror(errno.EFBIG)):
        transfer(FileSource(io.BytesIO(bytes(size))), FileSink(folder / "backup"))

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("size", [10, BIG])
def test_full_disk_behind_standard_output_is_explained(size):
    full = pytest.raises(ProgramFailed, match=os.strerror(errno.ENOSPC))
    with Path("/dev/full").open("wb", buffering=0) as stream, full:
        transfer(write(size), StreamSink(stream))


def test_reader_of_standard_output_that_went_away_is_explained():
    reading, writing = os.pipe()
    os.close(reading)
    with (
        os.fdopen(writing, "wb") as stream,
        pytest.raises(ProgramFailed, match="that read the output has ended"),
    ):
        transfer(write(BIG), StreamSink(stream))


def test_stream_gets_everything_after_what_was_written_to_it_before(tmp_path):
    with (tmp_path / "file").open("wb") as stream:
        stream.write(b"before")
        transfer(write(BIG), StreamSink(stream))
        stream.write(b"after")

    assert (tmp_path / "file").read_bytes() == b"before" + bytes(BIG) + b"after"


def test_stream_without_a_descriptor_is_written():
    stream = io.BytesIO()

    transfer(write(BIG), StreamSink(stream))

    assert stream.getvalue() == bytes(BIG)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, BIG])
def test_file_is_read_to_its_end(tmp_path, size):
    (tmp_path / "file").write_bytes(os.urandom(size))

    transfer(FileSource(tmp_path / "file"), FileSink(tmp_path / "copy"))

    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()


def test_pipe_is_read_to_its_end(tmp_path):
    reading, writing = os.pipe()

    def write_slowly():
        with os.fdopen(writing, "wb", buffering=0) as stream:
            for _ in range(300):
                stream.write(bytes(10_000))

    writer = threading.Thread(target=write_slowly)
    writer.start()
    with os.fdopen(reading, "rb") as stream:
        transfer(FileSource(stream), FileSink(tmp_path / "copy"))
        assert not stream.closed
    writer.join()

    assert (tmp_path / "copy").stat().st_size == BIG


@pytest.mark.parametrize(
    "path, error, reason",
    [
        ("missing", UsageError, errno.ENOENT),
        (".", UsageError, errno.EISDIR),
        ("/proc/self/mem", ProgramFailed, errno.EIO),
    ],
)
def test_file_that_cannot_be_read_is_explained(tmp_path, path, error, reason):
    with pytest.raises(error, match=os.strerror(reason)):
        transfer(FileSource(tmp_path / path), FileSink(tmp_path / "copy"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("planted", ["link to a file", "link to nothing", "readable file"])
def test_what_somebody_has_put_there_is_replaced_and_never_written_to(tmp_path, planted):
    path, victim = tmp_path / "dump", tmp_path / "victim"
    victim.write_text("theirs")
    if planted == "readable file":
        path.write_text("theirs")
        path.chmod(0o666)
    else:
        path.symlink_to(victim if planted == "link to a file" else tmp_path / "nothing")

    transfer(FileSource(io.BytesIO(b"data" * 1000)), FileSink(path))

    assert victim.read_text() == "theirs"
    assert not (tmp_path / "nothing").exists()
    assert not path.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"data" * 1000, 0o600)


def test_nobody_can_foresee_the_name_under_which_a_file_is_written(tmp_path):
    path, victim = tmp_path / "dump", tmp_path / "victim"
    victim.write_text("theirs")
    (tmp_path / f"dump.partial-{os.getpid()}").symlink_to(victim)

    transfer(FileSource(io.BytesIO(b"data" * 1000)), FileSink(path))

    assert victim.read_text() == "theirs"


@pytest.mark.parametrize("base", ["missing", "file"])
def test_private_folder_that_cannot_be_made_is_a_sentence(tmp_path, monkeypatch, base):
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / base))

    with pytest.raises(NoPrivateFolder, match="A private temporary folder can't be used: ") as caught:
        private_folder()

    assert "TMPDIR" in caught.value.hint
