"""A backup of a gigabyte needs no more memory of ours than one of ten megabytes."""

import sys

import pytest

from tests.benchmarks.sqltext import write_sql_text
from tests.support.memory import MEGABYTE, peak

ALLOWED = 64 * MEGABYTE

SETUP = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.publishing import Upload
from django_rclone_admin.core.transfer import CommandSource
from tests.support.engine import local_catalog, python

binary, root, block, megabytes, compression = sys.argv[1:]
GENERATE = '''
import sys
block, left = open(sys.argv[1], "rb").read(), int(sys.argv[2]) << 20
while left > 0:
    left -= sys.stdout.buffer.write(block[:left])
'''
source = CommandSource(python(GENERATE, block, megabytes))
upload = Upload(
    catalog=local_catalog(binary, Path(root)), database="default", taken_at=datetime.now(UTC), extension="dump",
    compression=compression or None, level=None, run="42",
)
"""
WORK = "_, stored = upload.send(source, Control()); result = [stored.raw_size, stored.size]"


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """SQL text that is longer than what any compressor looks back at."""
    return write_sql_text(tmp_path_factory.mktemp("bench") / "block", 32)


@pytest.mark.parametrize("compression", ["zstd", "gzip", ""], ids=["zstd", "gzip", "none"])
def test_peak_of_a_backup(block, rclone_binary, tmp_path, compression):
    found = {}
    for megabytes in (10, 1024):
        size, (raw, stored) = peak(SETUP, WORK, rclone_binary, tmp_path, block, megabytes, compression)
        assert raw == megabytes * MEGABYTE
        found[megabytes] = size
        print(
            f"\n{compression or 'none':5} {megabytes:5} MB in, {stored / MEGABYTE:6.1f} MB stored: "
            f"{size / MEGABYTE:5.1f} MB of memory on top of Python {sys.version_info[0]}.{sys.version_info[1]}",
            end="",
        )

    assert max(found.values()) < ALLOWED
