"""openbackup and closebackup, as people and scripts use them."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_rclone_admin import api
from django_rclone_admin.models import BackupRun
from tests.support.opened import ALIAS

pytestmark = pytest.mark.django_db(transaction=True)


def run(name: str, *arguments: str) -> str:
    stream = io.StringIO()
    call_command(name, *arguments, stdout=stream)
    return stream.getvalue()


@pytest.fixture
def backup(books, backups, servers) -> str:
    return books.have_backup(backups.remote, servers.folder).removeprefix("db/")


def test_open_list_and_close(books, backup):
    document: dict[str, Any] = json.loads(run("openbackup", "-d", ALIAS, "--hours", "2", "--json"))
    alias = document["alias"]
    assert (document["kind"], document["status"]) == ("open", "succeeded")
    assert document["opened"]["rows"] == {"author": 2, "book": 3}
    assert [each["alias"] for each in json.loads(run("openbackup", "--list", "--json"))] == [alias]
    assert alias in run("openbackup", "--list")
    assert json.loads(run("openbackup", "--list", "-d", "default", "--json")) == []

    assert [each["alias"] for each in json.loads(run("closebackup", alias, "--json"))] == [alias]
    assert books.beside() == []
    assert run("openbackup", "--list") == "No backup is open.\n"


def test_lines_say_what_was_opened_and_how_it_is_closed(books, backup):
    said = run("openbackup", backup)
    [opened] = api.list_opened_backups()
    assert f"as “{opened.alias}”" in said
    assert "2 tables, 5 rows" in said
    assert f"closebackup {opened.alias}" in said
    assert f"Closed {opened.alias}" in run("closebackup", "--all")


def test_shell_reads_and_is_closed_afterwards(books, backup, monkeypatch):
    seen = []

    def shell(self: Any, parameters: list[str]) -> None:
        seen.append((self.connection.alias, parameters, books.beside()))

    monkeypatch.setattr("django.db.backends.sqlite3.client.DatabaseClient.runshell", shell)
    run("openbackup", "-d", ALIAS, "--shell")
    [(alias, parameters, beside)] = seen
    assert alias.startswith("backup_")
    assert parameters == ["-readonly"]
    assert len(beside) == 1
    assert books.beside() == []


MISTAKES = (
    (["openbackup", "nope"], 1, "There is no backup “nope”"),
    (["openbackup", "-d", "nope"], 2, "There is no database “nope”"),
    (["openbackup", "-d", "default"], 1, "There is no backup of “default”"),
    (["openbackup", "-d", ALIAS, "--hours", "0"], 2, "not a number of hours"),
    (["openbackup", "-d", ALIAS, "--hours", "nan"], 2, "not a number of hours"),
    (["openbackup", "-d", ALIAS, "--hours", "1e9"], 2, "above 0 and at most 876000"),
    (["openbackup", "--list", "--shell"], 2, "can't be used together"),
    (["openbackup", "--json", "--shell"], 2, "can't be used together"),
    (["openbackup", "BACKUP", "-d", "default"], 2, "is a backup of “books”, not of “default”"),
    (["closebackup"], 2, "Name what to close"),
    (["closebackup", "backup_12345678", "--all"], 2, "Name what to close"),
    (["closebackup", "backup_12345678"], 1, "There is no opened backup “backup_12345678”"),
)
"""Arguments, where ``BACKUP`` is a backup that is there, the exit code, and what is said."""


def test_mistakes_have_their_exit_code_and_change_nothing(books, backup):
    for arguments, code, words in MISTAKES:
        with pytest.raises(CommandError, match=words) as caught:
            run(*(backup if each == "BACKUP" else each for each in arguments))
        assert caught.value.returncode == code, arguments
        assert "Hint: " in str(caught.value), arguments
        assert books.beside() == [], arguments


def test_one_misspelt_id_closes_nothing(books, backup):
    opened = api.open_backup(database=ALIAS)
    with pytest.raises(CommandError):
        run("closebackup", opened.alias, "backup_00000000")
    assert api.list_opened_backups() == [opened]
    run("closebackup", "--all")


def test_another_reader_is_exit_code_3(books, backup):
    reading = BackupRun(kind="open", database=ALIAS, status="queued")
    reading.lock = reading.lock_name
    reading.save()
    with pytest.raises(CommandError, match="locked by") as caught:
        run("openbackup", "-d", ALIAS)
    assert caught.value.returncode == 3
