"""A backup is opened beside everything live, read-only, for a while; nothing live is touched, and nothing stays for ever."""

import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, router, transaction
from django.utils.connection import ConnectionDoesNotExist

from django_rclone_admin import api, clock
from django_rclone_admin.connectors.places import MARK
from django_rclone_admin.connectors.postgresql.server import name_beside
from django_rclone_admin.exceptions import BackupError, BackupNotFound, RestoreRefused
from django_rclone_admin.jobs import aliases, opening
from django_rclone_admin.models import BackupRun, OpenedBackup
from tests.support import databases
from tests.support.opened import ALIAS

on_each_engine = pytest.mark.parametrize(
    "books",
    [
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ],
    indirect=True,
)
pytestmark = pytest.mark.django_db(transaction=True)


def ask(alias: str, statement: str) -> list[tuple[object, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def backup(books, backups, servers) -> str:
    """A backup of the books, which have changed since."""
    path = books.have_backup(backups.remote, servers.folder)
    books.execute("DELETE FROM book WHERE id = 3")
    books.execute("CREATE TABLE newer (id integer PRIMARY KEY)")
    return path


WRITES = (
    "INSERT INTO author VALUES (50, 'x')",
    "UPDATE author SET name = 'x'",
    "DELETE FROM book",
    "CREATE TABLE mine (id integer)",
    "DROP TABLE book",
    "ALTER TABLE book ADD COLUMN more integer",
    "CREATE INDEX more ON book (title)",
    "WITH gone AS (SELECT 1) DELETE FROM book",
)
BY_ENGINE = {
    "postgresql": (
        "SELECT writes()",
        "SELECT nextval('numbers')",
        "WITH gone AS (DELETE FROM book RETURNING id) SELECT * FROM gone",
        "SELECT * INTO copied FROM book",
        "EXPLAIN ANALYZE DELETE FROM book",
        "DO $$ BEGIN DELETE FROM book; END $$",
        "COPY book FROM PROGRAM 'true'",
        "SET TRANSACTION READ WRITE; DELETE FROM book",
        "SELECT 1; SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM book",
        "TRUNCATE book",
    ),
    "mysql": (
        "SELECT writes()",
        "SELECT NEXTVAL(numbers)",
        "TRUNCATE TABLE book",
        "REPLACE INTO author VALUES (1, 'x')",
        "/*!50000 DELETE FROM book */",
        "/*M!100000 DELETE FROM book */",
        "GRANT SELECT ON book TO nobody",
        "DROP EVENT later",
    ),
    "sqlite3": (
        "REPLACE INTO author VALUES (1, 'x')",
        "ATTACH DATABASE '{live}' AS live",
        "VACUUM",
        "REINDEX",
    ),
}
ESCAPES = {
    "postgresql": (
        "SET default_transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SELECT escapes()",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "BEGIN READ WRITE",
        "RESET ALL",
    ),
    "mysql": (
        "SET SESSION TRANSACTION READ WRITE",
        "SET @@session.tx_read_only = 0",
        "START TRANSACTION READ WRITE",
        "SET TRANSACTION READ WRITE",
        "SET @@tx_read_only = 0",
        "start /* now */ transaction read  write",
    ),
    "sqlite3": ("PRAGMA query_only = OFF",),
}
"""What a session may say so that what follows can write."""


@on_each_engine
def test_opened_backup_is_read_by_its_alias_and_nothing_can_be_written(books, backup):
    live = books.rows()
    opened = api.open_backup(backup)
    assert opened.alias == f"backup_{opened.pk.hex[:8]}"
    assert opened.rows == {"author": 2, "book": 3} | ({"numbers": 1} if books.engine == "mysql" else {})
    assert ask(opened.alias, "SELECT id FROM book ORDER BY id") == [(1,), (2,), (3,)]
    assert ask(opened.alias, "SELECT title FROM titles ORDER BY title") == [("one; 'two'",), ("x",), ("y",)]
    assert books.rows() == live
    assert [each for each in books.beside() if "_dra_open_" in each] == [opened.place]
    run = BackupRun.objects.get(pk=opened.pk)
    assert (run.kind, run.status, run.path, run.lock) == ("open", "succeeded", backup, None)

    before = databases.rows(books.entry | {"NAME": opened.place})
    assert written(books, opened) == []
    assert databases.rows(books.entry | {"NAME": opened.place}) == before
    refuses_by_itself(books, opened)

    api.close_backup(opened.alias)
    assert books.beside() == []
    assert not OpenedBackup.objects.exists()
    assert books.rows() == live


def written(books, opened):
    """Try to write in many ways, and return those that went through, with what was said before."""
    done = []
    for statement in (*WRITES, *BY_ENGINE[books.engine]):
        for escape in ("", *ESCAPES[books.engine]):
            if escape:
                with suppress(DatabaseError):
                    ask(opened.alias, escape)
            with suppress(DatabaseError):
                ask(opened.alias, statement.format(live=books.entry["NAME"]))
                done.append((escape, statement))
            with suppress(DatabaseError), transaction.atomic(using=opened.alias):
                ask(opened.alias, statement.format(live=books.entry["NAME"]))
                done.append((escape, statement))
            connections[opened.alias].close()
    return done


def refuses_by_itself(books, opened):
    """Write past Django. Where the account is the owner, that is the database's default; it does not need our wrapper."""
    with connections[opened.alias].cursor() as cursor:
        raw = cursor.connection if books.engine == "sqlite3" else connections[opened.alias].connection
        other = raw.cursor()
        with pytest.raises(Exception, match=r"(?i)read.?only"):
            other.execute("INSERT INTO author VALUES (50, 'x')")
        other.close()


@on_each_engine
def test_what_runs_that_died_have_left_is_swept_and_nothing_else(books, backup):
    opened = api.open_backup(backup)
    name = opened.place[:-16]
    orphan = opened.place[:-8] + "00000000"  # created, and its row is gone
    unlike = [
        name + "12345678" + "12345678",  # of another site
        opened.place[:-8] + "0000000g",
        opened.place[:-8] + "000000000",
        opened.place[:-8] + "0000000",
        opened.place + "_mine",
        opened.place.replace("_dra_open_", "_dra_opened_"),
        opened.place[:-8].replace("_dra_open_", "x_dra_open_") + "00000000",
    ]
    for each in (orphan, *unlike):
        books.make(each)
    assert api.list_opened_backups() == [opened]
    assert sorted(books.beside()) == sorted([opened.place, *unlike])

    OpenedBackup.objects.update(expires_at=clock.now())
    assert api.close_expired_backups() == [opened]
    assert sorted(books.beside()) == sorted(unlike)
    with pytest.raises(BackupNotFound):
        api.get_opened_backup(opened.alias)


@pytest.mark.in_turns("books")  # what each engine leaves is also in jobs/test_opening_kills
@on_each_engine
def test_opening_that_fails_leaves_nothing(books, backup, backups):
    stored = backups.remote.read(backup)
    backups.remote.write(backup, stored[:-40] + bytes(40))
    with pytest.raises(BackupError):
        api.open_backup(backup)
    assert books.beside() == []
    assert not OpenedBackup.objects.exists()
    assert BackupRun.objects.get(kind="open").status == "failed"


def test_opened_is_there_for_the_block_alone(books, backup):
    with api.opened(backup) as alias:
        assert ask(alias, "SELECT COUNT(*) FROM book") == [(3,)]
        assert api.list_opened_backups() == []
    assert books.beside() == []
    with pytest.raises(ConnectionDoesNotExist):
        connections[alias]


def test_alias_is_no_database_of_the_site_and_its_hours_are_kept(books, backup, settings):
    before = dict(settings.DATABASES)
    opened = api.open_backup(backup, hours=2)
    assert timedelta(hours=1.9) < opened.expires_at - clock.now() <= timedelta(hours=2)
    assert opened.alias not in settings.DATABASES
    assert before == settings.DATABASES
    assert opened.alias not in api.all_databases()
    with pytest.raises(BackupError, match="There is no database"):
        api.backup_database(opened.alias)
    is_known_to_each_thread_and_to_a_process_that_asks_for_it(opened)
    api.close_backup(opened)


def is_known_to_each_thread_and_to_a_process_that_asks_for_it(opened):
    found: list[object] = []

    def look() -> None:
        found.extend(ask(opened.alias, "SELECT COUNT(*) FROM book"))
        connections[opened.alias].close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(3,)]

    aliases.unregister(opened.alias)  # another process has never heard of it
    assert api.get_opened_backup(str(opened.pk)) == opened
    assert ask(opened.alias, "SELECT COUNT(*) FROM author") == [(2,)]


class Stubborn:
    """A router that knows where everything belongs, and fails for what it does not know."""

    def db_for_read(self, model, **hints):
        raise AssertionError("asked")

    db_for_write = allow_relation = db_for_read


def test_routers_of_the_site_are_not_asked(books, backup, settings, monkeypatch):
    opened = api.open_backup(backup)
    monkeypatch.setattr(router, "routers", [router.routers[0], Stubborn()])
    run = BackupRun(database="x")
    run._state.db = opened.alias
    assert router.db_for_read(BackupRun, instance=run) == opened.alias
    assert router.db_for_write(BackupRun, instance=run) == opened.alias
    assert router.allow_relation(run, BackupRun()) is False
    with pytest.raises(DatabaseError):
        run.save()  # it would have gone to the live database
    monkeypatch.undo()
    api.close_backup(opened)


def test_backup_is_not_held_up(books, backup):
    """The reading of a backup has a lock of its own."""
    reading = BackupRun(kind="open", database=ALIAS, status="running", path=backup)
    reading.lock = reading.lock_name
    reading.heartbeat_at = clock.now()
    reading.save()
    assert api.backup_database(ALIAS).status == "succeeded"
    with pytest.raises(api.RunInProgress):
        api.open_backup(backup)


def test_no_more_are_opened_than_are_allowed(books, backup, monkeypatch):
    monkeypatch.setattr(opening, "MOST", 1)
    checking = BackupRun.objects.create(
        kind="verify", database="other", status="running", heartbeat_at=clock.now()
    )
    OpenedBackup.objects.create(
        path=backup, database="other", expires_at=clock.now() + timedelta(hours=1), run=checking.pk
    )
    opened = api.open_backup(backup)  # what a check has open takes nobody's place
    with pytest.raises(RestoreRefused, match="already open, which is the limit") as caught:
        api.open_backup(backup)
    assert "closebackup" in caught.value.hint
    assert len(books.beside()) == 1
    with api.opened(backup):  # what a check needs for a while is not held up
        pass
    api.close_backup(opened)


def test_disk_that_is_too_small_is_said_before(books, backup, monkeypatch):
    monkeypatch.setattr("django_rclone_admin.connectors.sqlite.opened.free_space", lambda folder: 10)
    with pytest.raises(RestoreRefused, match="only 10 are free"):
        api.open_backup(backup)
    assert books.beside() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("books", ["postgresql"], indirect=True)
def test_missing_right_to_create_databases_is_said_with_the_way_out(books, backup, backups):
    entry = books.server.with_own_role(books.entry)
    books.server.administer("ALTER ROLE {} NOCREATEDB", entry["USER"])
    connections[ALIAS].close()
    connections.settings[ALIAS]["USER"] = entry["USER"]
    connections[ALIAS].settings_dict["USER"] = entry["USER"]
    with pytest.raises(RestoreRefused, match="may not create databases") as caught:
        api.open_backup(backup)
    assert "OPEN_ON" in caught.value.hint
    assert books.beside() == []


def test_another_server_takes_what_is_opened(books, backup, backups, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    entry = {**connections.settings[ALIAS], "NAME": str(other / "scratch.sqlite3")}
    connections.settings = {**connections.settings, "scratch": entry}
    backups.configure(OPEN_ON={ALIAS: "scratch"})
    opened = api.open_backup(backup)
    assert (opened.server, opened.database) == ("scratch", ALIAS)
    assert books.beside() == []
    assert opened.place.startswith(str(other / "scratch.sqlite3_dra_open_"))
    api.close_backup(opened)
    assert list(other.iterdir()) == []


def test_killed_between_the_row_and_the_place(books, backup, monkeypatch):
    """The row is written first: whoever finds it without its run removes what there is of it."""

    class Killed(BaseException):
        pass

    def die(*_arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(opening.Loading, "run", die)
        patch.setattr(opening, "close", lambda opened: None)  # a killed process does nothing more
        with pytest.raises(Killed):
            api.open_backup(backup)
    [left] = OpenedBackup.objects.all()
    assert api.list_opened_backups() == []
    assert not OpenedBackup.objects.filter(pk=left.pk).exists()


def test_long_names_are_cut_and_told_apart():
    site = MARK + "12345678"
    names = {name_beside("x" * 62 + end, site, "87654321") for end in "ab"}
    assert len(names) == 2
    assert {len(each) for each in names} == {63}
    assert all(each.startswith(name_beside("x" * 62 + "a", site)[:20]) for each in names)
