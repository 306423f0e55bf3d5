"""Media files are backed up and restored where the history can't be asked: in tests, and on sites without a database."""

import logging

import pytest
from django.core.management import call_command

from tests.support.commands import document, done


@pytest.fixture
def uploads(settings, tmp_path):
    file = tmp_path / "uploads" / "a.txt"
    file.parent.mkdir()
    file.write_text("hello")
    return file


def test_media_commands_in_a_test_that_may_not_use_the_database(backups, uploads, caplog):
    """pytest-django raises a RuntimeError of its own, as Django's SimpleTestCase raises an AssertionError."""
    caplog.set_level(logging.WARNING)
    call_command("mediabackup", verbosity=0)
    assert backups.remote.read("media/a.txt") == b"hello"
    assert "The run is not recorded" in caplog.text
    assert "Database access not allowed" in caplog.text


def test_media_commands_of_a_site_without_a_database(shop):
    file = shop.home / "media" / "a.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text("hello")
    shop.settings |= {"DATABASES": {}, "DATABASE_ROUTERS": []}
    assert "The run is not recorded" in shop.manage("mediabackup").err
    file.unlink()
    assert "Restored" in done(shop, "mediarestore", "--noinput")
    assert file.read_text() == "hello"
    assert len(document(shop, "listbackups", "--media")) == 1
