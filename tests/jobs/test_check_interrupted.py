"""A check that is cancelled, or whose server has no room, says so: it blames no backup, and nothing of it stays."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from django_rclone_admin.connectors.examiners import TROUBLE
from tests.jobs.test_cancel import cancel, cancel_in_hanging
from tests.jobs.test_opening_kills import CHECK, beside
from tests.site.shop.checks import LINGERS
from tests.support import programs
from tests.support.commands import document
from tests.support.faults import add_noise
from tests.support.mysql import MariaDBServer, system_server
from tests.support.mysql_shop import use_programs
from tests.support.postgresql import PostgreSQLServer, system_binaries
from tests.support.programs import DOWNLOAD
from tests.support.site import Shop
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.tables import HISTORY, OPENED
from tests.support.waiting import wait_for

ENGINES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mysql", marks=pytest.mark.mysql),
]


def assert_nothing_stays(shop: Shop, request: pytest.FixtureRequest, path: str) -> None:
    """Fail unless the backup is as good as before, and nothing of a check is left on the server or in the history."""
    assert beside(shop, request) == []
    assert shop.execute(f"SELECT id FROM {OPENED}") == []
    assert shop.execute(f"SELECT run.id FROM {HISTORY} AS run WHERE run.lock IS NOT NULL") == []
    assert {path, f"{path}.manifest.json"} <= {*shop.remote.names()}
    assert [name for name in shop.names() if ".check." in name and ".failed." in name] == []
    assert list(shop.temporary.iterdir()) == []


@pytest.mark.soak  # test_run_in_which_rclone_hangs cancels a download, and the next tests cancel checks
@pytest.mark.backed_up
@pytest.mark.parametrize("shop", ENGINES[1:2], indirect=True)
def test_cancelled_while_it_downloads(shop, request, tmp_path, rclone_binary):
    cancel_in_hanging(shop, tmp_path / "bin", rclone_binary, CHECK, DOWNLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    assert_nothing_stays(shop, request, shop.backup)
    assert [name for name in shop.names() if ".check." in name] == []


@pytest.mark.backed_up
@pytest.mark.parametrize("shop", ENGINES, indirect=True)
def test_cancelled_while_it_waits_for_a_query(shop, request):
    shop.settings["DJANGO_RCLONE"]["VERIFY_CHECKS"] = {"default": ["tests.site.shop.checks.linger"]}
    process = shop.start(*CHECK)
    wait_for((shop.home / LINGERS).exists)
    cancel(shop, process)
    assert_nothing_stays(shop, request, shop.backup)
    assert [name for name in shop.names() if ".check." in name] == []


DOZE = (
    """
    CREATE FUNCTION doze() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
        IF current_database() LIKE '%\\_dra\\_open\\_%' THEN PERFORM pg_sleep(600); END IF;
        RETURN 1;
    END $$
    """,
    "CREATE INDEX dozes ON shop_order ((doze() + id))",
)
"""An index that takes its time where a backup is opened."""


@pytest.mark.postgresql
def test_cancelled_while_the_server_builds_an_index(make_shop, request):
    shop = make_shop("postgresql")
    for statement in DOZE:
        shop.execute(statement)
    path = document(shop, "dbbackup")["path"]
    process = shop.start(*CHECK)
    active = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CREATE INDEX dozes%'"
    wait_for(lambda: shop.execute(active))
    cancel(shop, process)
    assert_nothing_stays(shop, request, path)


@pytest.mark.mysql
def test_cancelled_while_the_client_loads(make_shop, request, tmp_path, mysql_server):
    shop = make_shop("mysql", backed_up=True)
    held = programs.hold_input(
        tmp_path / "bin", "mariadb", mysql_server.bin_dir / "mariadb", after=9000, when="--binary-mode"
    )
    use_programs(shop, held.program)
    process = shop.start(*CHECK)
    held.wait()
    cancel(shop, process)
    assert_nothing_stays(shop, request, shop.backup)


def run(program: Path, entry: dict[str, Any], *arguments: str, **options: Any) -> bytes:
    """Run one of PostgreSQL's programs on a database, and return its output."""
    names = {"NAME": "PGDATABASE", **{name: f"PG{name}" for name in ("HOST", "PORT", "USER", "PASSWORD")}}
    env = {variable: str(entry[name]) for name, variable in names.items()}
    return subprocess.run(
        [program, *arguments], env=os.environ | env, stdout=subprocess.PIPE, check=True, **options
    ).stdout


@pytest.mark.postgresql
def test_disk_of_postgresql_that_fills_up(make_shop, request, tmp_path, rclone_binary):
    """On a server of its own: a disk that is full keeps the whole server from its checkpoints."""
    binaries = system_binaries()
    assert binaries
    shop = make_shop("postgresql")
    add_noise(shop, 40_000)
    before = shop.settings["DATABASES"]["default"]
    with small_disk(64) as disk, PostgreSQLServer.started(binaries) as server:
        space = disk.folder / "space"
        space.mkdir()
        os.chown(space, server.folder.stat().st_uid, -1)
        server.administer(f"CREATE TABLESPACE {{}} OWNER {{}} LOCATION '{space}'", shop.name, server.user)
        shop.settings["DATABASES"]["default"] = there = server.create_database(shop.name)
        server.administer("ALTER DATABASE {} SET TABLESPACE {}", shop.name, shop.name)
        dumped = run(binaries / "pg_dump", before)
        run(binaries / "psql", there, "--set=ON_ERROR_STOP=1", input=dumped)
        fill_up_during_check(shop, request, disk, tmp_path, rclone_binary)


@pytest.mark.mysql
@pytest.mark.soak  # a server of its own
def test_disk_of_mariadb_that_fills_up(make_shop, request, tmp_path, rclone_binary, monkeypatch):
    program = system_server()
    assert program
    shop = make_shop("mysql")
    add_noise(shop, 40_000)
    with small_disk(200) as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk.folder))
        with MariaDBServer.started(program, on_disk=True) as server:
            entry = server.create_database(shop.name)
            document(shop, "dbbackup")
            shop.settings["DATABASES"]["default"] = entry
            assert shop.manage("dbrestore", "--noinput", "--no-safety-backup").code == 0
            fill_up_during_check(shop, request, disk, tmp_path, rclone_binary)
            assert document(shop, *CHECK)[0]["outcome"] == "passed"


@pytest.mark.parametrize(
    "said",
    [
        'could not extend file "base/1/2": No space left on device',
        "FATAL:  could not write init file",
        "could not write block 7 of temporary file: No space left on device",
        """ERROR 1180 (HY000) at line 332: Got error 1 "Operation not permitted" during COMMIT""",
        "ERROR 1114 (HY000) at line 9: The table 'noise' is full",
        """ERROR 1030 (HY000): Got error 168 "Unknown (generic) error from engine" from storage engine InnoDB""",
        """ERROR 1005 (HY000): Can't create table `a`.`b` (errno: 28 "No space left on device")""",
    ],
)
def test_what_servers_say_of_a_full_disk_is_not_about_the_backup(said):
    assert TROUBLE.search(said)


def fill_up_during_check(
    shop: Shop, request: pytest.FixtureRequest, disk: SmallDisk, folder: Path, rclone: str
) -> None:
    path = document(shop, "dbbackup")["path"]
    held = programs.hold_output(folder / "bin", "rclone", rclone, after=2_000_000, when=DOWNLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = shop.start(*CHECK, "--json")
    held.wait()
    disk.fill(but=1 << 20)
    held.release()
    result = shop.finish(process)
    (disk.folder / "filler").unlink()
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone
    [found] = result.json
    assert (result.code, found["level"], found["outcome"]) == (1, "restore", "unchecked")
    assert TROUBLE.search(found["reason"])
    [(log,)] = shop.execute(f"SELECT log FROM {HISTORY} WHERE kind = 'verify'")
    assert "Restoring it again" not in log
    assert_nothing_stays(shop, request, path)
