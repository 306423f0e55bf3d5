"""pg_restore's SQL, as a part of our own transaction: what looks like a command is one only where psql takes it for one."""

import random

import pytest

from django_rclone_admin.connectors.postgresql.text import OneTransaction
from django_rclone_admin.exceptions import BackupError, WrongFormat

TEXT = rb"""--
-- PostgreSQL database dump; COMMIT;
--

\restrict abc123

BEGIN;

SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA "a b";
COMMENT ON TABLE x IS 'it''s
BEGIN;
CREATE SCHEMA x;
SET a = b;
\connect foo
';
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$ SELECT $x$'x
COMMIT;
COPY t FROM stdin;
\.
$x$::text $_$;
CREATE FUNCTION g(a int, begin int) RETURNS int
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN (a > 1) THEN begin ELSE 3 END;
 SELECT arr[1:"USER"] FROM t;
END;
CREATE VIEW v AS SELECT E'a\'; COMMIT; --' AS x, $a$;$a$ /* COMMIT; /* ; */ ' */, a$b$, U&'\', 1 AS "COMMIT;";
SELECT 1 -- COMMIT;'
;
COPY public.t (a, "from") FROM stdin;
BEGIN;
COMMIT;
\\.
\.

COPY public.t2 FROM stdin;
\.
INSERT INTO x VALUES ('\', 'a''b', '{a:b}'::text, -1, 2 / 3);
CREATE INDEX i ON t (a);
COMMIT;

--
-- complete
--

\unrestrict abc123

"""

EXPECTED = (
    TEXT.replace(b"\nBEGIN;\n\nSET", b"\n\n\nSET")
    .replace(b"\nCOMMIT;\n\n--", b"\n\n\n--")
    .replace(b"SET standard", b"SET LOCAL standard")
    .replace(b"'', false)", b"'', true)")
    .replace(b'CREATE SCHEMA "', b'CREATE SCHEMA IF NOT EXISTS "')
    .replace(b"CREATE FUNCTION", b"CREATE OR REPLACE FUNCTION")
    .replace(b"THEN begin", b'THEN "begin"')
    .replace(b'1:"USER"', b'1: "USER"')
    .replace(b"COPY public.t (", b"<first>COPY public.t (")
)


def through(text: bytes, size: int, out: list[bytes] | None = None) -> bytes:
    """Feed a text in pieces, and return what is passed on; it is in ``out``, too, where that fails."""
    stage, out = OneTransaction(before_data=b"<first>"), [] if out is None else out
    for at in range(0, len(text), size):
        out += stage.feed(text[at : at + size])
    return b"".join([*out, stage.finish()])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
def test_only_the_lines_of_pg_restore_itself_are_changed(size):
    assert through(TEXT, size) == EXPECTED


def test_text_in_pieces_of_any_size_is_read_alike():
    chance = random.Random(1)
    for _number in range(200):
        stage, out, at = OneTransaction(before_data=b"<first>"), [], 0
        while at < len(TEXT):
            size = chance.choice([1, 2, 5, 30, 300])
            out += stage.feed(TEXT[at : at + size])
            at += size
        assert b"".join([*out, stage.finish()]) == EXPECTED


def test_rows_as_statements_are_passed_on_as_they_are():
    rows = b"INSERT INTO public.t VALUES (1, 'a; COMMIT; -- ''b''', -2, NULL, '{\"a\": 1}'::jsonb);\n" * 50
    rows += b"INSERT INTO public.t (a, \"b c\") VALUES ('a\\', now(), E'\\'');\n" * 3
    text = b"BEGIN;\n" + rows + b"SELECT 1;\nCOMMIT;\n"
    for size in 1, 7, 100, 1 << 20:
        assert through(text, size) == b"\n<first>" + rows + b"SELECT 1;\n\n"


def test_long_statement_is_passed_on_before_its_end():
    stage = OneTransaction()
    head = b"BEGIN;\nINSERT INTO t VALUES ("
    list(stage.feed(head))
    assert sum(len(out) for _ in range(5) for out in stage.feed(b"'" + b"x" * 600_000 + b"', ")) > 2_000_000


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    "statement",
    [
        b"COMMIT;",
        b"commit work;",
        b"END;",
        b"END TRANSACTION;",
        b"COMMIT AND CHAIN;",
        b"/* a */ Commit\n;",
        b"-- a\nCOMMIT ;",
        b"SELECT 1;COMMIT;",
        b"SELECT '\\'; COMMIT; --'\n;",
        b"SET standard_conforming_strings = off;\nSELECT '\\'';COMMIT; --'\n;",
        b"SELECT E'\\'' '\\''; COMMIT; --';",
        b"ROLLBACK;",
        b"ABORT;",
        b"BEGIN;",
        b"START TRANSACTION;",
        b"SAVEPOINT a;",
        b"RELEASE a;",
        b"PREPARE TRANSACTION 'a';",
        b"COMMIT PREPARED 'a';",
        b"\\connect other\n",
        b"\\! true\n",
        b"\\i /etc/passwd\n",
        b"SELECT 1 \\g\n",
        b"SELECT 1\\; COMMIT;",
        b"SELECT 'COMMIT' \\gexec\n",
        b"COPY t FROM stdin; COMMIT;\n\\.\n",
        b"COPY t FROM stdin;\na\n\\.\nCOMMIT;",
        b"CREATE FUNCTION f(begin int) RETURNS int AS 'a'; END;",
        b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; COMMIT; END;",
        b"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); COMMIT;",
        b"SELECT $a$ $b$ $a$; COMMIT;",
        b"SELECT a$b$c; COMMIT; SELECT $b$;",
        b"INSERT INTO t VALUES ('a', E'\\'');\nCOMMIT;",
        b"INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2); COMMIT;",
        b"INSERT INTO t VALUES (1);\nCOMMIT;\nINSERT INTO t VALUES ('after');",
    ],
)
def test_command_that_could_end_the_transaction_is_refused_before_it_is_passed_on(statement, size):
    out: list[bytes] = []
    text = b"BEGIN;\nSELECT 0;\n" + statement + b"\nSELECT 'after';\nCOMMIT;\n"
    with pytest.raises(WrongFormat) as caught:
        through(text, size, out)
    assert "Nothing was changed" in caught.value.hint
    passed_on = b"".join(out).upper()
    assert b"AFTER" not in passed_on
    assert b"COMMIT;" not in passed_on.replace(b"-- A\n", b"").partition(b"'\\'")[0]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"BEGIN;\n",
        b"BEGIN;\nSELECT 1;\n",
        b"BEGIN;\nSELECT 1\nCOMMIT;\n",
        b"BEGIN;\nSELECT 'a;\nCOMMIT;\n",
    ],
)
def test_text_that_does_not_end_with_its_commit_is_refused(text):
    with pytest.raises(BackupError, match="did not end as expected"):
        through(text, 5)
