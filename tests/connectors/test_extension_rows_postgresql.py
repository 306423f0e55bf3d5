"""Rows that a site has added to tables of extensions are replaced by a restore in place where the role may, else they stay."""

from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.commands import dumped, restore_saved
from tests.support.servers import missing
from tests.support.site import Shop

pytestmark = pytest.mark.postgresql

TOOL = """
CREATE TABLE plan (id int PRIMARY KEY, name text, is_own boolean DEFAULT true);
CREATE TABLE step (id serial PRIMARY KEY, plan_id int REFERENCES plan);
INSERT INTO plan VALUES (1, 'built in', false);
SELECT pg_catalog.pg_extension_config_dump('step', '');
SELECT pg_catalog.pg_extension_config_dump('step_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('plan', 'WHERE is_own');
"""
"""The script of an extension with two tables of which one refers to the other, as PostGIS topology, cron and partman have them."""
RIGHTS = {
    "all": "GRANT ALL ON ALL TABLES IN SCHEMA tools TO shop; GRANT ALL ON ALL SEQUENCES IN SCHEMA tools TO shop",
    "to read": "GRANT SELECT ON ALL TABLES IN SCHEMA tools TO shop; GRANT SELECT ON ALL SEQUENCES IN SCHEMA tools TO shop",
}


@pytest.fixture
def tool():
    """An extension for as long as a test lasts, with a name of its own: all workers share the server and its folder."""
    folder = next(iter(Path("/usr/share/postgresql").glob("*/extension")), None)
    if folder is None:
        missing("the folder of PostgreSQL's extensions was not found")
    name = f"dra_test_{uuid4().hex[:12]}"
    control, script = folder / f"{name}.control", folder / f"{name}--1.sql"
    try:
        control.write_text("default_version = '1'\nrelocatable = false\nschema = tools\n")
        script.write_text(TOOL)
    except PermissionError:
        missing("the folder of PostgreSQL's extensions can't be written")
    yield name
    control.unlink()
    script.unlink()


@pytest.mark.parametrize("rights", RIGHTS)
def test_rows_of_an_extension(make_shop, postgresql_server, tool, rights):
    shop: Shop = make_shop("postgresql")
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as connection:
        connection.execute("CREATE SCHEMA tools")
        connection.execute(f"CREATE EXTENSION {tool}")
        connection.execute("INSERT INTO tools.plan VALUES (2, 'own')")
        connection.execute("INSERT INTO tools.step (plan_id) VALUES (2), (1)")
        connection.execute("GRANT USAGE ON SCHEMA tools TO shop")
        connection.execute(RIGHTS[rights])
    wanted = shop.rows()
    warnings = dumped(shop)["warnings"]
    assert any("needs INSERT and DELETE" in each for each in warnings) is (rights != "all")
    with closing(postgresql_server.superuser_connection(name)) as connection:
        connection.execute("INSERT INTO tools.plan VALUES (3, 'newer')")
        connection.execute("INSERT INTO tools.step (plan_id) VALUES (3)")
    changed = shop.rows()
    restore_saved(shop, "--strategy=in_place")
    assert shop.rows() == (wanted if rights == "all" else changed)
