"""A program in the middle of a stream keeps the rule of ``transfer`` at both of its joints."""

import hashlib
import signal

import pytest

from django_rclone_admin.core.chain import ChainSink
from django_rclone_admin.core.compression import Compressor, Decompressor, Meter
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.transfer import CommandSink, CommandSource, transfer
from django_rclone_admin.exceptions import BackupDamaged, Cancelled, ProgramFailed, ProgramMissing
from tests.support.engine import KEEP, SINK, SOURCE, python
from tests.support.waiting import patience

BIG = 3_000_000
"""Bytes: more than a chunk and the pipes hold, so that the last program gets some before the end."""

FILTER = """
import shutil, sys
shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)
sys.stdout.flush()
"""


@pytest.fixture
def kept(tmp_path):
    """Where the last program puts what it got; it is there only if that saw end-of-file."""
    return tmp_path / "kept"


def write(size, then=""):
    return CommandSource(python(f"{SOURCE}out.write(bytes({size})); out.flush()\n{then}", name="cat"))


def chain(middle, last, **options):
    return ChainSink(python(middle, name="pg_restore"), CommandSink(last, **options), Control())


def test_everything_arrives_when_all_succeed(kept):
    transfer(write(BIG), chain(FILTER, python(KEEP, kept), prologue=b"BEGIN;", epilogue=b"COMMIT;"))

    assert kept.read_bytes() == b"BEGIN;" + bytes(BIG) + b"COMMIT;"


@pytest.mark.parametrize("size", [1, 600, BIG])
def test_last_program_never_sees_the_end_when_the_source_fails(kept, size):
    with pytest.raises(ProgramFailed, match="cat failed with exit status 1"):
        transfer(write(size, "sys.exit(1)"), chain(FILTER, python(KEEP, kept), epilogue=b"COMMIT;"))

    assert not kept.exists()


@pytest.mark.parametrize("middle", ["sys.exit('bad archive')", f"{FILTER}; sys.exit('bad archive')"])
@pytest.mark.parametrize("size", [10, BIG])
def test_last_program_never_sees_the_end_when_the_middle_one_fails(kept, size, middle):
    middle = "import sys\n" + middle.replace("\n; ", "\n")

    with pytest.raises(ProgramFailed, match="pg_restore failed with exit status 1: bad archive"):
        transfer(write(size), chain(middle, python(KEEP, kept), epilogue=b"COMMIT;"))

    assert not kept.exists()


def test_last_program_never_sees_the_end_when_the_middle_one_is_killed(kept):
    middle = "import os, signal, sys; sys.stdin.buffer.read(2_000_000); os.kill(os.getpid(), signal.SIGKILL)"

    with pytest.raises(ProgramFailed, match="pg_restore was killed by signal SIGKILL"):
        transfer(write(BIG), chain(middle, python(KEEP, kept)))

    assert not kept.exists()


@pytest.mark.parametrize("size", [10, BIG], ids=["data waits in the pipe", "pipe breaks"])
def test_error_of_the_last_program_is_the_error(size):
    last = python("import sys; sys.exit('ERROR: relation does not exist')", name="psql")

    with pytest.raises(ProgramFailed, match="psql failed with exit status 1: ERROR: relation"):
        transfer(write(size), chain(FILTER, last))


def test_source_and_middle_program_are_killed_when_the_last_one_dies():
    source = write(BIG, "while True: out.write(bytes(1 << 20))")
    sink = chain(FILTER, python("import sys; sys.exit(1)"))

    with pytest.raises(ProgramFailed):
        transfer(source, sink)

    assert source._process._popen.returncode < 0
    assert sink._process._popen.returncode < 0


@pytest.mark.parametrize("missing", ["pg_restore", "psql"])
def test_missing_program_is_the_error(kept, missing):
    command = type(python(""))(argv=("/no/such/program",), name=missing)
    commands = {"pg_restore": python(FILTER), "psql": python(KEEP, kept), missing: command}
    sink = ChainSink(commands["pg_restore"], CommandSink(commands["psql"]), Control())

    with pytest.raises(ProgramMissing, match=missing):
        transfer(write(BIG), sink)

    assert not kept.exists()


def test_middle_program_that_ends_with_success_before_its_input_is_an_error(kept):
    """As pg_restore does, which stops at the archive's end: what follows does not belong to the backup."""
    with pytest.raises(ProgramFailed, match="pg_restore ended before it had read everything") as caught:
        transfer(write(BIG), chain("import sys; sys.stdin.buffer.read(1000)", python(KEEP, kept)))

    assert "do not belong to it" in caught.value.hint
    assert not kept.exists()


def test_middle_program_may_end_with_its_last_byte_and_without_seeing_the_end(kept):
    """As pg_restore does, too: it knows where its archive ends. Such an early end is no error, however quick."""
    middle = f"import sys; sys.stdout.buffer.write(sys.stdin.buffer.read({BIG}))"

    for _ in range(5):
        transfer(write(BIG), chain(middle, python(KEEP, kept)))

        assert kept.stat().st_size == BIG
        kept.unlink()


def test_last_program_is_never_committed_when_the_digest_does_not_match(kept):
    expected = Meter(size=BIG, sha256=hashlib.sha256(b"other").hexdigest())

    with pytest.raises(BackupDamaged, match="SHA-256"):
        transfer(
            write(BIG),
            chain(FILTER, python(KEEP, kept), epilogue=b"COMMIT;"),
            stages=[expected, Decompressor()],
        )

    assert not kept.exists()


def test_last_program_is_killed_when_the_digest_does_not_match(kept):
    last = CommandSink(python(SINK + "file.touch()\nwhile True: os.read(0, 65536)", kept))
    sink = ChainSink(python(FILTER), last, Control())
    until_the_last_has_begun = f"import time\nwhile not os.path.exists({str(kept)!r}): time.sleep(0.01)\n"

    with pytest.raises(BackupDamaged):
        transfer(write(BIG, until_the_last_has_begun), sink, stages=[Meter(sha256="0" * 64)])

    assert last._process._popen.returncode == -signal.SIGKILL


def test_stages_of_the_chain_change_what_the_last_program_gets(kept):
    sink = ChainSink(python(FILTER), CommandSink(python(KEEP, kept)), Control(), stages=[Compressor("gzip")])

    transfer(write(BIG), sink)

    decompressor = Decompressor()
    assert b"".join(decompressor.feed(kept.read_bytes())) + decompressor.finish() == bytes(BIG)


class Broken:
    """A stage that fails: at its first byte, or when it is asked for the rest."""

    def __init__(self, where):
        self.where = where

    def feed(self, data):
        if self.where == "feed":
            raise BackupDamaged("broken")
        yield data

    def finish(self):
        raise BackupDamaged("broken")


@pytest.mark.parametrize("where", ["feed", "finish"])
def test_last_program_never_sees_the_end_when_a_stage_of_the_chain_fails(kept, where):
    sink = ChainSink(python(FILTER), CommandSink(python(KEEP, kept)), Control(), stages=[Broken(where)])

    with pytest.raises(BackupDamaged, match="broken"):
        transfer(write(BIG), sink)

    assert not kept.exists()


def test_long_work_of_the_last_program_is_no_stall(tmp_path):
    """A database that builds its indexes moves no bytes for longer than any stall timeout."""
    done = tmp_path / "done"
    limit = patience() / 2
    control = Control(stall_timeout=limit)
    slow = SINK + f"read(); import time; time.sleep(1.3 * {limit}); file.touch()"
    sink = ChainSink(python(FILTER), CommandSink(python(slow, done)), control)

    transfer(write(10), sink, control=control)

    assert done.exists()


def test_stop_while_the_last_program_works_commits_nothing(tmp_path):
    done = tmp_path / "done"
    control = Control()
    at_work = python(SINK + "read(); file.touch(); signal.pause()", done)

    class Asked(CommandSink):
        def commit(self):
            control.stop(Cancelled("You asked for it."))
            super().commit()

    with pytest.raises(Cancelled, match="You asked for it"):
        transfer(write(BIG), ChainSink(python(FILTER), Asked(at_work), control), control=control)
