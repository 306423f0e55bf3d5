"""The one rule: a sink sees end-of-file only after its source has succeeded and every check has passed."""

import hashlib
import os
import signal
import subprocess
import sys

import pytest

from django_rclone_admin.core.compression import Compressor, Decompressor, Meter
from django_rclone_admin.core.transfer import CommandSink, CommandSource, transfer
from django_rclone_admin.exceptions import BackupDamaged, ProgramFailed, ProgramMissing
from tests.support import leaks
from tests.support.engine import KEEP, SINK, SOURCE, python

BIG = 3_000_000
"""Bytes: more than a chunk and the pipes hold, so that the sink gets some before the end."""


@pytest.fixture
def kept(tmp_path):
    """Where the sink puts what it got; it is there only if the sink saw end-of-file."""
    return tmp_path / "kept"


def write(size, then=""):
    return CommandSource(python(f"{SOURCE}out.write(bytes({size})); out.flush()\n{then}", name="dump"))


def test_everything_arrives_when_the_source_succeeds(kept):
    transfer(write(BIG), CommandSink(python(KEEP, kept)))

    assert kept.read_bytes() == bytes(BIG)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1 << 20, BIG])
def test_sink_never_sees_the_end_when_the_source_fails_after_all_its_output(kept, size):
    with pytest.raises(ProgramFailed, match="exit status 3: no room") as caught:
        transfer(
            write(size, "print('no room', file=sys.stderr); sys.exit(3)"), CommandSink(python(KEEP, kept))
        )

    assert not kept.exists()
    assert caught.value.hint


def test_sink_never_sees_the_end_when_the_source_is_killed(kept):
    with pytest.raises(ProgramFailed, match="killed by signal SIGKILL"):
        transfer(write(BIG, "os.kill(os.getpid(), signal.SIGKILL)"), CommandSink(python(KEEP, kept)))

    assert not kept.exists()


def test_source_that_closes_its_output_and_fails_later_commits_nothing(kept):
    with pytest.raises(ProgramFailed, match="exit status 4"):
        transfer(write(BIG, "os.close(1); sys.stdin.read(); sys.exit(4)"), CommandSink(python(KEEP, kept)))

    assert not kept.exists()


def test_sink_is_killed_when_the_source_fails():
    """It must not be told the end, and must not live on either: it would hold locks."""
    sink = CommandSink(python("import os\nwhile True: os.read(0, 65536)"))

    with pytest.raises(ProgramFailed):
        transfer(write(BIG, "sys.exit(1)"), sink)

    assert sink._process._popen.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "expected",
    [Meter(size=BIG - 1), Meter(size=BIG + 1), Meter(sha256=hashlib.sha256(b"").hexdigest())],
    ids=["shorter", "longer", "digest"],
)
def test_nothing_is_committed_when_the_bytes_are_not_the_expected_ones(kept, expected):
    with pytest.raises(BackupDamaged):
        transfer(write(BIG), CommandSink(python(KEEP, kept)), stages=[expected])

    assert not kept.exists()


def test_expected_bytes_are_committed(kept):
    expected = Meter(size=BIG, sha256=hashlib.sha256(bytes(BIG)).hexdigest())

    transfer(write(BIG), CommandSink(python(KEEP, kept)), stages=[expected])

    assert kept.stat().st_size == BIG


def test_compressed_data_without_its_end_commits_nothing(kept):
    compressor = Compressor("zstd")
    whole = b"".join(compressor.feed(bytes(range(256)) * 40_000)) + compressor.finish()
    cut = CommandSource(python(f"{SOURCE}out.write({whole[:-1]!r})"))

    with pytest.raises(BackupDamaged, match="cut off"):
        transfer(cut, CommandSink(python(KEEP, kept)), stages=[Decompressor()])

    assert not kept.exists()


@pytest.mark.parametrize("size", [10, BIG], ids=["data waits in the pipe", "pipe breaks"])
def test_last_words_of_a_sink_that_dies_are_the_error(size):
    with pytest.raises(ProgramFailed, match="exit status 1: the disk is on fire"):
        transfer(write(size), CommandSink(python("import sys; sys.exit('the disk is on fire')")))


def test_sink_that_ends_with_success_before_it_has_read_everything_is_an_error():
    with pytest.raises(ProgramFailed, match="ended before it had read everything"):
        transfer(write(BIG), CommandSink(python(SINK + "read(10)", "-")))


def test_source_is_killed_when_the_sink_dies():
    source = write(BIG, "while True: out.write(bytes(1 << 20))")

    with pytest.raises(ProgramFailed, match="exit status 1"):
        transfer(source, CommandSink(python("import sys; sys.exit(1)")))

    assert source._process._popen.returncode < 0


def test_missing_source_starts_no_sink(kept):
    opened = []
    command = python("")
    missing = type(command)(argv=("/no/such/program",), name="pg_dump", missing_hint="Install it.")

    with pytest.raises(ProgramMissing, match="pg_dump") as caught:
        transfer(CommandSource(missing), opened.append)

    assert opened == []
    assert caught.value.hint == "Install it."


def test_missing_sink_leaves_no_source_running():
    """The fixture that watches over processes has the last word."""
    missing = type(python(""))(argv=("/no/such/program",), name="psql")

    with pytest.raises(ProgramMissing, match="psql"):
        transfer(write(BIG, "signal.pause()"), CommandSink(missing))


def test_sink_is_chosen_by_the_first_bytes_of_what_comes_through_the_stages(kept):
    heads = []
    compressor = Compressor("gzip")
    stored = b"".join(compressor.feed(b"PGDMP" + bytes(5_000))) + compressor.finish()
    source = CommandSource(python(f"{SOURCE}for byte in {stored!r}: out.write(bytes([byte])); out.flush()"))

    def choose(head):
        heads.append(head)
        return CommandSink(python(KEEP, kept))

    transfer(source, choose, stages=[Decompressor()])

    assert heads[0].startswith(b"PGDMP")
    assert len(heads[0]) >= 512
    assert kept.read_bytes() == b"PGDMP" + bytes(5_000)


def test_prologue_and_epilogue_go_around_the_data(kept):
    source = CommandSource(python(f"{SOURCE}out.write(b'DATA;')"))

    transfer(source, CommandSink(python(KEEP, kept), prologue=b"BEGIN;", epilogue=b"COMMIT;"))

    assert kept.read_bytes() == b"BEGIN;DATA;COMMIT;"


def test_output_of_the_sink_can_be_read_afterwards():
    sink = CommandSink(python("import sys; sys.stdin.read(); print('vanished: old_table')"))

    transfer(write(10), sink)

    assert sink.output == "vanished: old_table\n"


RECORD = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it lives on, as it does where the system can't have it end with us
got = sys.stdin.buffer.read(10)
with open(sys.argv[1], "wb", buffering=0) as record:  # waits for the test
    record.write(got)
    while data := os.read(0, 65536):
        got = (got + data)[-10:]
        record.write(data[-10:])
    record.write(b"<EOF>")
"""
"""A sink that shows all it gets through a named pipe: a loader that takes end-of-file for what it is."""

CHILD = """
import sys
from django_rclone_admin.core.transfer import CommandSink, CommandSource, transfer
from tests.support import leaks
from tests.support.engine import python

source = CommandSource(python("import sys\\nwhile True: sys.stdout.buffer.write(b'x' * 65536)"))
transfer(source, CommandSink(python(sys.argv[1], sys.argv[2]), epilogue=b"COMMIT;"))
"""


def test_epilogue_is_not_sent_when_our_process_is_killed(tmp_path):
    """Then the pipes close by themselves, and the sink sees an end: that must not be enough to commit."""
    pipe = tmp_path / "record"
    os.mkfifo(pipe)
    before = leaks.children()
    with (
        subprocess.Popen([sys.executable, "-c", CHILD, RECORD, str(pipe)]) as child,
        pipe.open("rb") as record,
    ):
        assert record.read(10) == b"x" * 10
        child.kill()
        rest = record.read()

    for orphan in leaks.children() - before:
        os.waitpid(orphan, 0)
    assert rest.endswith(b"<EOF>")
    assert b"COMMIT" not in rest


def test_epilogue_is_not_sent_when_the_source_fails(tmp_path):
    kept = tmp_path / "kept"
    eager = SINK + "file.write_bytes(b'')\nwhile data := os.read(0, 65536): file.write_bytes(data[-7:])"

    with pytest.raises(ProgramFailed):
        transfer(write(BIG, "sys.exit(1)"), CommandSink(python(eager, kept), epilogue=b"COMMIT;"))

    assert kept.read_bytes() != b"COMMIT;"
