"""Spatial databases: real PostGIS behind the shop, and real SpatiaLite files, below GeoDjango."""

import hashlib
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from django_rclone_admin.connectors.registry import MAPPING
from django_rclone_admin.connectors.sqlite.connector import SqliteBackupConnector, SqliteConnector
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSink, FileSource
from django_rclone_admin.core.transfer import transfer
from tests.support.commands import done, saved
from tests.support.faults import assert_failed, nothing_changes
from tests.support.postgresql import PostgreSQLServer, connect
from tests.support.servers import missing
from tests.support.site import Shop
from tests.support.sqlite import PYTHON
from tests.support.swaps import SWAP, beside, history

GIS = "django_rclone_admin.connectors.postgis.PgDumpGisConnector"
IN_PLACE = ("dbrestore", "--noinput", "--no-safety-backup", "--strategy=in_place")
OWN_SYSTEM = (
    "INSERT INTO spatial_ref_sys VALUES (990001, 'shop', 1, 'LOCAL_CS[\"shop\"]', '+proj=longlat +no_defs')"
)
NEAREST = (
    "SELECT name, ST_AsText(place), ST_Distance(place::geography, ST_MakePoint(13.4, 52.5)::geography)::int"
    " FROM branch ORDER BY place <-> ST_SetSRID(ST_MakePoint(13.4, 52.5), 4326), name LIMIT 3"
)

both_strategies = pytest.mark.parametrize("restore", [IN_PLACE, SWAP], ids=["in_place", "swap"])


@pytest.mark.parametrize("package", ["django.contrib.gis.db", "django_prometheus.db"])
def test_engines_of_geodjango_have_their_connectors(package):
    assert MAPPING[f"{package}.backends.postgis"] == GIS
    assert MAPPING[f"{package}.backends.spatialite"].endswith(".SqliteBackupConnector")


# -- PostGIS ------------------------------------------------------------------------------------------------------------


def open_branches(shop: Shop) -> None:
    """Put branches on the map. Their database has the extension, which the role of the shop may not create."""
    entry = shop.settings["DATABASES"]["default"]
    with closing(connect(entry | {"USER": PostgreSQLServer.superuser})) as admin:
        if not admin.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'").fetchone():
            missing("PostGIS is not installed")
        admin.execute("CREATE EXTENSION postgis")
    shop.execute("CREATE TABLE branch (name text PRIMARY KEY, place geometry(Point, 4326) NOT NULL)")
    shop.execute("CREATE INDEX branch_place ON branch USING gist (place)")
    shop.execute(
        "INSERT INTO branch SELECT 'branch ' || n, ST_SetSRID(ST_MakePoint(n % 180, n % 90), 4326)"
        " FROM generate_series(1, 1000) AS n"
    )


@pytest.fixture
def shop(make_shop) -> Shop:
    return make_shop("postgresql", prepare=open_branches, CONNECTORS={"default": GIS})


@pytest.fixture
def administered(shop, postgresql_server) -> Shop:
    """The shop, where the superuser is known."""
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {
        "default": {
            "ADMIN_USER": postgresql_server.superuser,
            "ADMIN_PASSWORD": postgresql_server.password,
        }
    }
    return shop


@pytest.mark.in_turns("restore")
@both_strategies
def test_geometries_indexes_and_own_systems_come_back(administered, postgresql_server, restore):
    shop = administered
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as admin:
        admin.execute(OWN_SYSTEM)
    wanted, nearest = shop.rows(), shop.execute(NEAREST)
    dump = saved(shop)
    shop.execute("UPDATE branch SET place = ST_SetSRID(ST_MakePoint(0, 0), 4326)")
    shop.execute("CREATE TABLE newer AS SELECT * FROM branch")
    done(shop, *restore, dump)
    assert shop.rows() == wanted
    assert shop.execute(NEAREST) == nearest
    if restore is SWAP:
        assert len(beside(shop)) == 1


def test_restore_into_a_new_database_creates_the_extension_as_the_administrator(
    administered, postgresql_server
):
    shop = administered
    wanted, dump = shop.rows(), saved(shop)
    shop.settings["DATABASES"]["default"] = postgresql_server.create_database(f"{shop.name}_empty")
    done(shop, *IN_PLACE, dump)
    assert shop.rows() == wanted


def test_wrong_administrator_changes_nothing(administered, postgresql_server):
    shop = administered
    dump = saved(shop)
    options = shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"]["default"]
    options["ADMIN_PASSWORD"] = "hidden-from-you"
    with nothing_changes(shop):
        result = shop.manage(*SWAP, dump)
        assert_failed(
            result, "The extensions of the database could not be created: .*password authentication"
        )
    assert "hidden-from-you" not in result.out + result.err
    assert beside(shop) == []


@pytest.mark.soak
def test_ordinary_role_restores_in_place_where_the_extension_is(shop):
    wanted, dump = shop.rows(), saved(shop)
    shop.execute("DELETE FROM branch")
    done(shop, *SWAP, dump)
    assert shop.rows() == wanted
    assert "an extension that only a superuser can create" in history(shop)[-1]["log"]


# -- SpatiaLite ---------------------------------------------------------------------------------------------------------

SPATIALITE = """
import sqlite3, sys
live = sqlite3.connect(sys.argv[1], isolation_level=None)
live.enable_load_extension(True)
live.load_extension("mod_spatialite")
rows = []
try:
    for statement in sys.argv[2:]:
        rows = live.execute(statement).fetchall()
except sqlite3.IntegrityError as error:
    rows = error
print(rows)
"""
HISTORY = "django_rclone_admin_backuprun"
MAP = (
    "SELECT InitSpatialMetaData(1)",
    "CREATE TABLE branch (id INTEGER PRIMARY KEY, name TEXT)",
    "SELECT AddGeometryColumn('branch', 'place', 4326, 'POINT', 'XY')",
    "SELECT CreateSpatialIndex('branch', 'place')",
    f"CREATE TABLE {HISTORY} (id INTEGER PRIMARY KEY, message TEXT)",
    f"INSERT INTO {HISTORY} VALUES (1, 'before')",
    """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 500)
    INSERT INTO branch SELECT n, 'branch ' || n, MakePoint(n % 180, n % 90, 4326) FROM numbers
    """,
)
LOOK = (
    "SELECT count(*), sum(id), max(AsText(place)), CheckSpatialIndex('branch', 'place'), (SELECT count(*) FROM"
    " SpatialIndex WHERE f_table_name = 'branch' AND search_frame = BuildMbr(0, 0, 10, 10, 4326)) FROM branch"
)


def spatialite(path: Path, *statements: str) -> str:
    """Execute statements with SpatiaLite loaded."""
    done = subprocess.run(
        [PYTHON, "-c", SPATIALITE, str(path), *statements], capture_output=True, text=True, timeout=60
    )
    if done.returncode == 0:
        return done.stdout
    return missing(f"SpatiaLite can't be used: {done.stderr.splitlines()[-1]}")


@pytest.mark.in_turns("kind")
@pytest.mark.parametrize("kind", [SqliteBackupConnector, SqliteConnector], ids=["copy", "text"])
def test_spatialite_comes_back_with_its_indexes_and_triggers(tmp_path, kind):
    """We load no SpatiaLite ourselves: its functions and virtual tables are unknown to the connector."""
    path = tmp_path / "map.sqlite3"
    wanted = spatialite(path, *MAP, LOOK)
    connector = kind("default", {"NAME": str(path)}, history_tables=(HISTORY,))
    transfer(connector.source(), FileSink(tmp_path / "backup"))
    changes = (
        "DELETE FROM branch WHERE id > 10",
        f"UPDATE {HISTORY} SET message = 'after'",
        "CREATE TABLE x(y)",
    )
    assert spatialite(path, *changes, LOOK) != wanted
    changed = hashlib.sha256(path.read_bytes()).digest()

    control = Control()
    transfer(FileSource(tmp_path / "backup"), lambda head: connector.sink(head, control, "in_place"))
    assert hashlib.sha256(path.read_bytes()).digest() != changed
    assert spatialite(path, LOOK) == wanted
    assert spatialite(path, f"SELECT message FROM {HISTORY}").strip() == "[('after',)]"
    # The triggers work: the index follows, and a geometry of the wrong kind is refused.
    assert spatialite(path, "INSERT INTO branch VALUES (501, 'new', MakePoint(5, 5, 4326))", LOOK) != wanted
    assert "violates Geometry constraint" in spatialite(
        path, "UPDATE branch SET place = MakePoint(1, 1, 3857)"
    )
