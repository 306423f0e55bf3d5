"""The history survives every restore, travels in no backup, and is made where it is missing."""

import subprocess
from pathlib import Path

import pytest

from django_rclone_admin.models.staying import STAYING
from tests.support import databases, tables
from tests.support.commands import done
from tests.support.matrix import sampled
from tests.support.site import Shop
from tests.support.tables import HISTORY

on_both_engines = pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("shop", sampled(["sqlite", "postgresql"], "sqlite"), indirect=True)


def history(shop: Shop) -> list[tuple[str, str, str]]:
    """Return kind, status and message of all runs, the oldest first."""
    return shop.execute(f"SELECT kind, status, message FROM {HISTORY} ORDER BY created_at")


OURS = ("django_migrations", tables.SCHEDULES)
"""Tables that differ after the restore of a backup that is older than the app."""


def forget_the_app(shop: Shop) -> None:
    """Take the app out of the database, as it was before its first ``migrate``."""
    for table in (*tables.TRAVELS_NOT, tables.SCHEDULES):
        shop.execute(f"DROP TABLE {table}")
    shop.execute("DELETE FROM django_migrations WHERE app = 'django_rclone_admin'")


def restored(shop: Shop, *arguments: str) -> str:
    """Restore the shop and return what was printed."""
    result = shop.manage("dbrestore", "--noinput", *arguments)
    assert result.code == 0, result.err
    return result.out + result.err


def test_tables_of_this_server_are_those_that_the_tests_know():
    assert {each._meta.db_table for each in STAYING} == set(tables.TRAVELS_NOT)


@pytest.mark.backed_up
@pytest.mark.in_turns("shop")
@on_both_engines
def test_history_survives_a_restore_and_travels_in_no_backup(shop, tmp_path):
    dump = tmp_path / "second"
    assert shop.manage("dbbackup", "--output-path", str(dump)).code == 0
    before = history(shop)
    restored(shop, "--input-file", str(dump))
    assert history(shop)[: len(before)] == before
    assert [(kind, status) for kind, status, _message in history(shop)] == [
        ("db_backup", "succeeded"),
        ("db_backup", "succeeded"),
        ("db_restore", "succeeded"),
        ("db_backup", "succeeded"),  # the safety backup
    ]
    assert _history_in(dump, shop) == 0


def _history_in(dump: Path, shop: Shop) -> int:
    """Return how much of the history is in a dump: rows of SQLite, objects of PostgreSQL."""
    if databases.engine(shop.settings["DATABASES"]["default"]) == "sqlite3":
        entry = {"ENGINE": "sqlite3", "NAME": dump}
        return len(databases.execute(entry, f"SELECT * FROM {HISTORY}"))
    command = ["pg_restore", "--file=-", str(dump)]
    done = subprocess.run(command, capture_output=True, text=True, env=shop.environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.count(HISTORY)


@pytest.mark.in_turns("shop")
@on_both_engines
def test_migrate_works_after_the_restore_of_a_backup_that_is_older_than_the_app(shop):
    forget_the_app(shop)
    wanted = shop.rows(ignore=OURS)
    assert shop.manage("dbbackup").code == 0
    [old] = [name for name in shop.names() if "manifest" not in name]
    assert shop.manage("migrate").code == 0
    # Something that the history has to keep.
    assert shop.manage("prunebackups", "--database=default").code == 0
    shop.execute("DELETE FROM shop_orderline")

    restored(shop, "--input-path", old, "--no-safety-backup")
    assert shop.rows(ignore=OURS) == wanted
    assert [kind for kind, _status, _message in history(shop)] == ["prune", "db_restore"]
    assert "No migrations to apply." in done(shop, "migrate")


@pytest.fixture
def new_server(shop, tmp_path, request) -> Shop:
    """The shop, which has a backup, moved to a new server: its settings and its remote are all that is left of it."""
    assert shop.backup
    entry = shop.settings["DATABASES"]["default"]
    if databases.engine(entry) == "sqlite3":
        entry["NAME"] = str(tmp_path / "new.sqlite3")
    else:
        server = request.getfixturevalue("postgresql_server")
        entry["NAME"] = server.create_database(f"{shop.name}_new")["NAME"]
    return shop


@pytest.mark.backed_up
@pytest.mark.in_turns("shop")
@on_both_engines
def test_new_server_needs_nothing_but_its_settings_and_the_remote(shop, new_server, request):
    assert len(new_server.manage("listbackups", "--json").json) == 1
    printed = restored(new_server)
    assert "no safety backup" in printed
    assert [kind for kind, _status, _message in history(new_server)] == ["db_restore"]
    assert new_server.manage("migrate", "--check").code == 0
    assert new_server.manage("dbbackup").code == 0
    ((count,),) = new_server.execute("SELECT count(*) FROM shop_orderline")
    assert count > 300


@pytest.mark.backed_up
@on_sqlite
def test_new_server_that_was_migrated_first_is_restored_too(shop, new_server):
    assert new_server.manage("migrate").code == 0
    restored(new_server)
    assert [kind for kind, _status, _message in history(new_server)] == ["db_restore", "db_backup"]
    assert new_server.manage("migrate", "--check").code == 0


@on_sqlite
def test_history_of_another_database_is_left_alone(shop):
    """The history lives in ``default``; the other database never gets one."""
    assert shop.manage("dbbackup", "--database", "analytics").code == 0
    shop.execute("DELETE FROM analytics_pageview", "analytics")
    restored(shop, "--database", "analytics", "--no-safety-backup")
    ((count,),) = shop.execute("SELECT count(*) FROM analytics_pageview", "analytics")
    assert count == 200
    assert HISTORY not in _tables(shop, "analytics")
    assert shop.manage("migrate", "--check", "--database", "analytics").code == 0


def _tables(shop: Shop, alias: str) -> list[str]:
    entry = shop.settings["DATABASES"][alias]
    with databases.connection(entry) as connection:
        return [
            name for name, _sql in connection.execute(databases.TABLES[databases.engine(entry)]).fetchall()
        ]
