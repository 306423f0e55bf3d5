"""Look, then switch: an opened backup is put in the place of the live data, and the undo leads back."""

import sqlite3
from contextlib import closing, suppress
from typing import Any

import pytest
from django.db import connections

from django_rclone_admin import api, signals
from django_rclone_admin.connectors.sqlite.opened import Places, limited
from django_rclone_admin.exceptions import BackupError, BackupNotFound, RestoreRefused
from django_rclone_admin.jobs import comparing
from django_rclone_admin.models import BackupRun, OpenedBackup
from tests.support import databases
from tests.support.commands import undo_once
from tests.support.matrix import sampled
from tests.support.opened import ALIAS
from tests.support.swaps import beside
from tests.support.tables import OPENED

pytestmark = pytest.mark.django_db(transaction=True)
on_each_engine = pytest.mark.parametrize(
    "books",
    [
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ],
    indirect=True,
)


@pytest.fixture
def before(books, backups, servers) -> Any:
    """The rows of a backup, in a database that has changed since."""
    rows = books.rows()
    books.have_backup(backups.remote, servers.folder)
    books.execute("DELETE FROM book WHERE id > 1")
    books.execute("INSERT INTO author VALUES (7, 'new')")
    books.execute("CREATE TABLE newer (id integer PRIMARY KEY)")
    return rows


@pytest.mark.parametrize(
    "books",
    [
        "sqlite",
        # test_look_shows_what_differs_and_the_answer_decides does it by the command.
        pytest.param("postgresql", marks=[pytest.mark.postgresql, pytest.mark.soak]),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ],
    indirect=True,
)
def test_opened_backup_becomes_live_and_undo_leads_back(books, before, backups):
    changed = books.rows()
    opened = api.open_backup(database=ALIAS)
    run = api.put_live(opened)
    assert (run.kind, run.status, run.path) == ("db_restore", "succeeded", opened.path)
    assert books.rows() == before
    assert not OpenedBackup.objects.exists()
    assert [each for each in books.beside() if "_dra_open_" in each] == []
    books.execute("INSERT INTO author VALUES (8, 'later')")  # it can be written again
    books.execute("DELETE FROM author WHERE id = 8")
    if books.engine == "mysql":
        assert books.execute(
            "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()"
        ) == [("ENABLED",)]

    assert api.is_undoable(run)
    api.undo_restore(ALIAS)
    assert books.rows() == changed
    backups.configure(SAFETY_BACKUP=False)  # that is not undone
    api.undo_restore(ALIAS)
    assert books.rows() == before


@pytest.mark.in_turns("books")
@on_each_engine
def test_switch_that_is_refused_at_the_last_moment_changes_nothing(books, before, monkeypatch):
    def veto(**_kwargs: object) -> None:
        raise RuntimeError("not today")

    live = books.rows()
    opened = api.open_backup(database=ALIAS)
    signals.pre_db_restore.connect(veto)
    try:
        with pytest.raises(BackupError, match="not today"):
            api.put_live(opened, safety_backup=False)
    finally:
        signals.pre_db_restore.disconnect(veto)
    assert books.rows() == live
    assert api.list_opened_backups() == [opened]
    api.close_backup(opened)


def test_difference_says_what_was_written_since_and_what_is_closed_can_not_be_put_live(books, before):
    opened = api.open_backup(database=ALIAS)
    found = api.compare_opened_backup(opened)
    assert {each.name: (each.then, each.now, each.difference) for each in found.changed} == {
        "author": (2, 3, 1),
        "book": (3, 1, -2),
    }
    assert [each.name for each in found.new] == ["newer"]
    assert found.added == 1
    books.execute("DROP TABLE book")
    [gone] = [each for each in api.compare_opened_backup(opened).tables if each.is_gone]
    assert (gone.name, gone.difference) == ("book", -3)

    live = books.rows()
    api.close_backup(opened)
    with pytest.raises(BackupNotFound, match="no longer exists"):
        api.put_live(opened)
    assert books.rows() == live


def test_opened_on_another_server_it_is_restored_instead(books, before, backups, tmp_path):
    entry = {**connections.settings[ALIAS], "NAME": str(tmp_path / "scratch.sqlite3")}
    connections.settings = {**connections.settings, "scratch": entry}
    backups.configure(OPEN_ON={ALIAS: "scratch"})
    live = books.rows()
    opened = api.open_backup(database=ALIAS)
    assert "server of “scratch”" in api.why_not_live(opened)
    with pytest.raises(RestoreRefused, match="server of “scratch”"):
        api.put_live(opened)
    assert books.rows() == live
    api.close_backup(opened)


@pytest.mark.parametrize("error", sampled([KeyboardInterrupt, RuntimeError], KeyboardInterrupt))
def test_interruption_is_told_by_what_has_happened(books, before, monkeypatch, error):
    """Right before the switch, and then right after it."""
    changed, real = books.rows(), Places.put_live

    def interrupted_before(self: Places, *arguments: Any) -> list[str]:
        raise error

    def interrupted_after(self: Places, *arguments: Any) -> list[str]:
        real(self, *arguments)
        raise error

    opened = api.open_backup(database=ALIAS)
    for put_live, rows, statuses in (
        (interrupted_before, changed, {"failed", "cancelled"}),
        (interrupted_after, before, {"succeeded"}),
    ):
        monkeypatch.setattr(Places, "put_live", put_live)
        with suppress(KeyboardInterrupt, RuntimeError):
            api.put_live(opened, safety_backup=False)
        assert books.rows() == rows
        run = BackupRun.objects.filter(kind="db_restore").latest("created_at")
        assert run.status in statuses
        assert "unfinished" not in run.options
    assert BackupRun.objects.filter(kind="db_restore").count() == 2
    api.close_backup(opened)


def test_queued_switch_is_carried_out(books, before):
    opened = api.open_backup(database=ALIAS)
    run = api.start_put_live(opened, safety_backup=False)
    assert BackupRun.objects.get(pk=run.pk).status == "succeeded"
    assert books.rows() == before


@pytest.mark.postgresql
def test_look_shows_what_differs_and_the_answer_decides(make_shop):
    """The history lies in the database that is replaced, and so does the row of what is open."""
    shop = make_shop("postgresql", backed_up=True)
    rows = shop.rows()
    shop.execute("DELETE FROM shop_orderline")
    changed, before = shop.rows(), len(shop.names())
    no = shop.manage("dbrestore", "--look", input="n\n")
    assert no.code == 1
    assert "shop_orderline: " in no.out
    assert "Before the switch: a safety backup" in no.out  # opening the backup makes none
    assert len(shop.names()) == before
    assert (shop.rows(), beside(shop)) == (changed, [])
    assert shop.manage("dbrestore", "--look", "--noinput").code == 2

    assert shop.manage("dbrestore", "--look", input="y\n").code == 0
    assert shop.rows() == rows
    assert [each.partition("_dra_")[2][:5] for each in beside(shop)] == ["kept_"]
    assert shop.execute(f"SELECT id FROM {OPENED}") == []
    undo_once(shop)
    assert shop.rows() == changed


LOCKS = {
    "postgresql": ["BEGIN", "LOCK TABLE book IN ACCESS EXCLUSIVE MODE"],
    "mysql": ["LOCK TABLES book WRITE"],
    "sqlite3": ["BEGIN EXCLUSIVE"],
}


@on_each_engine
def test_live_table_that_somebody_locks_is_not_waited_for(books, before, monkeypatch):
    monkeypatch.setattr(comparing, "SECONDS", 1)
    opened = api.open_backup(database=ALIAS)
    with databases.connection(books.entry) as connection:
        for statement in LOCKS[books.engine]:
            connection.execute(statement)
        found = api.compare_opened_backup(opened)
    if books.engine == "sqlite3":
        assert not found.is_live_known
    else:
        rows = {each.name: (each.now, each.is_gone) for each in found.tables}
        assert rows["author"] == (3, False)
        assert rows["book"] == (None, False)
    api.close_backup(opened)


def test_query_of_a_file_that_takes_too_long_is_interrupted():
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with closing(sqlite3.connect(":memory:")) as connection:
        with limited(connection, 0.1), pytest.raises(sqlite3.OperationalError, match="interrupted"):
            connection.execute(endless).fetchone()
        with limited(connection, 60):
            assert connection.execute("SELECT 1").fetchone() == (1,)
