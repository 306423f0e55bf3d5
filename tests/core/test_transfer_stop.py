"""A transfer that is stopped, or in which nothing moves, ends soon, for the given reason, and commits nothing."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from django_rclone_admin.core.chain import ChainSink
from django_rclone_admin.core.compression import Compressor, Decompressor
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSink, FileSource, StreamSink
from django_rclone_admin.core.programs import run
from django_rclone_admin.core.transfer import CommandSink, CommandSource, transfer
from django_rclone_admin.exceptions import Cancelled, Interrupted, Stalled
from tests.support.engine import KEEP, SINK, SOURCE, python
from tests.support.waiting import patience, wait_for

SOON = 2
"""Seconds within which everything has to end."""

REASON = Cancelled("You asked for it.")

SAY = f"{SINK}file.touch()\n"
"""The beginning of a program that tells by a file that it runs."""

WAIT = "signal.pause()"
ENDLESS = "while True: out.write(bytes(1 << 20))"
DRAIN = "while read(1 << 20): pass\n"


@contextmanager
def stopped_when(control: Control, ready) -> Iterator[None]:
    """Stop the block from another thread once ``ready()``, and fail when it takes longer than ``SOON`` to end."""
    stopped_at = []

    def stop() -> None:
        wait_for(ready)
        stopped_at.append(time.monotonic())
        control.stop(REASON)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        with pytest.raises(Cancelled) as caught:
            yield
        assert time.monotonic() - stopped_at[0] < SOON * patience()
        assert caught.value is REASON
    finally:
        thread.join()


STAGES = {
    "source is silent": (f"{SOURCE}pathlib.Path(sys.argv[1]).touch(); {WAIT}", KEEP),
    "source stops in the middle": (
        f"{SOURCE}out.write(bytes(3_000_000)); out.flush(); pathlib.Path(sys.argv[1]).touch(); {WAIT}",
        KEEP,
    ),
    "source has closed its output and stays": (
        f"{SOURCE}os.close(1); pathlib.Path(sys.argv[1]).touch(); {WAIT}",
        KEEP,
    ),
    "sink does not read": (SOURCE + ENDLESS, f"{SINK}pathlib.Path(sys.argv[2]).touch(); {WAIT}"),
    "all is well": (SOURCE + ENDLESS, f"{SINK}read(1 << 20); pathlib.Path(sys.argv[2]).touch()\n{DRAIN}"),
    "sink works after the end": (
        f"{SOURCE}out.write(b'x')",
        f"{SINK}read(); pathlib.Path(sys.argv[2]).touch(); {WAIT}",
    ),
}
"""The programs of the source and the sink; one of them tells by a file when to stop."""


@pytest.mark.parametrize("is_chained", [False, True], ids=["plain", "chained"])
@pytest.mark.parametrize("stage", STAGES)
def test_stop_ends_a_transfer_at_any_stage(tmp_path, stage, is_chained):
    source, sink = STAGES[stage]
    kept, ready = tmp_path / "kept", tmp_path / "ready"
    control = Control()
    last = CommandSink(python(sink, kept, ready))
    middle = python(f"{SINK}while data := os.read(0, 65536): os.write(1, data)", "-")
    chosen = ChainSink(middle, last, control) if is_chained else last

    with stopped_when(control, ready.exists):
        transfer(CommandSource(python(source, ready)), chosen, control=control)

    assert not kept.exists()


def test_stop_before_the_beginning_starts_nothing(tmp_path):
    control = Control()
    control.stop(REASON)

    with pytest.raises(Cancelled):
        transfer(CommandSource(python(SAY, tmp_path / "said")), StreamSink(None), control=control)

    assert not (tmp_path / "said").exists()


def test_stop_while_the_source_is_being_started_is_not_missed():
    control = Control()

    class Slow(CommandSource):
        def open(self) -> None:
            control.stop(REASON)  # there is no process yet that could be killed
            super().open()

    with pytest.raises(Cancelled):
        transfer(Slow(python(SOURCE + WAIT)), StreamSink(None), control=control)


def test_stop_while_the_sink_is_being_started_is_not_missed():
    control = Control()

    class Slow(CommandSink):
        def open(self) -> None:
            control.stop(REASON)
            super().open()

    with pytest.raises(Cancelled):
        transfer(CommandSource(python(SOURCE + ENDLESS)), Slow(python(SINK + WAIT, "-")), control=control)


def test_first_reason_is_the_one_that_is_raised():
    control = Control()
    control.stop(REASON)
    control.stop(Interrupted("We are going down."))

    with pytest.raises(Cancelled):
        control.check()


def test_stop_in_the_middle_of_what_one_chunk_unpacks_to(tmp_path):
    """One chunk of compressed zeros may stand for many gigabytes, and for minutes of writing."""
    control = Control()
    compressor = Compressor("zstd")
    zeros = bytes(1 << 20)
    packed = b"".join(out for _ in range(200) for out in compressor.feed(zeros)) + compressor.finish()
    written = []

    class Counting(StreamSink):
        def write(self, data: bytes) -> None:
            written.append(len(data))
            if len(written) == 3:
                control.stop(REASON)

        def open(self) -> None:
            pass

    (tmp_path / "packed").write_bytes(packed)
    with pytest.raises(Cancelled):
        transfer(FileSource(tmp_path / "packed"), Counting(None), stages=[Decompressor()], control=control)

    assert len(written) == 3


def test_stop_while_standard_input_says_nothing(tmp_path):
    control = Control()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as other:
        other.write(b"x" * 600)

        with stopped_when(control, lambda: control.bytes_done == 600):
            transfer(FileSource(stream), FileSink(tmp_path / "file"), control=control)

    assert list(tmp_path.iterdir()) == []


def test_stop_while_nobody_reads_standard_output():
    control = Control()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as stream:
        source = CommandSource(python(SOURCE + ENDLESS))

        with stopped_when(control, lambda: control.bytes_done > 0):
            transfer(source, StreamSink(stream), control=control)


def test_stop_ends_a_short_command(tmp_path):
    control = Control()
    said = tmp_path / "said"

    with stopped_when(control, said.exists):
        run(python(SAY + WAIT, said), timeout=60, control=control)


@pytest.mark.parametrize(
    "stage, is_chained",
    # A database at work behind a chain is no stall: its own limits apply.
    sorted(
        {(stage, is_chained) for stage in STAGES for is_chained in (False, True)}
        - {("all is well", False), ("all is well", True), ("sink works after the end", True)}
    ),
)
def test_nothing_that_moves_for_the_stall_timeout_is_an_error(tmp_path, stage, is_chained):
    source, sink = STAGES[stage]
    kept, ready = tmp_path / "kept", tmp_path / "ready"
    control = Control(stall_timeout=0.4)
    last = CommandSink(python(sink, kept, ready))
    middle = python(f"{SINK}while data := os.read(0, 65536): os.write(1, data)", "-")
    chosen = ChainSink(middle, last, control) if is_chained else last

    with pytest.raises(Stalled, match="Nothing moved for") as caught:
        transfer(CommandSource(python(source, ready)), chosen, control=control)

    assert "STALL_TIMEOUT" in caught.value.hint
    assert not kept.exists()


def test_slow_source_is_no_stall(tmp_path):
    limit = patience() / 2
    control = Control(stall_timeout=limit)
    slow = f"{SOURCE}import time\nfor _ in range(13): out.write(b'x'); out.flush(); time.sleep({limit} / 10)"

    transfer(CommandSource(python(slow)), CommandSink(python(KEEP, tmp_path / "kept")), control=control)

    assert (tmp_path / "kept").stat().st_size == 13


def test_program_that_leaves_something_running_is_not_waited_for_for_ever(tmp_path):
    """What holds the error output of a dead program open, such as ssh's shared connection, must not hold us."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    leave = "if os.fork() == 0: os.close(0); os.close(1); open(sys.argv[1]).read(); os._exit(0)"

    done = run(python(f"{SOURCE}{leave}\nsys.exit('last words')", pipe), timeout=60)

    with pipe.open("w"):
        pass
    assert (done.status, done.errors) == (1, "last words\n")
