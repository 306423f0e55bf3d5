"""The migrations of a backup are compared with those of the code, whatever has become of its files since."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.urls import reverse

from django_rclone_admin.jobs.migrations import Code, applied, own_names
from tests.support.site import Shop

Files = dict[str, str]
"""What stands in each migration: its dependencies on others of its app and, after “replaces”, what it replaces."""

CHAIN = {"0001_a": "", "0002_b": "0001_a", "0003_c": "0002_b"}
SQUASHED = {"0001_squashed_0003_c": "replaces 0001_a 0002_b 0003_c"}
NEWER = {"0004_d": "0003_c"}
NEWER_OF_SQUASHED = {"0004_d": "0001_squashed_0003_c"}
MIDDLE = {
    "0001_a": "",
    "0002_squashed_0003_c": "0001_a replaces 0002_b 0003_c",
    "0004_d": "0002_squashed_0003_c",
}


NAMES = {*CHAIN, *SQUASHED, *NEWER, *MIDDLE, "0002_x", "0099_gone", "replaces"}


@pytest.fixture
def write(tmp_path, settings, monkeypatch):
    """Give the app ``shop`` other migrations."""
    monkeypatch.syspath_prepend(tmp_path)
    numbers = iter(range(100))

    def write(files: Files | None, *, app: str = "shop") -> None:
        if files is None:
            settings.MIGRATION_MODULES = {app: None}
            return
        package = f"migrations_{next(numbers)}"
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        for name, links in files.items():
            (tmp_path / package / f"{name}.py").write_text(source(app, links))
        settings.MIGRATION_MODULES = {app: package}

    yield write
    for name in [each for each in sys.modules if each.startswith("migrations_")]:
        del sys.modules[name]


def source(app: str, links: str) -> str:
    if not set(links.split()) <= NAMES:
        return links
    before, _, after = links.partition("replaces")
    return dedent(f"""
        from django.db.migrations import Migration as Base

        class Migration(Base):
            dependencies = [({app!r}, each) for each in {before.split()}]
            replaces = [({app!r}, each) for each in {after.split()}]
    """)


def of_shop(found: tuple[list[str], list[str]]) -> tuple[list[str], list[str]]:
    """Return what was found of the shop: the test names no migration of other apps."""
    return tuple(
        [each.removeprefix("shop.") for each in names if each.startswith("shop.")] for names in found
    )


@pytest.mark.parametrize(
    "files, leaves, unknown, missing",
    [
        (CHAIN, ["0003_c"], [], []),
        (CHAIN, [], [], [*CHAIN]),
        (CHAIN, ["0001_a"], [], ["0002_b", "0003_c"]),
        (CHAIN, ["0004_d"], ["0004_d"], []),
        (None, ["0003_c"], ["0003_c"], []),
        # Of a squashed migration and what it replaces, “migrate” applies one or the other.
        (CHAIN | SQUASHED | NEWER, ["0003_c"], [], ["0004_d"]),
        (CHAIN | SQUASHED | NEWER, ["0002_b"], [], ["0003_c", "0004_d"]),
        (CHAIN | SQUASHED | NEWER, [], [], ["0001_squashed_0003_c", "0004_d"]),
        (CHAIN | SQUASHED | NEWER, ["0001_squashed_0003_c"], [], ["0004_d"]),
        # The files that it replaces were deleted.
        (SQUASHED | NEWER_OF_SQUASHED, ["0003_c"], [], ["0004_d"]),
        (SQUASHED | NEWER_OF_SQUASHED, ["0003_c", "0001_squashed_0003_c"], [], ["0004_d"]),
        (SQUASHED | NEWER_OF_SQUASHED, ["0004_d"], [], []),
        (MIDDLE, ["0003_c"], [], ["0004_d"]),
        # So was what says that it replaces them: nobody can know that they were the same.
        (
            {"0001_squashed_0003_c": ""} | NEWER_OF_SQUASHED,
            ["0003_c", "0001_squashed_0003_c"],
            ["0003_c"],
            ["0004_d"],
        ),
        # Two branches; one that depends on what does not exist; a circle.
        (CHAIN | {"0002_x": "0001_a"}, ["0002_x", "0003_c"], [], []),
        (CHAIN | {"0004_d": "0003_c 0099_gone"}, ["0003_c"], [], ["0004_d"]),
        ({"0001_a": "0002_b", "0002_b": "0001_a"}, [], [], ["0001_a", "0002_b"]),
    ],
)
def test_what_a_backup_and_the_code_lack(write, files, leaves, unknown, missing):
    write(files)
    assert of_shop(Code.read().compare({"shop": leaves})) == (unknown, missing)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "files",
    [
        CHAIN,
        CHAIN | SQUASHED | NEWER,
        SQUASHED | NEWER_OF_SQUASHED,
        {"0001_a": "", "0002_b": "", "0003_c": "0002_b"},  # a dependency was taken out
        {"0001_all": ""},
        None,
        {"0001_a": "raise ImportError('no such library')"},
    ],
)
def test_backup_stays_good_when_the_code_changes(write, files):
    recorder = MigrationRecorder(connection)
    for name in CHAIN:
        recorder.record_applied("shop", name)
    write(CHAIN)
    recorded = {key for key in applied("default") if key[0] != "shop" or key[1] in CHAIN}
    leaves = Code.read().leaves(recorded)
    assert leaves["shop"] == ["0003_c"]

    write(files)
    assert Code.read().differences(recorded, leaves) == []

    without_last = recorded - {("shop", "0003_c")}
    assert Code.read().differences(without_last, leaves) == ["shop.0003_c"]
    of_another_app = recorded | {("other", "0001_initial")}
    assert Code.read().differences(of_another_app, leaves) == ["other.0001_initial"]


def test_migration_that_came_after_the_last_of_the_manifest_is_a_difference(write):
    write(CHAIN | NEWER)
    recorded = {("shop", name) for name in CHAIN | NEWER}
    assert Code.read().differences(recorded, {"shop": ["0002_b"]}) == ["shop.0003_c", "shop.0004_d"]


def test_squashed_and_newer_may_come_one_after_the_other_by_now(write):
    """Whoever squashes migrations lets the next one depend on the squashed one in the end."""
    write(CHAIN | SQUASHED | NEWER)
    recorded = {("shop", name) for name in CHAIN | SQUASHED | NEWER}
    leaves = Code.read().leaves(recorded)
    assert leaves == {"shop": ["0001_squashed_0003_c", "0004_d"]}
    write(SQUASHED | NEWER_OF_SQUASHED)
    assert Code.read().differences(recorded, leaves) == []


@pytest.mark.parametrize(
    "fault, said",
    [
        ("raise ImportError('postgres://me:hunter2@host')", "ImportError"),
        ("import no_such_library", "ModuleNotFoundError: no_such_library"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "Odd"),
        ("x = ", "SyntaxError"),
        ("x = 1", "BadMigrationError"),
        (source("shop", "").replace("dependencies = [", "dependencies = [['a', 'b']] or ["), "TypeError"),
        (source("shop", "").replace("replaces = [", "replaces = [('a', None)] or ["), "TypeError"),
        (source("shop", "").replace("replaces = [", "replaces = [()] or ["), "TypeError"),
    ],
)
def test_code_that_cannot_be_read_is_said_without_its_words(write, fault, said):
    write(CHAIN | {"0004_d": fault})
    code = Code.read()
    assert code.problem == said
    assert f"({said})" in code.uncompared
    assert code.compare({"shop": ["0003_c"]}) == ([], [])
    assert code.leaves({("shop", name) for name in CHAIN}) == {"shop": sorted(CHAIN)}
    assert code.differences({("shop", name) for name in CHAIN}, {"shop": ["0003_c"]}) == []


def test_own_migrations_are_known_without_those_of_others(write):
    names = own_names()
    assert "0001_initial" in names
    write({"0001_a": "raise ImportError"})
    assert own_names() == names
    write(None, app="django_rclone_admin")
    assert own_names() == []


@pytest.mark.parametrize(
    "text, outcome, reason",
    [
        ("import no_such_library", "unchecked", "can't be imported: ModuleNotFoundError: no_such_library"),
        ("raise SystemExit(3)", "unchecked", "can't be imported: SystemExit"),
        (source("shop", "0099_gone"), "passed", ""),
    ],
)
def test_migrations_that_do_not_load_cost_no_backup_and_no_restore(
    shop: Shop, tmp_path: Path, text, outcome, reason
):
    """A deployment went wrong: that is when a backup and a restore are needed."""
    package = tmp_path / "code" / "broken"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "0001_initial.py").write_text(text)
    shop.settings["MIGRATION_MODULES"] = {"shop": "broken"}
    shop.environment["PYTHONPATH"] = str(package.parent)
    rows = shop.rows()

    made = shop.manage("dbbackup")
    assert made.code == 0, made.err
    [name] = [each.removeprefix("db/") for each in shop.names() if each.endswith(".zst")]
    shop.execute("DELETE FROM shop_orderline")
    restored = shop.manage("dbrestore", "--noinput", "--no-safety-backup", "--json")
    assert restored.code == 0, restored.err
    assert shop.rows() == rows
    plan = shop.manage("dbrestore", "--dry-run", "--json").json
    assert any("can't be imported" in each for each in plan["warnings"]) == bool(reason)
    assert plan["unknown_migrations"] == []
    [found] = shop.manage("verifybackups", name, "--level", "site", "--json").json
    assert (found["outcome"], reason in (found["reason"] or "")) == (outcome, True), found


@pytest.mark.django_db(databases=["default", "analytics"])
def test_page_of_a_restore_says_what_was_not_compared(write, backups, admin_client):
    address = f"{reverse('admin:django_rclone_admin_backup_restore')}?path={backups.put()}"
    assert "so they were not compared" not in admin_client.get(address).content.decode()
    write({"0001_a": "import no_such_library"})
    page = admin_client.get(address).content.decode()
    assert "(ModuleNotFoundError: no_such_library), so they were not compared" in page
    assert "the same as in the code" not in page
