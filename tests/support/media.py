"""A media folder of this very process's site, backed up and restored through the api."""

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django_rclone_admin import api
from django_rclone_admin.models.runs import BackupRun, Kind, Status
from tests.support import programs
from tests.support.backups import have_backup, listed, put_media
from tests.support.remotes import Remote

START = 1_700_000_000 * 10**9


@dataclass(kw_only=True)
class Media:
    """The media folder and the remote that it is backed up to."""

    folder: Path
    remote: Remote
    settings: Any
    """Django's settings of this process."""
    shared: Path
    """A folder that all processes of the test run share."""
    clock: int = field(default=START)

    def write(self, files: dict[str, bytes]) -> None:
        """Write files, each a little later than the one before."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self.clock += 2 * 10**9
            os.utime(path, ns=(self.clock, self.clock))

    def read(self) -> dict[str, bytes]:
        """Return all files; links are not followed."""
        return read(self.folder)

    def configure(self, **values: object) -> None:
        """Change keys of ``DJANGO_RCLONE``."""
        self.settings.DJANGO_RCLONE = {**self.settings.DJANGO_RCLONE, **values}

    def wrap(self, folder: Path, body: str) -> None:
        """Have rclone run some Python first, see :func:`tests.support.programs.wrapper`."""
        program = programs.wrapper(folder, "rclone", self.remote.binary, body)
        self.configure(RCLONE_BINARY=str(program))

    def unwrap(self) -> None:
        self.configure(RCLONE_BINARY=self.remote.binary)

    def back_up(self, **options: Any) -> str:
        """Back up and return the name of the backup."""
        return Path(api.backup_media(**options).path).name

    def have_backup(self) -> str:
        """Have a backup of the files that are there, made with the usual settings, and return its name.

        Its run is in the history. On an encrypted remote, all tests with the same files have copies of one backup;
        elsewhere it is written there, and ``test_media_backup`` compares what is written with a real one.
        """
        if self.remote.kind == "local":
            return self._put_backup()
        files = [(name, content, self._time(name)) for name, content in sorted(self.read().items())]
        key = hashlib.sha256(repr(files).encode()).hexdigest()
        return Path(have_backup(self.remote, self.shared, f"media-{key}", self.back_up).path).name

    def _put_backup(self) -> str:
        """Write what a first media backup of a minute ago would have left."""
        taken_at, files = datetime.now(UTC) - timedelta(minutes=1), self.read()
        run = BackupRun(kind=Kind.MEDIA_BACKUP, status=Status.SUCCEEDED, trigger="api", created_at=taken_at)
        about = {"mirrored": False, "trigger": run.trigger, "run": str(run.pk), "trusted": 0}
        run.path = put_media(self.remote, files, taken_at, lines=listed(self.folder), **about)
        run.started_at = run.finished_at = run.heartbeat_at = taken_at
        run.size, run.message = sum(map(len, files.values())), f"Backed up {len(files)} files."
        run.save()
        for name in files:
            mirrored = self.remote.root / "media" / name
            mirrored.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder / name, mirrored)
        return Path(run.path).name

    def _time(self, name: str) -> int:
        return (self.folder / name).stat().st_mtime_ns

    def in_mirror(self) -> dict[str, bytes]:
        """Return the files of the mirror, on a local remote."""
        return {name.removeprefix("media/"): content for name, content in self.remote.files("media").items()}


def read(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder; links are not followed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
