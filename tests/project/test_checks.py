"""What ``manage.py check`` says of a site: warnings with ids, from settings and one local file alone."""

import os

import pytest
from django.core.checks import run_checks
from django.db import connections

from django_rclone_admin.core import config_file
from django_rclone_admin.models import Backup


def ids() -> list[str]:
    found = [each.id for each in run_checks(tags=["django_rclone_admin"]) if each.id]
    return [each.removeprefix("django_rclone_admin.") for each in found]


@pytest.fixture
def site(settings, tmp_path, rclone_binary, monkeypatch):
    """A healthy site, with a home of its own."""
    for name in list(os.environ):
        if name.startswith("RCLONE_") or name == "XDG_CONFIG_HOME":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    def configure(**values):
        settings.DJANGO_RCLONE = {"REMOTE": str(tmp_path / "r"), "RCLONE_BINARY": rclone_binary, **values}
        return ids()

    configure.home = tmp_path
    configure.add = lambda alias, entry: monkeypatch.setitem(connections.settings, alias, entry)
    return configure


def test_healthy_site_has_no_warning(site):
    assert site() == []


def test_missing_rclone_is_a_warning(site):
    assert site(RCLONE_BINARY="/nowhere/rclone") == ["W001"]


@pytest.mark.parametrize("remote", ["vault:x", "vault:", "vault,chunk_size=5M:x", "my vault:x"])
def test_remote_that_rclone_does_not_know_is_a_warning(site, remote):
    assert site(REMOTE=remote) == ["W002"]


@pytest.mark.parametrize(
    "values",
    [
        {"REMOTE": ":memory:x"},
        {"REMOTE": ":sftp,host=a:b"},
        {"REMOTE": "/srv/a:b"},
        {"REMOTE": "vault:x", "RCLONE_ENV": {"RCLONE_CONFIG_VAULT_TYPE": "memory"}},
        {"REMOTE": "my-vault:x", "RCLONE_ENV": {"RCLONE_CONFIG_MY_VAULT_TYPE": "memory"}},
        {"REMOTE": "vault:x", "RCLONE_FLAGS": ["--config=/elsewhere"]},
    ],
    ids=lambda values: values["REMOTE"],
)
def test_remote_that_may_be_known_is_none(site, values):
    assert site(**values) == []


@pytest.mark.parametrize("where", [".config/rclone/rclone.conf", ".rclone.conf", "other.conf"])
def test_remote_in_the_configuration_file_is_known(site, where):
    file = site.home / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[other]\ntype = memory\n\n [vault] \ntype = memory\n")
    config = {"RCLONE_CONFIG": str(file)} if where == "other.conf" else {}
    assert site(REMOTE="vault:x", **config) == []
    assert site(REMOTE="vaults:x", **config) == ["W002"]
    file.write_text("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nabc")
    assert site(REMOTE="vaults:x", **config) == []


@pytest.mark.parametrize("remote", ["./relative:folder", "../x", "folder", "~/backups"])
def test_remote_that_depends_on_the_current_folder_is_a_warning(site, remote):
    assert site(REMOTE=remote) == ["W006"]


@pytest.mark.parametrize("key", ["MEDIA_ROOT", "STATIC_ROOT"])
def test_remote_that_a_web_server_publishes_is_a_warning(site, settings, key):
    setattr(settings, key, site.home / "public")
    assert site(REMOTE=str(site.home / "public" / "backups")) == ["W009"]
    assert site(REMOTE=site.home / "public") == ["W009"]
    assert site(REMOTE=str(site.home / "public-not")) == []
    assert site(REMOTE=str(site.home)) == []


@pytest.mark.parametrize("program", ["folder", "text"])
def test_rclone_that_is_no_program_is_a_warning(site, program):
    (site.home / "folder").mkdir()
    (site.home / "text").write_text("x")
    assert site(RCLONE_BINARY=str(site.home / program)) == ["W001"]


def test_model_without_a_table_is_no_matter_of_the_database():
    """MySQL would warn of the length of its key at each ``migrate``."""
    connection = connections["default"]

    class Complains:
        def check_field(self, field, **kwargs):
            return [Warning(str(field))]

    original, connection.validation = connection.validation, Complains()
    try:
        assert Backup.check(databases=["default"]) == []
    finally:
        connection.validation = original


def test_database_without_a_connector_is_a_warning(site):
    site.add("odd", {"ENGINE": "django.db.backends.dummy"})
    found = site(CONNECTOR_MAPPING={})
    assert found == ["W003"]
    assert site(CONNECTORS={"odd": "django_rclone_admin.connectors.mongodb.MongoDumpConnector"}) == []
    assert site(DATABASES=["default"]) == []


def test_alias_that_does_not_exist_is_a_warning(site):
    assert site(DATABASES=["default", "defalt"]) == ["W004"]


def test_database_called_media_is_refused(site):
    site.add("media", connections.settings["default"])
    assert site() == ["E002"]


def test_remote_name_is_what_rclone_takes_for_it():
    names = {
        "s3:bucket/x": "s3",
        "a b:": "a b",
        ":sftp,host=x:y": None,
        "/srv/x": None,
        "dir/a:b": None,
        "x": None,
    }
    assert {each: config_file.remote_name(each) for each in names} == names


def test_mail_to_nobody_is_a_warning(site, settings):
    settings.ADMINS = []
    assert site(NOTIFY={"email": True}) == ["W005"]
    assert site(NOTIFY={"email": ["ann@example.com"]}) == []
    settings.ADMINS = [("Ann", "ann@example.com")]
    assert site(NOTIFY={"email": True}) == []
