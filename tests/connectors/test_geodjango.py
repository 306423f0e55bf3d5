"""Models of GeoDjango, seen through its ORM before and after a restore: PostGIS and SpatiaLite with the real libraries."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import django
import pytest

from django_rclone_admin.connectors.sqlite.connector import SqliteBackupConnector, SqliteConnector
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSink, FileSource
from django_rclone_admin.core.transfer import transfer
from tests.support.servers import missing
from tests.support.sqlite import PYTHON

SITE = """
import json, sys
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": json.loads(sys.argv[1])}, SPATIALITE_LIBRARY_PATH="mod_spatialite",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()
from django.contrib.gis.db import models
from django.contrib.gis.geos import MultiPolygon, Point, Polygon
from django.db import connection

class Branch(models.Model):
    name = models.CharField(max_length=50)
    place = models.PointField(srid=4326)
    area = models.MultiPolygonField(srid=3857, null=True)

    class Meta:
        app_label = "map"

box = Polygon.from_bbox((0, 0, 30, 30))
box.srid = 4326

def look():
    inside = Branch.objects.filter(place__within=box)
    every = Branch.objects.order_by("pk")
    return [inside.count(), [(each.pk, each.name, each.place.ewkt, each.area and each.area.ewkt) for each in every]]

found = [] if sys.argv[2] == "make" else [look()]
if sys.argv[2] == "make":
    connection.prepare_database()
    with connection.schema_editor() as editor:
        editor.create_model(Branch)
    square = MultiPolygon(Polygon.from_bbox((0, 0, 1000, 1000)), srid=3857)
    Branch.objects.bulk_create(
        Branch(name=f"branch {n}", place=Point(n % 180, n % 90, srid=4326), area=square if n % 2 else None)
        for n in range(300)
    )
elif sys.argv[2] == "change":
    Branch.objects.filter(name__endswith="7").update(place=Point(0, 0, srid=4326), area=None)
    Branch.objects.filter(pk__gt=200).delete()
elif sys.argv[2] == "add":
    Branch.objects.create(name="new", place=Point(1, 1, srid=4326))
print(json.dumps([*found, look()]))
"""


def geodjango(entry, action):
    """Do something with the models in a process of their own, and return what is there before it and afterwards."""
    done = subprocess.run(
        # Django itself runs with any Python.
        [
            PYTHON if entry["ENGINE"].endswith("spatialite") else sys.executable,
            "-c",
            SITE,
            json.dumps(entry),
            action,
        ],
        env=os.environ | {"PYTHONPATH": str(Path(django.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 0:
        return json.loads(done.stdout)
    if (
        "extension loading" in done.stderr
        or "Could not find the G" in done.stderr
        or "SpatiaLite library" in done.stderr
    ):
        missing(f"GeoDjango can't be used: {done.stderr.splitlines()[-1]}")
    raise AssertionError(done.stderr)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.parametrize("strategy", ["in_place", "swap"])
def test_postgis(make_shop, postgresql_server, strategy):
    shop = make_shop("postgresql")
    entry = shop.settings["DATABASES"]["default"]
    entry["ENGINE"] = "django.contrib.gis.db.backends.postgis"
    with closing(postgresql_server.superuser_connection(entry["NAME"])) as admin:
        if not admin.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'").fetchone():
            missing("PostGIS is not installed")
        admin.execute("CREATE EXTENSION postgis")
    administrator = {"ADMIN_USER": postgresql_server.superuser, "ADMIN_PASSWORD": postgresql_server.password}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": administrator}
    [wanted] = geodjango(entry, "make")
    assert wanted[0] > 0
    assert shop.manage("dbbackup").code == 0
    assert geodjango(entry, "change")[1] != wanted
    result = shop.manage("dbrestore", "--noinput", "--no-safety-backup", f"--strategy={strategy}")
    assert result.code == 0, result.err
    restored, more = geodjango(entry, "add")
    assert restored == wanted
    assert len(more[1]) == len(wanted[1]) + 1


@pytest.mark.in_turns("connector")
@pytest.mark.slow
@pytest.mark.parametrize("connector", [SqliteBackupConnector, SqliteConnector])
def test_spatialite(tmp_path, connector):
    path = tmp_path / "map.sqlite3"
    entry = {"ENGINE": "django.contrib.gis.db.backends.spatialite", "NAME": str(path)}
    [wanted] = geodjango(entry, "make")
    assert wanted[0] > 0
    subject = connector("default", entry, history_tables=("django_rclone_admin_backuprun",))
    transfer(subject.source(), FileSink(tmp_path / "backup"))
    assert geodjango(entry, "change")[1] != wanted
    control = Control()
    transfer(FileSource(tmp_path / "backup"), lambda head: subject.sink(head, control, "in_place"))
    restored, more = geodjango(entry, "add")
    assert restored == wanted
    assert len(more[1]) == len(wanted[1]) + 1
