"""What all subjects of a benchmark share: sizes, places, servers and the environments of the packages."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.environments import Environments, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much there is to do."""

    megabytes: int = 600
    """Of the databases."""
    mariadb: int = 300
    files: int = 100_000
    """Media files on the local remote."""
    s3_files: int = 10_000
    backups: tuple[int, ...] = (10_000, 100_000)
    """Lengths of the backup lists."""
    growth: tuple[int, ...] = (10, 100, 1000)
    """Megabytes of the databases that show how the cost grows."""


SMALL = Sizes(megabytes=20, mariadb=10, files=2000, s3_files=200, backups=(200,), growth=(5, 10))
"""For a look at whether all of it works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a subject gets."""

    sizes: Sizes
    rounds: int
    folder: Path
    """Where it may write; removed afterwards."""
    environments: Environments

    def site(self, package: str, database: dict[str, Any], name: str = "", **more: Any) -> Site:
        """Return a project with a package, on a database."""
        home = self.folder / f"{package.partition(' ')[0]}{name}"
        return self.environments.site(
            package, home, database=database, rclone=self.environments.rclone, **more
        )

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """Give a folder for a subject, and remove it."""
        with ExitStack() as stack:
            place = self.folder / name
            place.mkdir(parents=True)
            stack.callback(shutil.rmtree, place, ignore_errors=True)
            yield place


def empty(folder: Path) -> None:
    """Remove all that is in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
