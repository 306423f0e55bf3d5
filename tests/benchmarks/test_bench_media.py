"""Many small media files: what a backup costs when next to nothing has changed, against plain ``rclone sync``."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from django_rclone_admin import api
from tests.support.backups import Backups
from tests.support.remotes import environment

FILES = int(os.environ.get("BENCH_FILES", "100000"))
CHANGES = 10
FACTOR = 1.2
"""What a backup may cost at most, as a multiple of the plain sync."""


def seconds(work: Callable[[], Any]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def change(folder: Path, content: bytes) -> None:
    """Write a few files anew, spread over the folders."""
    for number in range(0, FILES, FILES // CHANGES):
        (folder / f"{number // 1000:03}" / f"{number:06}.jpg").write_bytes(content)


@pytest.mark.django_db(transaction=True)
def test_second_backup_of_many_files_moves_the_changed_ones(
    settings: Any, tmp_path: Path, backups: Backups
) -> None:
    media, mirror = tmp_path / "media", tmp_path / "mirror"
    for number in range(FILES):
        path = media / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    settings.MEDIA_ROOT = str(media)
    rclone = backups.remote.binary

    def sync() -> None:
        subprocess.run([rclone, "sync", str(media), str(mirror)], env=environment(), check=True)

    first_sync, first = seconds(sync), seconds(api.backup_media)
    change(media, b"once more")
    backups.count_calls(tmp_path)
    second_sync, second = seconds(sync), seconds(api.backup_media)
    calls = backups.calls()
    print(f"\n{FILES:,} files, first time: rclone sync {first_sync:.1f} s, backup {first:.1f} s")
    print(f"{CHANGES} changes: rclone sync {second_sync:.1f} s, backup {second:.1f} s", end=" ")
    print(f"({second / second_sync:.1f} ×, at most {FACTOR} wanted), {len(calls)} calls: {' '.join(calls)}")
    moved = [name for name in backups.remote.names("media-versions") if name.endswith(".jpg")]
    assert len(moved) == CHANGES
