"""A schema with one object of every kind that pg_dump knows and an ordinary owner of a database can make."""

import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.tables import HEALTH, HISTORY, OPENED

LINES = r"""
BEGIN;
COMMIT;
ROLLBACK;
CREATE SCHEMA trap;
CREATE FUNCTION trap() RETURNS int;
COMMENT ON EXTENSION plpgsql IS 'trap';
SET standard_conforming_strings = off;
SET row_security = off;
SELECT pg_catalog.set_config('search_path', '', false);
-- Data for Name: trap; Type: TABLE DATA
COPY public.trap (id) FROM stdin;
\.
\restrict trap
\unrestrict trap
\connect trap
:VERSION :'USER' :"HOST"
/* -- ; $$ $1 E'\'
"""
"""Every line that something in the way of a dump looks for."""

KINDS = rf"""
COMMENT ON SCHEMA public IS 'ours: {LINES.replace("'", "''")}';
CREATE SCHEMA "Odd schema";
COMMENT ON SCHEMA "Odd schema" IS 'odd';
CREATE EXTENSION citext SCHEMA "Odd schema";
COMMENT ON EXTENSION citext IS 'ours';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy; or "not"', '
BEGIN;
COMMIT;');
CREATE TYPE pair AS (left_one int, right_one text);
CREATE TYPE timerange AS RANGE (subtype = time, multirange_type_name = times);
CREATE DOMAIN percent AS numeric(5, 2) DEFAULT 1 CONSTRAINT fits CHECK (VALUE BETWEEN 0 AND 100);
COMMENT ON TYPE timerange IS 'of a day';
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE FUNCTION traps() RETURNS text LANGUAGE sql AS $function$ SELECT $lines${LINES}$lines$::text $function$;
CREATE FUNCTION more_traps(text DEFAULT '{LINES.replace("'", "''").replace(chr(92), chr(92) * 1)}') RETURNS text
    LANGUAGE plpgsql SET work_mem = '1MB' AS $function$
BEGIN
COMMIT;
RETURN $1; -- '
END $function$;
COMMENT ON FUNCTION traps() IS '{LINES.replace("'", "''")}';
CREATE FUNCTION standard(a int, "end" int DEFAULT 2, begin int DEFAULT 3) RETURNS int IMMUTABLE
    BEGIN ATOMIC
        SELECT 'x;' AS x; SELECT CASE WHEN a > 1 THEN CASE "end" WHEN 2 THEN a ELSE begin END ELSE 0 END AS y;
    END;
CREATE PROCEDURE nothing(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE AGGREGATE product (int) (SFUNC = int4mul, STYPE = int, INITCOND = '1');
CREATE AGGREGATE "All of ()" (*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, COMMUTATOR = ===);
CREATE CAST (mood AS pair) WITH INOUT AS ASSIGNMENT;
CREATE CONVERSION to_latin FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION search (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION search ALTER MAPPING FOR asciiword WITH words;
CREATE SEQUENCE countdown AS smallint INCREMENT -3 MINVALUE -1000 MAXVALUE 50 START 50 CYCLE;
SELECT nextval('countdown');
CREATE FUNCTION deeper(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)';
CREATE FUNCTION bare(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN deeper(t); END';
CREATE TABLE everything (
    id bigserial PRIMARY KEY, moods mood[], share percent, p pair, open timerange, at times, word "Odd schema".citext,
    body text DEFAULT '{LINES.replace("'", "''")}' COLLATE plain, doc jsonb, part int GENERATED ALWAYS AS IDENTITY,
    bare text GENERATED ALWAYS AS (bare(body)) STORED, CONSTRAINT checked CHECK (bare(body) IS NOT NULL),
    CONSTRAINT apart EXCLUDE USING gist (open WITH &&) DEFERRABLE INITIALLY DEFERRED)
    WITH (fillfactor = 90, autovacuum_enabled = false);
CREATE INDEX by_function ON everything (bare(body), lower(body) text_pattern_ops);
INSERT INTO everything (moods, share, p, open, word, doc) VALUES
    ('{{ok,NULL}}', 12.34, (1, 'a,"b)'), '[08:00,17:00)', 'Straße', '{{"a": [1, null]}}'), (NULL, NULL, NULL, NULL, '', NULL);
INSERT INTO everything (body) VALUES (E'\\.\n\\N\tCOMMIT;\r\n\\restrict'), (traps());
ALTER TABLE everything ALTER body SET STORAGE external, ALTER doc SET STATISTICS 500, ALTER share SET (n_distinct = 5);
CREATE TABLE "odd ""name"" 東京
COMMIT;
end" ("select" text, "two
BEGIN;
lines" int);
INSERT INTO "odd ""name"" 東京
COMMIT;
end" VALUES ('BEGIN;', 1);
CREATE FUNCTION inlined(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT deeper(t)';
CREATE TABLE inlining (t text, plain text GENERATED ALWAYS AS (inlined(t)) STORED);
INSERT INTO inlining VALUES ('Zoë');
CREATE FUNCTION looking(n int) RETURNS bool LANGUAGE plpgsql STABLE AS 'BEGIN RETURN EXISTS (SELECT FROM everything) OR n < 5; END';
CREATE TABLE looks (n int CHECK (looking(n)));
INSERT INTO looks VALUES (7);
CREATE DOMAIN looked_up AS int CHECK (looking(VALUE));
CREATE TABLE with_domain (n looked_up);
INSERT INTO with_domain VALUES (8);
CREATE TABLE parent (id int PRIMARY KEY, self int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, name text UNIQUE CHECK (name <> ''));
CREATE TABLE child (parent_id int REFERENCES parent ON DELETE CASCADE, whole parent);
ALTER TABLE child ADD CONSTRAINT unproven CHECK (parent_id < 5) NOT VALID;
BEGIN;
INSERT INTO parent VALUES (1, 2, 'one'), (2, 1, 'two');
COMMIT;
INSERT INTO child VALUES (1, (5, 5, 'five'));
CREATE TABLE heir (extra int DEFAULT nextval('countdown')) INHERITS (parent);
CREATE TABLE typed OF pair (PRIMARY KEY (left_one));
CREATE TABLE measured (day date NOT NULL, value int) PARTITION BY RANGE (day);
CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (value);
CREATE TABLE measured_one PARTITION OF measured_2026 FOR VALUES IN (1);
CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
CREATE INDEX ON measured (value);
INSERT INTO measured VALUES ('2026-05-05', 1), ('1999-01-01', 2);
CREATE UNLOGGED TABLE fast AS SELECT 1 AS a;
CREATE TABLE dra_run_sheet (id int PRIMARY KEY, day date UNIQUE);
INSERT INTO dra_run_sheet VALUES (1, '2026-01-01');
CREATE TABLE no_columns ();
CREATE INDEX partial ON everything (id DESC NULLS LAST) INCLUDE (share) WHERE share > 1;
CREATE UNIQUE INDEX parent_name ON parent (name);
ALTER TABLE parent CLUSTER ON parent_pkey;
ALTER TABLE parent REPLICA IDENTITY FULL;
COMMENT ON INDEX partial IS 'COMMIT;';
CREATE STATISTICS stats (dependencies) ON id, share FROM everything;
ALTER STATISTICS stats SET STATISTICS 50;
CREATE VIEW "the view" WITH (security_barrier) AS SELECT id, moods FROM everything WHERE share > 1 WITH LOCAL CHECK OPTION;
ALTER VIEW "the view" ALTER id SET DEFAULT 7;
CREATE VIEW sliced AS SELECT (ARRAY[1, 2, 3])[1:"USER"] AS part FROM (SELECT 2 AS "USER") AS source;
CREATE RECURSIVE VIEW numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, min(body) AS least FROM everything;
CREATE UNIQUE INDEX on_counted ON counted (n);
CREATE MATERIALIZED VIEW counted_again AS SELECT n + 1 AS more FROM counted;
CREATE MATERIALIZED VIEW empty_one AS SELECT 1 AS a WITH NO DATA;
CREATE TABLE trail (line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trail VALUES (TG_OP); RETURN NEW; END $$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE OF name ON parent FOR EACH ROW WHEN (NEW.name <> 'COMMIT;') EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE parent DISABLE TRIGGER noted;
COMMENT ON TRIGGER noted ON parent IS 'noted';
CREATE RULE quiet AS ON DELETE TO trail DO ALSO (INSERT INTO trail VALUES ('BEGIN;'); UPDATE trail SET line = 'COMMIT;');
ALTER TABLE everything ENABLE ROW LEVEL SECURITY;
CREATE POLICY somebody ON everything AS RESTRICTIVE FOR SELECT TO PUBLIC USING (share > 1);
CREATE PUBLICATION ours FOR TABLE parent WITH (publish = 'insert');
COMMENT ON PUBLICATION ours IS 'COMMIT;';
COMMENT ON COLUMN everything.doc IS '{LINES.replace("'", "''")}';
COMMENT ON CONSTRAINT checked ON everything IS 'line 1
COMMIT;
line 3';
SELECT lo_from_bytea(424242, '\x0001ff'), lo_from_bytea(424243, '');
COMMENT ON LARGE OBJECT 424242 IS 'BEGIN;';
"""

AS_SUPERUSER = """
CREATE FUNCTION public.watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
ALTER FUNCTION public.watched() OWNER TO {user};
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.watched();
COMMENT ON EVENT TRIGGER watch IS 'of the superuser';
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere OPTIONS (a 'COMMIT;');
GRANT USAGE ON FOREIGN SERVER elsewhere TO {user};
CREATE USER MAPPING FOR {user} SERVER elsewhere OPTIONS (name 'COMMIT;');
CREATE CAST (varchar AS jsonb) WITH INOUT AS ASSIGNMENT;
CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
CREATE PUBLICATION everywhere FOR ALL TABLES;
CREATE SUBSCRIPTION nobody CONNECTION 'host=nowhere.invalid' PUBLICATION x WITH (connect = false, slot_name = NONE);
CREATE SCHEMA theirs;
COMMENT ON SCHEMA theirs IS 'of the superuser';
GRANT ALL ON SCHEMA theirs TO {user};
"""
"""What a superuser may have put there, without a schema or with a schema of his own."""

WITH_THEM = """
CREATE FOREIGN TABLE far (a int) SERVER elsewhere;
CREATE TABLE theirs.ours AS SELECT 1 AS n;
CREATE TABLE other_heap (a int) USING heap_too;
"""
"""What the owner makes of it."""

NEWER = """
DROP TABLE child, heir, measured;
DROP MATERIALIZED VIEW counted CASCADE;
ALTER TYPE mood ADD VALUE 'furious';
ALTER TABLE everything ADD COLUMN more mood DEFAULT 'ok';
CREATE TYPE newer AS RANGE (subtype = date);
CREATE TABLE newer_table (d newer, m mood, whole parent, parent_id int REFERENCES parent);
CREATE FUNCTION newer(newer_table) RETURNS mood LANGUAGE sql AS 'SELECT $1.m';
CREATE CAST (pair AS mood) WITH INOUT;
CREATE OR REPLACE FUNCTION traps() RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
CREATE SCHEMA newer_schema CREATE TABLE inside (r public.timerange);
DROP PUBLICATION ours;
CREATE PUBLICATION newer FOR TABLE newer_table;
COMMENT ON SCHEMA public IS 'changed';
COMMENT ON EXTENSION citext IS 'changed';
SELECT lo_unlink(424242), lo_from_bytea(0, 'new');
"""
"""What may have happened since the backup."""


LEFT_OUT = [f"--exclude-table=*.{table}*" for table in (HISTORY, OPENED, HEALTH)]
"""What a restore leaves alone."""


def dump(entry: dict[str, Any], bin_dir: Path, *arguments: str) -> list[str]:
    """Return the text of pg_dump, but for our history and for the key that is new each time."""
    done = subprocess.run(
        [bin_dir / "pg_dump", *LEFT_OUT, "--no-privileges", *arguments],
        env={
            "PGHOST": entry["HOST"],
            "PGPORT": str(entry["PORT"]),
            "PGUSER": entry["USER"],
            "PGPASSWORD": entry["PASSWORD"],
            "PGDATABASE": entry["NAME"],
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return re.sub(r"^\\(un)?restrict \w{50,}$", "", done.stdout, flags=re.MULTILINE).splitlines()
