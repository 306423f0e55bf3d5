"""A text from the remote changes nothing but the target, and has neither the client nor the server open a file."""

import os

import pytest

from django_rclone_admin.exceptions import BackupError, WrongFormat
from tests.support.mysql_site import open_site

pytestmark = pytest.mark.mysql

TABLE = b"CREATE TABLE `kept` (`a` int);\nINSERT INTO `kept` VALUES (1);\n"
STATEMENTS = {
    # another database becomes the current one
    "use": b"use {other};\nDROP TABLE victim;",
    "use quoted": b"USE `{other}`;\nDROP TABLE `victim`;",
    "use in capitals over lines": b"  UsE\n\t`{other}`\n;\nDROP TABLE `victim`;",
    "use behind a comment": b"/* a */ use /**/ {other} -- b\n;\nDROP TABLE victim;",
    "use behind a hash": b"# a ' quote\nuse {other};\nDROP TABLE victim;",
    "use, versioned": b"/*!use {other} */;\nDROP TABLE victim;",
    "use, versioned with a number": b"/*!40000 USE `{other}`*/;\nDROP TABLE victim;",
    "use, versioned for MariaDB": b"/*M!100100 use {other}*/;\nDROP TABLE victim;",
    "use, half versioned": b"/*!50000 u*/se {other};\nDROP TABLE victim;",
    "use as the second statement of a line": b"SET @a=@@sql_mode; use {other}; DROP TABLE victim;",
    "use behind a delimiter": b"DELIMITER $$\nuse {other}$$\nDROP TABLE victim$$\nDELIMITER ;",
    "use with a delimiter of its own": b"delimiter //\nSET @a=@@sql_mode//use {other}//DELIMITER ;\nDROP TABLE victim;",
    "command u": b"\\u {other}\nDROP TABLE victim;",
    "command u behind a statement": b"SET @a=@@sql_mode; \\u {other}\nDROP TABLE victim;",
    "connect": b"connect {other}\nDROP TABLE victim;",
    "command r": b"\\r {other}\nDROP TABLE victim;",
    "database created": b"CREATE DATABASE IF NOT EXISTS {other}_new;",
    "schema created": b"create /*!32312 if not exists*/ schema `{other}_new`;",
    "database dropped": b"/*!40000 DROP DATABASE IF EXISTS `{other}`*/;",
    "two statements in a delimiter": (
        b"DELIMITER ;;\nCREATE PROCEDURE p() SELECT 1; DROP TABLE {other}.victim;;\nDELIMITER ;"
    ),
    "trigger and a statement": (
        b"DELIMITER ;;\n/*!50003 CREATE*/ /*!50003 TRIGGER t BEFORE INSERT ON kept FOR EACH ROW SET @a = 1; "
        b"DROP TABLE {other}.victim */;;\nDELIMITER ;"
    ),
    # another database by its name
    "qualified drop": b"DROP TABLE {other}.victim;",
    "qualified drop, quoted, spaced": b"DROP TABLE IF EXISTS `{other}` . `victim`;",
    "drop of two": b"DROP TABLE kept, {other}.victim;",
    "qualified create": b"CREATE TABLE {other}.planted (a int);",
    "qualified insert": b"INSERT INTO {other}.victim VALUES (2);",
    "qualified insert, quoted": b"INSERT INTO `{other}`.`victim` VALUES (2);",
    "qualified replace": b"REPLACE INTO {other}.victim VALUES (2);",
    "qualified update": b"UPDATE {other}.victim SET a = 2;",
    "qualified delete": b"DELETE FROM {other}.victim;",
    "truncate": b"TRUNCATE {other}.victim;",
    "qualified alter": b"ALTER TABLE {other}.victim ADD COLUMN b int;",
    "rename": b"ALTER TABLE kept RENAME TO {other}.planted;",
    "rename with add": b"ALTER TABLE kept ADD COLUMN b int, RENAME TO {other}.planted;",
    "rename table": b"RENAME TABLE kept TO {other}.planted;",
    "versioned words that are skipped": b"CREATE TABLE /*!99999 x (a int) */ {other}.planted (a int);",
    "versioned words in a drop": b"DROP TABLE /*!99999 IF EXISTS kept */ {other}.victim;",
    "references that are skipped": b"CREATE TABLE y (a int) /*!99999 REFERENCES */ {other}.victim;",
    "lock": b"LOCK TABLES {other}.victim WRITE;",
    "setval": b"DO SETVAL({other}.numbers, 99, 0);",
    "select setval": b"SELECT SETVAL(`{other}`.`numbers`, 99, 0);",
    "prepared": b"PREPARE s FROM 'DROP TABLE {other}.victim'; EXECUTE s;",
    "immediate": b"EXECUTE IMMEDIATE 'DROP TABLE {other}.victim';",
    "set statement": b"SET STATEMENT max_statement_time = 9 FOR DELETE FROM {other}.victim;",
    "set from a query": b"SET @a = (SELECT {other}.wipe());",
    "call": b"CALL {other}.wipe();",
    "do": b"DO {other}.wipe();",
    "compound": b"BEGIN NOT ATOMIC DELETE FROM {other}.victim; END;",
    # what is created in the text is used by the text
    "view and rows": b"CREATE VIEW v AS SELECT * FROM {other}.victim;\nINSERT INTO v VALUES (2);",
    "function in rows": (
        b"CREATE FUNCTION f() RETURNS INT BEGIN DELETE FROM {other}.victim; RETURN 1; END;\n"
        b"INSERT INTO kept VALUES (f());"
    ),
    "function in rows, named like a number": b"INSERT INTO kept VALUES (1e1x(2));",
    "merge table and rows": (
        b"CREATE TABLE m (a int) ENGINE=MRG_MyISAM UNION=({other}.victim) INSERT_METHOD=LAST;\nINSERT INTO m VALUES (2);"
    ),
    "sequence and rows": (
        b"CREATE TABLE n (a int, b bigint DEFAULT nextval({other}.numbers));\nINSERT INTO n (a) VALUES (1);\nFLUSH TABLES;"
    ),
    # where a string or a comment ends
    "quote in a comment in rows": b"INSERT INTO kept VALUES (1)-- '\n; DROP TABLE {other}.victim; -- '\n;",
    "quote behind a hash in rows": b"INSERT INTO kept VALUES (1)#'\n; DROP TABLE {other}.victim; #'\n;",
    "backslash that is none": (
        b"SET sql_mode = 'NO_BACKSLASH_ESCAPES';\nINSERT INTO kept VALUES ('\\');\nDROP TABLE {other}.victim; -- ');\n"
    ),
    "backslash by a variable": (
        b"SET @m = 'NO_BACKSLASH_ESCAPES', sql_mode = @m;\nINSERT INTO kept VALUES ('\\'); DROP TABLE {other}.victim; -- ');\n"
    ),
    "character set with backslashes": (
        b"SET NAMES gbk;\nINSERT INTO kept VALUES ('\xbf\\'); DROP TABLE {other}.victim; -- ');\n"
    ),
    "quoted name with a statement": b"DROP TABLE IF EXISTS `a``; DROP TABLE {other}.victim; -- `;\nDROP TABLE {other}.victim;",
    # the server
    "global variable": b"SET GLOBAL event_scheduler = OFF;",
    "global variable, other spelling": b"SET @@global.event_scheduler = OFF;",
    "account": b"CREATE USER planted IDENTIFIED BY 'x';",
    "grant": b"GRANT ALL ON *.* TO shop;",
    "password": b"SET PASSWORD = PASSWORD('x');",
    "role": b"SET ROLE NONE;",
    "library": b"CREATE FUNCTION f RETURNS STRING SONAME 'x.so';",
    "plugin": b"INSTALL SONAME 'x';",
    "kill": b"KILL 1;",
    "replication": b"CHANGE MASTER TO MASTER_HOST='x';",
    # files
    "local infile": b"LOAD DATA LOCAL INFILE '{file}' INTO TABLE kept;",
    "local infile, versioned": b"/*!40000 LOAD DATA LOCAL INFILE '{file}' INTO TABLE kept */;",
    "local infile in small letters": b"load /* */ data\nlocal infile '{file}' replace into table kept;",
    "local infile behind a delimiter": b"DELIMITER //\nLOAD DATA LOCAL INFILE '{file}' INTO TABLE kept//\nDELIMITER ;",
    "xml": b"LOAD XML LOCAL INFILE '{file}' INTO TABLE kept;",
    "infile": b"LOAD DATA INFILE '{file}' INTO TABLE kept;",
    "load_file in rows": b"INSERT INTO kept VALUES (LOAD_FILE('{file}'));",
    "load_file in a default": b"CREATE TABLE l (a int, b text DEFAULT (LOAD_FILE('{file}')));",
    "load_file in a table of a query": b"CREATE TABLE l AS SELECT LOAD_FILE('{file}') AS a;",
    "outfile": b"SELECT 1 INTO OUTFILE '{file}.out';",
    "dumpfile": b"SELECT 1 INTO DUMPFILE '{file}.out';",
    "source": b"source {file}\n;",
    "command .": b"\\. {file}\n;",
    "tee": b"tee {file}.out\n;",
    "pager": b"pager cat > {file}.out\n;",
    "system": b"system touch {file}.out\n;",
    "command !": b"\\! touch {file}.out\n;",
    "edit": b"\\e\n;",
}


@pytest.fixture(scope="module")
def other(mysql_server):
    """A schema beside the target, that its user may change, with something to lose."""
    name = f"shop_other_{os.getpid()}"  # all workers share the server
    mysql_server.administer(
        f"CREATE OR REPLACE DATABASE {name}",
        f"CREATE TABLE {name}.victim (a int)",
        f"INSERT INTO {name}.victim VALUES (1)",
        f"CREATE SEQUENCE {name}.numbers",
        f"CREATE FUNCTION {name}.wipe() RETURNS INT BEGIN DELETE FROM {name}.victim; RETURN 1; END",
    )
    yield name
    mysql_server.drop_databases(name)


@pytest.fixture(scope="module")
def unchanged(mysql_server, django_db_blocker):
    """A schema that no test changes, and what is in it."""
    with django_db_blocker.unblock(), open_site(mysql_server) as site:
        site.execute("CREATE TABLE live (a int)", "INSERT INTO live VALUES (7)")
        live = site.text()
        yield site
        assert site.text() == live


@pytest.fixture
def site(mysql_server, django_db_blocker):
    """A schema for one test."""
    with django_db_blocker.unblock(), open_site(mysql_server) as site:
        yield site


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_statement_is_refused(unchanged, other, mysql_server, tmp_path, statement):
    secret = tmp_path / "secret"
    secret.write_text("of the client\n")
    text = statement.replace(b"{other}", other.encode()).replace(b"{file}", str(secret).encode())
    with pytest.raises(BackupError) as raised:
        unchanged.restore(unchanged.dump_of(TABLE + text), "swap")
    with unchanged.session() as execute:  # by one connection: there are many statements
        assert [*execute("SELECT a FROM live").fetchall()] == [(7,)]
        assert [*execute(f"SELECT a FROM {other}.victim").fetchall()] == [(1,)]
        assert [*execute(f"SHOW TABLES FROM {other}").fetchall()] == [("numbers",), ("victim",)]
        assert [*execute(f"SELECT next_not_cached_value FROM {other}.numbers").fetchall()] == [(1,)]
    assert mysql_server.schemas(f"{other}_") == []
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]
    assert "of the client" not in str(raised.value)
    assert "Nothing was changed" in raised.value.hint


@pytest.mark.parametrize(
    "name", ["use, versioned", "two statements in a delimiter", "local infile", "qualified insert"]
)
def test_statement_is_refused_in_place(site, other, mysql_server, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_text("of the client\n")
    text = STATEMENTS[name].replace(b"{other}", other.encode()).replace(b"{file}", str(secret).encode())
    before = mysql_server.text(other)
    with pytest.raises(BackupError):
        site.restore(site.dump_of(TABLE + text), "in_place")
    assert mysql_server.text(other) == before
    assert "of the client" not in site.text()


def test_a_trigger_on_another_database_is_not_set_off_by_the_rows_behind_it(site, other, mysql_server):
    """It is created when all rows are there: what it does is the site's own business then."""
    before = mysql_server.text(other)
    trigger = f"CREATE TRIGGER t BEFORE INSERT ON kept FOR EACH ROW DELETE FROM {other}.victim;\n"
    site.restore(site.dump_of(TABLE + trigger.encode() + b"INSERT INTO kept VALUES (2);\n"), "swap")
    assert mysql_server.text(other) == before
    assert site.execute("SELECT a FROM kept ORDER BY a") == [(1,), (2,)]


def test_the_client_reads_no_file_even_when_it_is_told_to(site, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the client\n")
    loader = site.connector(RESTORE_ARGS=["--verbose"]).load(site.name)
    assert "--local-infile=0" in loader.argv
    assert loader.argv.index("--local-infile=0") > loader.argv.index("--verbose")


def test_the_refusal_shows_no_value(site):
    with pytest.raises(WrongFormat) as raised:
        site.restore(site.dump_of(b"UPDATE users SET password = 'secret' WHERE name = `me`;"), "swap")
    assert "UPDATE USERS SET" in str(raised.value)
    assert "secret" not in str(raised.value) + raised.value.hint
