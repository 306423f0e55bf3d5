"""What PostgreSQL holds comes back as it was: every row and object, over TCP and sockets, across versions and roles."""

import re
import subprocess
from contextlib import closing
from typing import Any

import pytest

from tests.support.commands import saved
from tests.support.postgresql import PostgreSQLServer, connect
from tests.support.site import Shop
from tests.support.tables import HEALTH, HISTORY, OPENED

RESTORE = ("dbrestore", "--noinput", "--no-safety-backup")

EVERYTHING = r"""
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy; or "not"');
CREATE DOMAIN percent AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE pair AS (left_one int, right_one text);
CREATE SCHEMA "Odd schema";
CREATE FUNCTION "Odd schema".double(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN n * 2; -- COMMIT;
END $$;
CREATE TABLE "Odd schema"."odd ""name"" 東京" (id int GENERATED ALWAYS AS IDENTITY (START 40), "select" text, twice int GENERATED ALWAYS AS ("Odd schema".double(length("select"))) STORED);
INSERT INTO "Odd schema"."odd ""name"" 東京" ("select") VALUES ('Grüße, שלום 🦀'), (''), (NULL), (E'\\.\n\\N\tCOMMIT;\r\n\\restrict'), (E'\x01\x7f');
CREATE TABLE everything (
    id bigserial PRIMARY KEY, moods mood[], share percent, p pair, price numeric(20, 6), free_numeric numeric, small smallint,
    f4 real, f8 double precision, doc jsonb, raw_doc json, bytes bytea, texts text[], matrix int[][], at timestamptz, day date,
    t time, span interval, who inet, net cidr, mac macaddr, u uuid, bits bit varying, r int4range, mr nummultirange,
    ts tsvector, q tsquery, spot point, shape polygon, cash money, flag boolean, c char(5), x xid, search text COLLATE "C");
INSERT INTO everything (moods, share, p, price, free_numeric, f4, f8, doc, raw_doc, bytes, texts, matrix, at, day, t, span, who,
    net, mac, u, bits, r, mr, ts, q, spot, shape, cash, flag, c, x, search) VALUES
    (ARRAY['happy; or "not"', NULL]::mood[], 12.34, (1, 'a,"b)'), 0.000001, 'NaN', 'infinity', '-0', '{"a": [1, null, "\u00e9"], "n": 1e400}',
     '{"b": 1,   "a": 1, "a": 2}', '\x00ff0a0d5c2700', ARRAY['', NULL, 'NULL', 'a,"b"', E'\\'], '{{1,2},{3,NULL}}', 'infinity', '0044-03-15 BC',
     '23:59:60', '-1 year 2 mons 3 days 04:05:06.789', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', B'1010', '[1,5)', '{(,1],(2,)}', 'fat:2A cat:3', 'fat & (rat | cat)',
     '(1.5,-2)', '((0,0),(1,1),(1,0))', 1234.56, true, 'ab', '7', 'z'),
    ('{}', 0, NULL, 123456789012.345678, 1e-300, 3.4e38, 4.9e-324, 'null', 'null', '', '{}', '{}', '-infinity', 'infinity', '00:00', '0',
     '0.0.0.0', '::/0', 'ff:ff:ff:ff:ff:ff', '00000000-0000-0000-0000-000000000000', B'', 'empty', '{}', '', '', '(NaN,infinity)',
     '((0,0))', -0.01, false, '', '0', '');
INSERT INTO everything DEFAULT VALUES;
CREATE TABLE parent (id int PRIMARY KEY, self int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, name text UNIQUE CHECK (name <> ''));
CREATE TABLE child (parent_id int REFERENCES parent ON DELETE CASCADE, EXCLUDE USING gist (int4range(parent_id, parent_id, '[]') WITH &&));
INSERT INTO parent VALUES (1, 2, 'one'), (2, 1, 'two');
COMMIT;
INSERT INTO child VALUES (1);
ALTER TABLE parent ADD FOREIGN KEY (id) REFERENCES parent (id);
CREATE TABLE measured (day date NOT NULL, value int) PARTITION BY RANGE (day);
CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
CREATE INDEX ON measured (value);
INSERT INTO measured VALUES ('2026-05-05', 1), ('1999-01-01', 2);
CREATE TABLE heir (extra int) INHERITS (parent);
INSERT INTO heir VALUES (3, NULL, 'three', 9);
CREATE UNLOGGED TABLE fast (a int);
INSERT INTO fast VALUES (1);
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
CREATE SEQUENCE countdown INCREMENT -3 MINVALUE -1000 MAXVALUE 50 START 50 CYCLE;
SELECT nextval('countdown'), nextval('countdown');
CREATE SEQUENCE untouched START 77;
CREATE INDEX partial ON everything (day DESC NULLS LAST) INCLUDE (flag) WHERE flag;
CREATE INDEX by_expression ON everything (lower(search) text_pattern_ops);
CREATE INDEX in_json ON everything USING gin (doc jsonb_path_ops);
CREATE STATISTICS stats (dependencies) ON day, flag FROM everything;
CREATE VIEW "the view" WITH (security_barrier) AS SELECT id, moods FROM everything WHERE flag WITH CHECK OPTION;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM everything;
CREATE UNIQUE INDEX on_counted ON counted (n);
CREATE MATERIALIZED VIEW empty_one AS SELECT 1 AS a WITH NO DATA;
CREATE TABLE trail (line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trail VALUES (TG_OP); RETURN NEW; END $$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE OF name ON parent FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE parent DISABLE TRIGGER noted;
CREATE RULE quiet AS ON DELETE TO trail DO INSTEAD NOTHING;
CREATE AGGREGATE product (int) (SFUNC = int4mul, STYPE = int, INITCOND = '1');
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE TEXT SEARCH CONFIGURATION simple_copy (COPY = simple);
ALTER TABLE everything ENABLE ROW LEVEL SECURITY;
CREATE PUBLICATION ours FOR TABLE shop_category;
CREATE CAST (mood AS pair) WITH INOUT;
CREATE POLICY only_flags ON everything FOR SELECT USING (flag);
COMMENT ON TABLE everything IS 'it''s "everything"';
COMMENT ON SCHEMA "Odd schema" IS 'odd';
COMMENT ON COLUMN everything.doc IS 'line 1
COMMIT;
line 3';
SELECT lo_from_bytea(424242, '\x0001ff'), lo_from_bytea(424243, '');
"""

NEWER = """
DELETE FROM child;
UPDATE everything SET bytes = 'changed', share = 1;
DELETE FROM parent WHERE id = 3;
TRUNCATE trail;
SELECT setval('untouched', 1000), setval('everything_id_seq', 5000);
ALTER TYPE mood ADD VALUE 'furious';
ALTER TABLE everything ADD COLUMN more mood DEFAULT 'ok';
ALTER TABLE everything DROP COLUMN doc;
ALTER TABLE measured RENAME TO measurements;
DROP TABLE fast;
DROP VIEW "the view";
DROP MATERIALIZED VIEW counted;
DROP FUNCTION note CASCADE;
DROP SCHEMA "Odd schema" CASCADE;
SELECT lo_unlink(424242), lo_put(424243, 0, 'changed'), lo_from_bytea(0, 'new');
CREATE TYPE newer_mood AS ENUM ('new');
CREATE DOMAIN newer_domain AS newer_mood;
CREATE TABLE newer (id serial PRIMARY KEY, parent_id int NOT NULL REFERENCES parent, mood newer_domain);
INSERT INTO newer (parent_id, mood) VALUES (1, 'new');
CREATE TABLE "newer ""too"" 東京" (newer_id int REFERENCES newer, product_id bigint REFERENCES shop_product) PARTITION BY LIST (newer_id);
CREATE TABLE newer_part PARTITION OF "newer ""too"" 東京" DEFAULT;
ALTER TABLE shop_product ADD COLUMN newer_id int REFERENCES newer;
CREATE SCHEMA newer_schema;
CREATE TABLE newer_schema.inside (parent_id int REFERENCES public.parent, whole public.newer);
CREATE VIEW newer_schema.looks AS SELECT * FROM public.parent JOIN newer_schema.inside ON id = parent_id;
CREATE MATERIALIZED VIEW newer_stored AS SELECT * FROM newer_schema.looks;
CREATE FUNCTION newer_function(public.newer) RETURNS SETOF public.parent LANGUAGE sql AS 'SELECT * FROM public.parent';
CREATE FUNCTION newer_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER newer_trigger AFTER DELETE ON parent EXECUTE FUNCTION newer_trigger();
CREATE AGGREGATE newer_aggregate (int) (SFUNC = int4mul, STYPE = int, INITCOND = '1');
CREATE OPERATOR ==== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE SEQUENCE newer_sequence;
CREATE COLLATION newer_collation FROM "C";
CREATE TEXT SEARCH CONFIGURATION newer_search (COPY = simple);
CREATE INDEX newer_index ON everything (small);
DROP PUBLICATION ours;
CREATE PUBLICATION newer_publication FOR TABLE newer;
"""
"""What happened after the backup, and must be undone by its restore."""

VANISHED = ["measurements", "newer", 'newer "too" 東京', "newer_part", "newer_schema.inside"]


def content(shop: Shop, server: PostgreSQLServer) -> dict[str, Any]:
    """Return the schema, every row of every table and stored view, sequences and large objects. Not the history."""
    entry = shop.settings["DATABASES"]["default"]
    done = subprocess.run(
        [server.bin_dir / "pg_dump", "--schema-only", "--no-owner", f"--exclude-table=*.{HISTORY}*"],
        env={
            "PGHOST": server.host,
            "PGPORT": str(entry["PORT"]),
            "PGUSER": entry["USER"],
            "PGPASSWORD": entry["PASSWORD"],
            "PGDATABASE": entry["NAME"],
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = {
        "the schema": re.sub(r"\\(un)?restrict .*|-- Dumped .*", "", done.stdout).splitlines()
    }
    with closing(connect(entry)) as connection:
        relations = connection.execute(
            "SELECT oid::regclass::text, relkind FROM pg_class WHERE relkind IN ('r', 'm', 'S')"
            " AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND relispopulated AND relname <> ALL (%s)",
            [[HISTORY, OPENED, HEALTH]],
        ).fetchall()
        for name, kind in relations:
            columns = "last_value, is_called" if kind == "S" else "whole::text"
            found[name] = sorted(connection.execute(f"SELECT {columns} FROM {name} AS whole").fetchall())
        found["large objects"] = connection.execute(
            "SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid"
        ).fetchall()
    return found


def fill(shop: Shop, script: str) -> None:
    with closing(connect(shop.settings["DATABASES"]["default"])) as connection:
        connection.execute(script)


@pytest.mark.parametrize(
    "database, over_socket, values",
    [
        pytest.param("postgresql", False, {}, id="tcp-zstd", marks=pytest.mark.soak),
        pytest.param("postgresql", True, {"COMPRESSION": None}, id="socket-plain"),
        pytest.param(
            "postgresql18", False, {"COMPRESSION": "gzip"}, id="18-tcp-gzip", marks=pytest.mark.soak
        ),
    ],
)
def test_every_row_and_object_comes_back_and_what_is_newer_is_gone(
    make_shop, request, database, over_socket, values
):
    server = request.getfixturevalue(f"{database}_server")
    shop = make_shop(database, **values)
    if over_socket:
        shop.settings["DATABASES"]["default"] = server.over_socket(shop.settings["DATABASES"]["default"])
    fill(shop, EVERYTHING)
    wanted = content(shop, server)
    assert shop.manage("dbbackup").code == 0
    fill(shop, NEWER)
    assert content(shop, server) != wanted

    result = shop.manage(*RESTORE)
    assert result.code == 0, result.err
    assert f"Dropped 5 tables that are not in the backup: {', '.join(VANISHED)}." in result.out
    restored = content(shop, server)
    assert restored.keys() == wanted.keys()
    for name, rows in wanted.items():
        assert restored[name] == rows, name


def test_backup_of_an_older_server_comes_back_on_a_newer_one(make_shop):
    old = make_shop("postgresql", backed_up=True)
    new = make_shop("postgresql18", old.remote)
    new.execute("TRUNCATE shop_product CASCADE")
    result = new.manage(*RESTORE)
    assert result.code == 0, result.err
    assert new.rows() == old.rows()


def test_extension_of_the_superuser_stays_under_a_restore_by_an_ordinary_role(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
        connection.execute("CREATE SCHEMA tools")
        connection.execute("CREATE EXTENSION citext SCHEMA tools")
        connection.execute("GRANT USAGE ON SCHEMA tools TO shop")
    shop.execute("CREATE INDEX by_likeness ON shop_product USING gin (name gin_trgm_ops)")
    shop.execute("CREATE TABLE tagged (tag tools.citext PRIMARY KEY)")
    shop.execute("INSERT INTO tagged VALUES ('Straße')")
    wanted = content(shop, postgresql_server)
    dump = saved(shop)
    shop.execute("DROP TABLE tagged")
    shop.execute("DROP INDEX by_likeness")

    result = shop.manage(*RESTORE, dump)
    assert result.code == 0, result.err
    assert content(shop, postgresql_server) == wanted


def test_tables_in_a_schema_of_their_own(make_shop, postgresql_server):
    """As sites do that set the search path in OPTIONS. The history lives in that schema too."""
    shop = make_shop("postgresql")
    fill(
        shop,
        """
        CREATE SCHEMA shop;
        DO $$ DECLARE name text; BEGIN
            FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                EXECUTE format('ALTER TABLE public.%I SET SCHEMA shop', name);
            END LOOP;
        END $$;
        """,
    )
    entry = shop.settings["DATABASES"]["default"]
    entry["OPTIONS"] = {"options": "-c search_path=shop,public"}
    wanted = content(shop, postgresql_server)
    dump = saved(shop)
    fill(
        shop, "CREATE TABLE shop.newer (id bigint REFERENCES shop.shop_product); TRUNCATE shop.shop_orderline"
    )

    result = shop.manage(*RESTORE, dump)
    assert result.code == 0, result.err
    assert "Dropped a table that is not in the backup: shop.newer." in result.out
    assert content(shop, postgresql_server) == wanted
    assert shop.manage("migrate", "--check").code == 0
    runs = shop.execute(f"SELECT kind, status FROM shop.{HISTORY} ORDER BY created_at")
    assert runs == [("db_backup", "succeeded"), ("db_restore", "succeeded")]


def test_options_choose_what_is_dumped(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {
        "default": {
            "SCHEMAS": ["public"],
            "EXCLUDE_TABLES": ["shop_orderline"],
            "DUMP_ARGS": ["--no-comments"],
        }
    }
    shop.execute("CREATE SCHEMA other")
    shop.execute("CREATE TABLE other.kept (a int)")
    wanted = shop.rows(ignore=["shop_orderline"])
    dump = saved(shop)
    shop.execute("INSERT INTO other.kept VALUES (1)")
    shop.execute("TRUNCATE shop_customer CASCADE")

    result = shop.manage(*RESTORE, dump)
    assert result.code == 0, result.err
    assert shop.rows(ignore=["shop_orderline"]) == wanted | {"other.kept": [(1,)]}
    assert shop.execute("SELECT count(*) FROM shop_orderline") == [(0,)]


def test_backup_of_django_rclone_comes_back_as_it_is(make_shop, postgresql_server):
    """pg_dump's custom format, compressed by itself, with no manifest, owners and rights included."""
    shop = make_shop("postgresql")
    ours = "SELECT tablename FROM pg_tables WHERE starts_with(tablename, 'django_rclone_admin_')"
    for (table,) in shop.execute(ours):
        shop.execute(f"DROP TABLE {table}")
    shop.execute("DELETE FROM django_migrations WHERE app = 'django_rclone_admin'")
    shop.execute("GRANT SELECT ON shop_product TO PUBLIC")
    entry = shop.settings["DATABASES"]["default"]
    wanted = shop.rows()
    done = subprocess.run(
        [postgresql_server.bin_dir / "pg_dump", "--format=custom", entry["NAME"]],
        env={
            "PGHOST": entry["HOST"],
            "PGPORT": str(entry["PORT"]),
            "PGUSER": entry["USER"],
            "PGPASSWORD": entry["PASSWORD"],
        },
        capture_output=True,
        check=True,
    )
    name = "default-2024-01-15-120000.dump"
    shop.remote.write(f"db/{name}", done.stdout)
    assert shop.manage("migrate").code == 0
    shop.execute("TRUNCATE shop_customer CASCADE")
    assert [each["state"] for each in shop.manage("listbackups", "--json").json] == ["legacy"]

    result = shop.manage(*RESTORE, "--input-path", name)
    assert result.code == 0, result.err
    assert "nothing can be checked beforehand" in result.out
    found = shop.rows()
    assert {table: found[table] for table in wanted if table != "django_migrations"} == {
        table: rows for table, rows in wanted.items() if table != "django_migrations"
    }
    assert [
        each for each in found if each not in wanted and not each.startswith("django_rclone_admin_")
    ] == []
    assert shop.manage("migrate", "--check").code == 0
