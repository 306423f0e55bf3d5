"""Backups that no test takes: objects and manifests written straight to the remote, mostly that of this very process."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core import serializers

from django_rclone_admin.core.compression import ZSTD, Compressor
from django_rclone_admin.core.local_files import stamp
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.models.runs import BackupRun
from tests.support import programs
from tests.support.remotes import Remote
from tests.support.site import Shop
from tests.support.templates import made_once

BACKUPS = "backups"
"""Name of the folder in a template that is its remote."""

NO_FILES = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
"""A storage of media files that has no folder, so that a site with an empty ``MEDIA_ROOT`` has none to back up."""

HISTORY = "history.json"
"""Name of the file in a template that is the run history after its backup."""

DAY = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Backups:
    """The remote that ``DJANGO_RCLONE`` of this process names, and a hand that puts backups there."""

    remote: Remote
    configure: Callable[..., None]
    """Change keys of ``DJANGO_RCLONE``."""
    log: Path
    """Has one line for each call of rclone, once ``count_calls`` was called."""
    paths: list[str] = field(default_factory=list)
    """Of all backups put there, in that order."""

    def put(
        self,
        taken_at: datetime = DAY,
        *,
        database: str = "default",
        size: int = 100,
        name: str = "",
        manifest: bool | bytes = True,
        pinned: bool = False,
        **values: Any,
    ) -> str:
        """Put a backup there and return its path.

        :param manifest: whether it has one, or its bytes.
        :param values: what its manifest says instead of the usual.
        """
        name = name or f"{database}-{taken_at:%Y-%m-%d-%H%M%S}.dump.zst"
        path = f"db/{name}"
        self.remote.write(path, bytes(size))
        if manifest is True:
            manifest = manifest_of(name, database, taken_at, size, **values).to_bytes()
        if manifest:
            self.remote.write(f"{path}.manifest.json", manifest)
        if pinned:
            self.remote.write(f"{path}.keep", b"")
        self.paths.append(path)
        return path

    def put_media(
        self,
        taken_at: datetime = DAY,
        content: Mapping[str, bytes] | None = None,
        *,
        lines: Iterable[object] | None = None,
        mirrored: bool = True,
        manifest: bool = True,
        pinned: bool = False,
        **values: Any,
    ) -> str:
        """Put a media backup there, and its files into the mirror, and return its path.

        :param lines: what its list says instead of these files.
        :param mirrored: whether the files are there.
        :param values: what its manifest says instead of the usual. Without ``trusted``, it is one of an older version.
        """
        files = {"photo.jpg": b"a photo"} if content is None else content
        name = f"media-{taken_at:%Y-%m-%d-%H%M%S}.jsonl.zst"
        path = f"media-versions/{name}"
        usual_lines = (
            {"path": path, "size": len(content), "time": taken_at.isoformat()}
            for path, content in sorted(files.items())
        )
        text = file_lines(usual_lines if lines is None else lines)
        stored = compressed(text)
        for each, bytes_ in files.items() if mirrored else ():
            self.remote.write(f"media/{each}", bytes_)
        self.remote.write(path, stored)
        if manifest:
            usual = {
                "engine": "media",
                "connector": "rclone",
                "sha256": hashlib.sha256(stored).hexdigest(),
                "raw_size": len(text),
                "tables": [],
                "migrations": {},
                "files": len(files),
                "files_size": sum(map(len, files.values())),
            }
            about = manifest_of(name, "media", taken_at, len(stored), **usual | values)
            self.remote.write(f"{path}.manifest.json", about.to_bytes())
        if pinned:
            self.remote.write(f"{path}.keep", b"")
        self.paths.append(path)
        return path

    def take_down(self) -> None:
        """From now on nothing answers at the remote."""
        self.configure(
            REMOTE=':webdav,url="http://127.0.0.1:9":backups', RCLONE_FLAGS=["--low-level-retries=1"]
        )

    def count_calls(self, folder: Path) -> None:
        """Have every call of rclone written down."""
        program = programs.counting(folder / "counting", self.remote.binary, self.log)
        self.configure(RCLONE_BINARY=str(program))

    def calls(self) -> list[str]:
        """Return the commands of rclone, such as ``lsjson``, that were called since the last look."""
        return programs.counted(self.log)


def have_backup(remote: Remote, shared: Path, key: str, take: Callable[[], object]) -> BackupRun:
    """Have a copy of a backup on the empty remote, and its run in the empty history; return the run.

    :param shared: a folder that all processes of the test run share.
    :param key: tells this backup apart from all others.
    :param take: takes it, once for all tests.
    """
    assert remote.kind in ("local", "crypt"), "only the objects of a local folder can be copied"

    def make() -> Path:
        home = Path(tempfile.mkdtemp(prefix=key, dir=shared))
        take()
        shutil.copytree(remote.root, home / BACKUPS)
        (home / HISTORY).write_text(serializers.serialize("json", BackupRun.objects.all()))
        return home

    template = made_once(shared, f"{key}-{remote.kind}", make)
    shutil.copytree(template / BACKUPS, remote.root, dirs_exist_ok=True)
    [run] = serializers.deserialize("json", (template / HISTORY).read_text())
    run.save()
    found: BackupRun = run.object
    return found


def put_media(remote: Remote, files: Mapping[str, bytes], taken_at: datetime = DAY, **values: Any) -> str:
    """Put a media backup of these files on any remote, such as that of a shop, and return its path."""
    backups = Backups(remote=remote, configure=lambda **_values: None, log=Path(os.devnull))
    return backups.put_media(taken_at, files, **values)


def listed(folder: Path) -> list[dict[str, object]]:
    """Return what the list of a media backup says of the files that are in a folder now."""
    found = (
        (path.relative_to(folder).as_posix(), path.stat()) for path in folder.rglob("*") if path.is_file()
    )
    return [  # rclone has a letter of its own for the end of a line
        {"path": name.replace("\n", "␊"), "size": stat.st_size, "time": stamp(stat.st_mtime_ns)}
        for name, stat in sorted(found)
    ]


def put_version(remote: Remote, time: datetime, name: str, content: bytes) -> str:
    """Put a media file there that a media backup of that time has replaced, and return its path."""
    path = f"media-versions/{time:%Y-%m-%d-%H%M%S-%f}/{name}"
    remote.write(path, content)
    return path


def quicken_looks(shop: Shop) -> None:
    """Have each look of a shop at its remote be one call of rclone, as the fixture ``quick_looks`` does here."""
    assert shop.remote is not None
    of_pages = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    shop.settings |= {"MEDIA_ROOT": "", "STORAGES": {"default": NO_FILES, "staticfiles": of_pages}}
    put_foreign_file(shop.remote)


def put_foreign_file(remote: Remote) -> None:
    """Put a file into the folder of backups that is none: an empty folder is looked at twice."""
    remote.write("db/README", b"no backup")


def antedate(shop: Shop, day: str, database: str = "default") -> str:
    """Put a copy of the backup of a shop beside it, as if taken at midnight of a day, and return its name."""
    assert shop.remote is not None
    name = f"{database}-{day}-000000.{shop.backup.partition('.')[2]}"
    manifest = json.loads(shop.remote.read(f"{shop.backup}.manifest.json"))
    manifest |= {"name": name, "database": database, "taken_at": f"{day}T00:00:00+00:00"}
    shop.remote.write(f"db/{name}", shop.remote.read(shop.backup))
    shop.remote.write(f"db/{name}.manifest.json", json.dumps(manifest).encode())
    return name


def file_lines(lines: Iterable[object]) -> bytes:
    """Return the list of files of a media backup, as it is before it is compressed."""
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines) or b"\n"


def compressed(text: bytes) -> bytes:
    compress = Compressor(ZSTD, None)
    return b"".join(compress.feed(text)) + compress.finish()


def manifest_of(name: str, database: str, taken_at: datetime, size: int, **values: Any) -> Manifest:
    """Return the manifest of a backup that nobody took."""
    usual: dict[str, Any] = {
        "name": name,
        "database": database,
        "engine": "sqlite",
        "connector": "django_rclone_admin.connectors.sqlite.SqliteBackupConnector",
        "taken_at": taken_at,
        "finished_at": taken_at,
        "size": size,
        "raw_size": size * 4,
        "sha256": "0" * 64,
        "compression": "zstd",
        "tables": ["shop_order", "shop_product"],
        "migrations": {"shop": ["0001_initial"]},
        "trigger": "command",
    }
    return Manifest(**usual | values)
