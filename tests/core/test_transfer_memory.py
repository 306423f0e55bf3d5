"""A transfer needs the same memory, however much goes through it."""

import pytest

from django_rclone_admin.core.compression import Compressor
from tests.support.matrix import sampled
from tests.support.memory import MEGABYTE, peak

ALLOWED = 64 * MEGABYTE

SETUP = """
from pathlib import Path
from django_rclone_admin.core.chain import ChainSink
from django_rclone_admin.core.compression import Compressor, Decompressor, Meter
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSource
from django_rclone_admin.core.transfer import CommandSink, CommandSource, transfer
from tests.support.engine import python

COUNT = "import sys; n = 0\\nwhile d := sys.stdin.buffer.read(1 << 20): n += len(d)\\nprint(n)"
PASS = "import sys\\nwhile d := sys.stdin.buffer.read(1 << 20): sys.stdout.buffer.write(d)"
sink = CommandSink(python(COUNT))
"""


def transferred(source, sink="sink", stages=""):
    """Return the peak of a transfer, and how many bytes its last program counted."""
    return peak(
        SETUP, f"transfer({source}, {sink}, stages=[{stages}], control=Control()); result = int(sink.output)"
    )


def program(code):
    return f"CommandSource(python({'import os, sys; out = sys.stdout.buffer' + chr(10) + code!r}))"


@pytest.mark.parametrize("algorithm", ["zstd", "gzip"])
def test_a_little_compressed_data_that_stands_for_much_needs_little_memory(tmp_path, algorithm):
    compressor = Compressor(algorithm)
    zeros = bytes(MEGABYTE)
    packed = b"".join(out for _ in range(100) for out in compressor.feed(zeros)) + compressor.finish()
    (tmp_path / "packed").write_bytes(packed)

    memory, size = transferred(f"FileSource(Path({str(tmp_path / 'packed')!r}))", stages="Decompressor()")

    assert size == 100 * MEGABYTE
    assert memory < ALLOWED


@pytest.mark.parametrize("algorithm", sampled(["zstd", "gzip"], "zstd"))
def test_compressing_much_needs_little_memory(algorithm):
    """Half of it is random, so that the compressor has something to do and something to give."""
    source = program("for _ in range(100): out.write(os.urandom(1 << 19) + bytes(1 << 19))")

    memory, size = transferred(source, stages=f"Meter(), Compressor({algorithm!r}), Meter()")

    assert 49 * MEGABYTE < size < 60 * MEGABYTE
    assert memory < ALLOWED


def test_slow_last_program_of_a_chain_does_not_fill_the_memory():
    source = program("for _ in range(100): out.write(bytes(1 << 20))")

    memory, size = transferred(source, "ChainSink(python(PASS), sink, Control())")

    assert size == 100 * MEGABYTE
    assert memory < ALLOWED


def test_much_error_output_does_not_fill_the_memory():
    source = program("for _ in range(100): sys.stderr.buffer.write(bytes(1 << 20))\nout.write(b'x')")

    memory, size = transferred(source)

    assert size == 1
    assert memory < ALLOWED
