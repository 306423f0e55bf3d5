"""What goes into a stream compressed comes out of it the same, or not at all."""

import gzip
import hashlib
import os
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_rclone_admin.core.compression import MAGIC, PIECE, Compressor, Decompressor, Meter
from django_rclone_admin.exceptions import BackupDamaged

ALGORITHMS = ["zstd", "gzip"]

SQL = "".join(
    f"INSERT INTO shop_order VALUES ({n}, '{random.Random(n).getrandbits(64):x}', 'Grüße', NULL);\n"
    for n in range(300)
).encode()


def flow(stage, data, sizes=(1 << 20,)):
    """Put ``data`` through a stage in pieces of these sizes, again and again."""
    given_back, position, turn = [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        given_back += stage.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    return b"".join(given_back) + stage.finish()


@pytest.fixture(scope="module", params=ALGORITHMS)
def stored(request):
    """SQL text, compressed with each algorithm."""
    return flow(Compressor(request.param), SQL)


chunkings = st.lists(st.integers(1, 5_000), min_size=1, max_size=8)
contents = st.binary(max_size=2_000) | st.builds(
    lambda part, n: part * n, st.binary(max_size=50), st.integers(0, 3_000)
)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(data=contents, into=chunkings, out=chunkings)
def test_everything_comes_back_however_it_is_cut_into_chunks(algorithm, data, into, out):
    assert flow(Decompressor(), flow(Compressor(algorithm), data, into), out) == data


@given(data=contents, chunks=chunkings)
def test_what_is_not_compressed_is_passed_on(data, chunks):
    data = b"PGDMP" + data

    assert flow(Decompressor(), data, chunks) == data


@pytest.mark.parametrize("data", [b"", b"a", b"abc", b"\x00\x00\x00"])
def test_what_is_shorter_than_any_mark_is_passed_on(data):
    assert flow(Decompressor(), data) == data


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_more_than_one_piece_comes_back(algorithm):
    data = (os.urandom(1000) + bytes(100_000)) * 40

    assert flow(Decompressor(), flow(Compressor(algorithm), data)) == data


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_data_that_unpacks_to_exactly_one_piece_comes_back(algorithm, size):
    assert flow(Decompressor(), flow(Compressor(algorithm), bytes(size))) == bytes(size)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_piece_is_larger_than_one_megabyte(algorithm):
    stored = flow(Compressor(algorithm), bytes(20 << 20))

    assert max(map(len, Decompressor().feed(stored))) <= PIECE


@given(parts=st.lists(contents, min_size=1, max_size=4), chunks=chunkings)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_several_frames_are_read_as_one(algorithm, parts, chunks):
    """``cat a.gz b.gz`` and parallel compressors make such files."""
    frames = b"".join(flow(Compressor(algorithm), part) for part in parts)

    assert flow(Decompressor(), frames, chunks) == b"".join(parts)


def test_what_python_compresses_is_read():
    assert flow(Decompressor(), gzip.compress(SQL), [100]) == SQL


def test_what_we_compress_is_read_by_python():
    assert gzip.decompress(flow(Compressor("gzip"), SQL)) == SQL


def test_data_cut_off_at_any_byte_is_damaged(stored):
    for length in range(1, len(stored)):
        with pytest.raises(BackupDamaged):
            flow(Decompressor(), stored[:length])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(data=contents, fraction=st.floats(0, 1, exclude_max=True), chunks=chunkings)
def test_data_cut_off_anywhere_in_any_chunks_is_damaged(algorithm, data, fraction, chunks):
    stored = flow(Compressor(algorithm), data)
    length = max(1, int(len(stored) * fraction))

    with pytest.raises(BackupDamaged):
        flow(Decompressor(), stored[:length], chunks)


def test_flipped_byte_is_damaged_or_harmless(stored):
    """Both formats carry a checksum. A few bits of their headers mean nothing, such as gzip's time and system."""
    harmless = 0
    for position in range(len(MAGIC["zstd"]), len(stored)):
        flipped = bytearray(stored)
        flipped[position] ^= 0x55
        try:
            assert flow(Decompressor(), bytes(flipped)) == SQL
        except BackupDamaged:
            continue
        harmless += 1
    assert harmless <= 7


def test_garbage_after_the_end_is_damaged(stored):
    with pytest.raises(BackupDamaged):
        flow(Decompressor(), stored + b"garbage")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(rest=st.binary(max_size=100))
def test_garbage_that_looks_compressed_is_damaged(algorithm, rest):
    with pytest.raises(BackupDamaged):
        flow(Decompressor(), MAGIC[algorithm] + b"\xff" + rest)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_higher_level_stores_less(algorithm):
    assert len(flow(Compressor(algorithm, 9), SQL)) < len(flow(Compressor(algorithm, 1), SQL))


@given(data=contents, chunks=chunkings)
def test_meter_counts_and_hashes_what_it_passes_on(data, chunks):
    meter = Meter()

    assert flow(meter, data, chunks) == data
    assert (meter.size, meter.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("size", [0, 4, 6])
def test_meter_says_how_many_bytes_are_missing(size):
    with pytest.raises(BackupDamaged, match=rf"should have {size} bytes, but 5 arrived"):
        flow(Meter(size=size), b"12345")


def test_meter_refuses_another_digest():
    with pytest.raises(BackupDamaged, match="SHA-256"):
        flow(Meter(size=5, sha256=hashlib.sha256(b"54321").hexdigest()), b"12345")


def test_checksum_of_stored_data_is_that_of_gzip():
    """``gzip -t`` and ``zstd -t`` can check a backup without us: here is the trailer that the former reads."""
    stored = flow(Compressor("gzip"), SQL)

    assert stored[-8:] == zlib.crc32(SQL).to_bytes(4, "little") + len(SQL).to_bytes(4, "little")
