"""A Python environment of its own for each package that takes part, and a small Django project to run it in."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Sample, base_environment, program

PROJECT = Path(__file__).parent / "project"
REPOSITORY = Path(__file__).parents[2]
DJANGO = "django==5.2.*"
DRIVERS = ("psycopg[binary]", "pymysql")
PACKAGES = {
    "this package": f"{REPOSITORY}[rclone]",
    "django-rclone 0.4.0": "django-rclone==0.4.0",
    "django-dbbackup 5.4.0": "django-dbbackup==5.4.0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A Django project with one of the packages."""

    package: str
    python: Path
    settings: Mapping[str, Any]
    """What the settings module takes from its environment."""
    home: Path
    path: str = field(default="")

    def manage(self, *arguments: str) -> Callable[[], Sample]:
        """Return what runs a command of ``manage.py`` and measures it."""
        return program(self.python, "-m", "django", *arguments, env=self.environment, cwd=self.home)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        return {
            **base_environment(),
            "PATH": f"{self.python.parent}:{base_environment()['PATH']}",
            "HOME": str(self.home),
            "PYTHONPATH": str(PROJECT),
            "DJANGO_SETTINGS_MODULE": "bench_settings",
            "BENCH": json.dumps(dict(self.settings)),
        }


class Environments:
    """The environments, made when they are first asked for.

    :param folder: where they lie, and stay for the next time.
    :param python: the Python that they are made with.
    """

    def __init__(self, folder: Path, python: str) -> None:
        self._folder, self._python = folder, python

    def site(self, package: str, home: Path, **settings: Any) -> Site:
        """Return a project with a package. Its remote is the folder ``remote`` in its home, unless the settings say another."""
        home.mkdir(parents=True, exist_ok=True)
        remote = {"remote": str(home / "remote")}
        return Site(
            package=package,
            python=self.python(package),
            home=home,
            settings={"package": package, **remote, **settings},
        )

    def python(self, package: str) -> Path:
        """Return the Python of a package."""
        place = self._folder / package.replace(" ", "-")
        python = place / "bin" / "python"
        if not (place / "ready").exists():
            subprocess.run([self._python or sys.executable, "-m", "venv", "--clear", place], check=True)
            install = [python, "-m", "pip", "install", "--quiet", DJANGO, *DRIVERS]
            is_ours = package == "this package"
            subprocess.run([*install, *(["--editable"] if is_ours else []), PACKAGES[package]], check=True)
            (place / "ready").touch()
        return python

    @property
    def rclone(self) -> str:
        """The program rclone that all of them use."""
        return str(self.python("this package").parent / "rclone")
