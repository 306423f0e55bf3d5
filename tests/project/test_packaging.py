"""What users install holds everything the app needs at run time, and no more."""

import json
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Set
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "django_rclone_admin"

pytestmark = pytest.mark.slow

LOAD_EVERYTHING = """
import json, sys
from pathlib import Path

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django.contrib.staticfiles", "django_htmx", "django_rclone_admin",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DJANGO_RCLONE={"REMOTE": "/nowhere"},
    STATIC_URL="static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)
django.setup()

from django.contrib.staticfiles import finders
from django.template.loader import get_template

wanted = json.load(sys.stdin)
found = [get_template(name).origin.name for name in wanted["templates"]]
found += [finders.find(name) for name in wanted["static"]]
json.dump([str(path and Path(path).resolve()) for path in found], sys.stdout)
"""
"""Find each named template and static file as Django does, and print the paths as JSON."""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Build a source distribution and a wheel from it, as a release does, into one folder."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [path] = built.glob("*.whl")
    return path


# Few tests: each process that runs the suite would build the wheel for its own.
def test_wheel_is_the_same_from_the_checkout_and_holds_the_package_alone(wheel, tmp_path):
    _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, REPOSITORY)
    assert _contents(tmp_path / wheel.name) == _contents(wheel)
    assert_holds_the_package_alone(_contents(wheel).keys())
    assert_names_the_home_of_the_project(wheel)


def assert_names_the_home_of_the_project(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    urls = dict(re.findall(r"^Project-URL: (\w+), (\S+)$", metadata, re.MULTILINE))
    assert {"Homepage", "Documentation", "Changelog", "Source", "Issues"} <= urls.keys()
    assert all(
        url.startswith("https://github.com/django-rclone-admin/django-rclone-admin") for url in urls.values()
    )


def assert_holds_the_package_alone(names: Set[str]) -> None:
    """Fail unless all templates and static files, migrations, the locale and the marker of the types are there."""
    assert {f"{PACKAGE}/{kind}/{name}" for kind in ("templates", "static") for name in _names(kind)} <= names
    assert _paths_below(REPOSITORY / PACKAGE / "migrations", "*.py") <= names
    assert _paths_below(REPOSITORY / PACKAGE / "locale", "*.[mp]o") <= names
    assert f"{PACKAGE}/py.typed" in names
    [metadata] = {name.partition("/")[0] for name in names} - {PACKAGE}
    assert metadata.endswith(".dist-info")


def test_installed_wheel_finds_its_templates_and_static_files(wheel, tmp_path):
    python = _install(wheel, tmp_path / "venv")
    wanted = {kind: _names(kind) for kind in ("templates", "static")}
    printed = _run(python, "-c", LOAD_EVERYTHING, cwd=tmp_path, input=json.dumps(wanted))
    found = [Path(path) for path in json.loads(printed)]
    assert [path for path in found if not path.is_relative_to(tmp_path.resolve())] == []
    assert len(found) == len(wanted["templates"]) + len(wanted["static"])


def _names(kind: str) -> list[str]:
    """Return the files below a top-level folder, as Django names them. An empty folder proves nothing."""
    folder = REPOSITORY / kind
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert names, f"{folder} is empty"
    return names


def _paths_below(folder: Path, pattern: str) -> set[str]:
    return {str(path.relative_to(REPOSITORY)) for path in folder.rglob(pattern)}


def _contents(wheel: Path) -> dict[str, int]:
    """Return the checksum of each file in a wheel by its name."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist()}


def _install(wheel: Path, folder: Path) -> Path:
    """Install a wheel into a clean environment that borrows this one's other packages; return its Python.

    A line in a .pth file puts our packages on the path, but not our checkout, which is installed by a .pth itself.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    _run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--no-compile",
        wheel,
    )
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _run(*command: str | Path, **options) -> str:
    process = subprocess.run(command, capture_output=True, text=True, **options)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
