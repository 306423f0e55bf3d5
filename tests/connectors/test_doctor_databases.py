"""The doctor on real servers: green on a healthy site, and each fault of programs, rights and contents by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.backups import quicken_looks
from tests.support.clocks import host
from tests.support.servers import free_port, own_settings
from tests.support.site import Shop


def examined(shop: Shop, **more: Any) -> dict[str, dict[str, Any]]:
    """Examine a shop, and return what it says of its databases by id and alias."""
    result = shop.manage("rclonedoctor", "--json", **more)
    assert "Traceback" not in result.err
    return {f"{each['id']} {each['subject']}".strip(): each for each in result.json["checks"]}


def bad(lines: dict[str, dict[str, Any]]) -> dict[str, str]:
    found = {
        name: each["outcome"] for name, each in lines.items() if each["outcome"] in ("failed", "warning")
    }
    # True of these shops: a plain folder, and the cache of a process.
    assert found.pop("remote.encryption", "warning") == "warning"
    assert found.pop("site.cache") == "warning"
    return found


def without_remote(shop: Shop) -> None:
    """Spare the time for the remote."""
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(shop.home / "no rclone")


def of_databases(lines: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: each for name, each in bad(lines).items() if name.startswith("database.")}


@pytest.mark.postgresql
def test_postgresql_is_green_and_its_faults_are_found(make_shop, postgresql_server):
    shop: Shop = make_shop("postgresql")
    quicken_looks(shop)
    assert bad(examined(shop)) == {}
    without_remote(shop)
    entry = shop.settings["DATABASES"]["default"]

    empty = shop.home / "bin"
    empty.mkdir()
    shop.environment["PATH"], path = str(empty), shop.environment["PATH"]
    assert of_databases(examined(shop)) == {
        f"database.programs {alias}": "failed" for alias in ("default", "analytics")
    }
    shop.environment["PATH"] = path

    other = f"{shop.name}_owner"
    postgresql_server.create_role(other, postgresql_server.password)
    shop.execute("CREATE TABLE notes (id int)")
    postgresql_server.administer("ALTER DATABASE {} OWNER TO {}", shop.name, other)
    try:
        assert of_databases(examined(shop)) == {"database.rights default": "warning"}
        shop.settings["DJANGO_RCLONE"]["RESTORE_STRATEGY"] = "swap"
        assert of_databases(examined(shop)) == {"database.rights default": "failed"}
    finally:
        postgresql_server.administer("ALTER DATABASE {} OWNER TO {}", shop.name, postgresql_server.user)
        postgresql_server.administer("DROP ROLE {}", other)
    del shop.settings["DJANGO_RCLONE"]["RESTORE_STRATEGY"]

    shop.execute(
        "DO $$ BEGIN FOR i IN 1..6000 LOOP EXECUTE format('CREATE FUNCTION f_%s() RETURNS int LANGUAGE sql AS ''SELECT 1''', i);"
        " END LOOP; END $$"
    )
    found = examined(shop)
    assert of_databases(found) == {"database.contents default": "failed"}
    assert "max_locks_per_transaction" in found["database.contents default"]["sentence"]

    entry["PORT"], port = free_port(), entry["PORT"]
    found = examined(shop)
    assert found["database.reached default"]["outcome"] == "failed"
    assert found["database.reached analytics"]["outcome"] == "passed"
    assert found["database.rights default"]["outcome"] == "not checked"
    assert postgresql_server.password not in json.dumps(found)
    entry["PORT"] = port


@pytest.mark.postgresql
def test_older_programs_than_the_server_are_found(make_shop, postgresql_server):
    shop: Shop = make_shop("postgresql18")
    without_remote(shop)
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {
        "default": {"BIN_DIR": str(postgresql_server.bin_dir)}
    }
    assert of_databases(examined(shop)) == {"database.programs default": "failed"}


@pytest.mark.mysql
def test_mariadb_is_green_and_its_faults_are_found(make_shop, mysql_server):
    shop: Shop = make_shop("mysql")
    without_remote(shop)
    lines = examined(shop)
    assert of_databases(lines) == {}
    assert {
        lines[f"database.{name} default"]["outcome"] for name in ("reached", "programs", "rights", "contents")
    } == {"passed"}
    assert mysql_server.schemas(f"{shop.name}_dra") == []

    empty = shop.home / "bin"
    empty.mkdir()
    shop.environment["PATH"], path = str(empty), shop.environment["PATH"]
    assert of_databases(examined(shop)) == {
        f"database.programs {alias}": "failed" for alias in ("default", "analytics")
    }
    shop.environment["PATH"] = path

    # A value may come in while the limit is higher than later.
    with own_settings(mysql_server.folder):
        mysql_server.administer("SET GLOBAL max_allowed_packet = 67108864")
        try:
            shop.execute("CREATE TABLE scans (id int PRIMARY KEY, page longblob)")
            shop.execute("INSERT INTO scans VALUES (1, REPEAT('x', 20000000))")
            shop.execute("ANALYZE TABLE scans")
        finally:
            mysql_server.administer("SET GLOBAL max_allowed_packet = 16777216")
    assert of_databases(examined(shop)) == {"database.contents default": "failed"}
    shop.execute("DROP TABLE scans")

    shop.settings["DATABASES"]["default"] |= mysql_server.create_account(f"ALL ON `{shop.name}`.*")
    found = examined(shop)
    assert of_databases(found) == {"database.rights default": "failed"}
    assert "GRANT ALL ON" in found["database.rights default"]["hint"]
    shop.settings["DJANGO_RCLONE"]["RESTORE_STRATEGY"] = {"default": "in_place"}
    assert of_databases(examined(shop)) == {"database.rights default": "warning"}


@pytest.mark.parametrize("remote", ["webdav"], indirect=True)
def test_wrong_clock_is_found(shop):
    shop.settings["MEDIA_ROOT"] = ""
    found = examined(shop, env=host("-30m"), new_python=True)
    assert found["remote.clock"]["outcome"] == "failed"
    assert (
        "minutes" in found["remote.clock"]["sentence"]
    )  # that a right one passes is in tests.api.test_doctor


def test_media_file_that_can_not_be_read_is_found(shop, tmp_path):
    media = shop.home / "uploads"
    shop.settings["MEDIA_ROOT"] = str(media)
    media.mkdir()
    (media / "folder").mkdir()
    (media / "folder" / "closed").write_bytes(b"one")
    (media / "folder" / "closed").chmod(0)
    without_remote(shop)
    rights = "-dac_override,-dac_read_search"
    found = examined(shop, before=("setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"))
    assert found["media.read"]["outcome"] == "failed"
    assert str(Path("folder/closed")) in found["media.read"]["sentence"]


def test_lines_for_people_name_check_and_hint(shop):
    without_remote(shop)
    result = shop.manage("rclonedoctor")
    assert result.code == 2
    assert "FAILED   rclone.found: The program rclone was not found.\n         Hint: " in result.out
    assert result.err == ""
    quiet = shop.manage("rclonedoctor", "--verbosity=0")
    assert "rclone.found" in quiet.out
    assert "passed" not in quiet.out
    assert " ok " not in quiet.out
    broken = dict(shop.settings["DJANGO_RCLONE"], REMOT="x")
    shop.settings["DJANGO_RCLONE"] = broken
    failed = shop.manage("rclonedoctor", "--json")
    assert (failed.code, set(failed.json)) == (2, {"error", "hint"})
