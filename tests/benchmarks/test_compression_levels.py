"""Which level of compression to take when nobody says: speed and ratio on SQL text, alone and on the way to rclone."""

import time

import pytest

from django_rclone_admin.core.compression import DEFAULT_LEVELS, Compressor
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSource
from django_rclone_admin.core.store import pour
from django_rclone_admin.core.transfer import CommandSink
from tests.benchmarks.sqltext import write_sql_text
from tests.support.engine import local_rclone

MEGABYTES = 64
LEVELS = [
    ("zstd", 1),
    ("zstd", 3),
    ("zstd", 6),
    ("zstd", 9),
    ("gzip", 1),
    ("gzip", 4),
    ("gzip", 6),
    ("gzip", 9),
]
ROUNDS = 3


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    return write_sql_text(tmp_path_factory.mktemp("bench") / "dump.sql", MEGABYTES)


def compress(data, algorithm, level):
    """Return the seconds of one core that it took, and the bytes that came out.

    Not the time on the wall: who else uses the machine, and how many cores it has, changes nothing.
    """
    compressor = Compressor(algorithm, level)
    size, start = 0, time.process_time()
    for position in range(0, len(data), 1 << 20):
        size += sum(map(len, compressor.feed(data[position : position + (1 << 20)])))
    size += len(compressor.finish())
    return time.process_time() - start, size


def upload(dump, rclone, algorithm, level):
    """Return the seconds of a whole upload: compressed, counted, hashed, and stored by rclone in a local folder."""
    start = time.perf_counter()
    pour(
        FileSource(dump), CommandSink(rclone.upload("dump")), compression=algorithm, level=level, control=Control()
    )  # fmt: skip
    return time.perf_counter() - start


def test_levels(dump, rclone_binary, tmp_path):
    data, rclone = dump.read_bytes(), local_rclone(rclone_binary, tmp_path)
    plain = min(upload(dump, rclone, None, None) for _ in range(ROUNDS))
    print(
        f"\n{len(data) >> 20} MB of SQL text, best of {ROUNDS}; uncompressed upload {len(data) / plain / 1e6:.0f} MB/s"
    )
    print("             one core      upload     ratio")
    ratios = {}
    for algorithm, level in LEVELS:
        alone = min(compress(data, algorithm, level) for _ in range(ROUNDS))
        whole = min(upload(dump, rclone, algorithm, level) for _ in range(ROUNDS))
        ratios[algorithm, level] = len(data) / alone[1]
        mark = "  default" if level == DEFAULT_LEVELS[algorithm] else ""
        print(
            f"{algorithm} {level:2}  {len(data) / alone[0] / 1e6:6.0f} MB/s {len(data) / whole / 1e6:6.0f} MB/s"
            f" {ratios[algorithm, level]:7.2f}{mark}"
        )

    for algorithm, level in DEFAULT_LEVELS.items():
        highest = max(each for name, each in LEVELS if name == algorithm)
        assert ratios[algorithm, level] > ratios[algorithm, highest] / 1.2
    assert ratios["gzip", DEFAULT_LEVELS["gzip"]] > 1.05 * ratios["gzip", 1]
