"""One object of every kind, and every text that we look for inside strings: MariaDB has the same to the letter afterwards."""

from contextlib import closing

import pytest

from tests.support.mysql import HISTORY
from tests.support.mysql_site import open_site

pytestmark = pytest.mark.mysql

TRICKY = (
    "-- Dump completed\nUSE `mysql`;\nuse other;\n\\! touch x\n\\u other\nDELIMITER ;;\n;;\n;\n$$\n/*!40000 DROP DATABASE x */;\n"
    "*/ /* */ -- ' \" ` \\ it's\nCREATE DATABASE x;\nINSERT INTO `t` VALUES (1);\n# '\n-- Dumping data for table `t`\n"
    "-- WHERE:  0\n-- Host: x    Database: y\nENABLE DISABLE ON SLAVE\n`{name}`.`person`, `{name}`.`one`()\nLOAD DATA LOCAL INFILE 'x';\n🐘"
    "\n/*M!999999\\- enable the sandbox mode */\n-- Dumping routines for database 'x'\n-- Dumping events for database 'x'\n-- MariaDB dump 10\n"
    "source x;\n\\. x\nsystem id;\ntee x\n/*M!100301 SET x */;\r\nUSE y;\r\x01\x1a\0;\n),(1,'a'\nREPLACE INTO t VALUES (1);\n_dra_before @dra_0\n"
)
STATEMENTS = (
    "SET NAMES utf8mb4",
    "CREATE TABLE person (id INT AUTO_INCREMENT PRIMARY KEY COMMENT {text}, name VARCHAR(2000) DEFAULT {text}) COMMENT={short}",
    "INSERT INTO person (name) VALUES ({text}), (NULL), ('')",
    "CREATE TABLE `{name}` (`{name}` INT, `a``b;-- '` INT, KEY `*/` (`a``b;-- '`))",
    "INSERT INTO `{name}` VALUES (1, 2)",
    "CREATE SEQUENCE numbers START WITH -5 INCREMENT BY -3 MINVALUE -1000 MAXVALUE -1 CYCLE",
    "SELECT NEXTVAL(numbers)",
    """
    CREATE TABLE kinds (id UUID PRIMARY KEY DEFAULT uuid(), address INET6, flags BIT(12), raw VARBINARY(300), doc JSON,
        hidden INT INVISIBLE DEFAULT 7, twice INT AS (hidden * 2) VIRTUAL, thrice INT AS (hidden * 3) STORED, place POINT NOT NULL,
        words TEXT, packed TEXT COMPRESSED, moment TIMESTAMP(6) NULL, CHECK (hidden <> 3 AND words NOT LIKE '%;%*/%' OR 1),
        number BIGINT DEFAULT (NEXT VALUE FOR numbers), FULLTEXT KEY (words), SPATIAL KEY (place)) ENGINE=InnoDB
    """,
    """
    INSERT INTO kinds (id, address, flags, raw, doc, hidden, place, words, packed, moment) VALUES
        (uuid(), '::1', b'110000000001', unhex('00FF275C0A0D1A22'), '{{"a": "\\\\\\\\u00e9"}}', 5,
        ST_GeomFromText('POINT(1 2)'), {text}, {text}, '2026-10-25 02:30:00.123456')
    """,
    """
    CREATE TABLE parts (id INT, day DATE) PARTITION BY RANGE COLUMNS (day)
        (PARTITION `old;` VALUES LESS THAN ('2020-01-01'), PARTITION rest VALUES LESS THAN (MAXVALUE))
    """,
    "INSERT INTO parts VALUES (1, '2019-01-01'), (2, '2021-01-01')",
    "CREATE TABLE old (id INT) ENGINE=MyISAM",
    "CREATE TABLE quick (id INT) ENGINE=Aria",
    "CREATE TABLE plain (id INT NOT NULL) ENGINE=MEMORY",
    "INSERT INTO old VALUES (1)",
    "CREATE TABLE bookings (id INT, since DATE, till DATE, PERIOD FOR booking (since, till), UNIQUE (id, booking WITHOUT OVERLAPS))",
    "CREATE TABLE price (id INT PRIMARY KEY, amount INT) WITH SYSTEM VERSIONING",
    "INSERT INTO price VALUES (1, 1)",
    "UPDATE price SET amount = 2",
    "CREATE TABLE child (id INT, person_id INT, CONSTRAINT `;'` FOREIGN KEY (person_id) REFERENCES person (id) ON DELETE SET NULL)",
    "CREATE FUNCTION one() RETURNS VARCHAR(2000) DETERMINISTIC /* it's; */ RETURN {text} -- the end",
    (
        "CREATE AGGREGATE FUNCTION total(x INT) RETURNS INT BEGIN DECLARE s INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s; "
        "LOOP FETCH GROUP NEXT ROW; SET s = s + x; END LOOP; END"
    ),
    (
        "CREATE PROCEDURE sell(IN a INT, OUT b VARCHAR(9) CHARSET latin1) COMMENT {short} BEGIN\n  -- a comment; it's\n  # another '\n"
        "  /* a third; */ /*!50000 SELECT 2*/;\n  SELECT 2*/* inner */ 3, {text};\nEND"
    ),
    "CREATE VIEW first_view AS SELECT id, {text} AS t, one() AS o FROM person",
    (
        "CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW a_view AS SELECT first_view.id, `{name}`.`a``b;-- '` AS x "
        "FROM first_view JOIN `{name}` WHERE first_view.id > 0 WITH CASCADED CHECK OPTION"
    ),
    "CREATE VIEW elsewhere AS SELECT person.id, x.TABLE_NAME FROM person JOIN information_schema.TABLES x LIMIT 1",
    "CREATE TRIGGER `a;` BEFORE INSERT ON person FOR EACH ROW SET NEW.name = concat({text}, '*/')",
    "create  /* typed; */ trigger   `{name}`.second before insert on `{name}`.person for each row follows `a;`\nbegin set @x = {text}; end",
    "CREATE TRIGGER third AFTER UPDATE ON child FOR EACH ROW BEGIN IF NEW.id THEN SET @y = 1; END IF; /* last */ END",
    (
        "CREATE EVENT on_ ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ENDS '2037-01-01 00:00:00' ON COMPLETION PRESERVE COMMENT {short} "
        "DO BEGIN SET @z = {event}; END"
    ),
    "CREATE EVENT off ON SCHEDULE AT '2035-01-01 00:00:00' DISABLE DO DELETE FROM old",
    "CREATE EVENT away ON SCHEDULE EVERY 3 HOUR DISABLE ON SLAVE DO SET @q = 1",
    "SET SESSION sql_mode = 'ORACLE'",
    "CREATE PACKAGE tools AS FUNCTION f RETURN INT; PROCEDURE p; END",
    "CREATE PACKAGE BODY tools AS FUNCTION f RETURN INT AS BEGIN RETURN 1; END; PROCEDURE p AS BEGIN NULL; END; END",
    "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
    """CREATE PROCEDURE "ansi;"() BEGIN SELECT '\\', "id" FROM "person"; SELECT 'a' || ';'; END""",
    "SET SESSION sql_mode = '', time_zone = '+05:30'",
    "CREATE EVENT zoned ON SCHEDULE EVERY 1 HOUR STARTS '2030-01-01 00:00:00' DO SET @t = 1",
)
LATIN = (
    b"CREATE PROCEDURE latin() SELECT 'caf\xe9; */'",
    b"CREATE VIEW latin_view AS SELECT 'caf\xe9' AS c",
    b"CREATE TRIGGER latin_trigger BEFORE DELETE ON person FOR EACH ROW SET @l = 'caf\xe9'",
)
LISTS = {
    "TABLE": "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = database() ORDER BY 1",
    "TRIGGER": "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = database() ORDER BY 1",
    "EVENT": "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = database() ORDER BY 1",
    **{
        kind: f"SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = database() AND ROUTINE_TYPE = '{kind}' ORDER BY 1"
        for kind in ("FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY")
    },
}
WITHOUT_TIME = {"TRIGGER": 6}
"""How many columns of SHOW CREATE say what there is; then comes when it was created."""


def fill(site):
    """Create one of everything."""
    text = TRICKY.format(name=site.name)
    with closing(site.driver()) as connection, connection.cursor() as cursor:
        for statement in STATEMENTS:
            words = {
                "name": site.name,
                "text": connection.escape(text),
                "short": connection.escape(text[:60]),
                "event": connection.escape(text.replace(";;", ";")),  # mariadb-dump never ends otherwise
            }
            cursor.execute(statement.format(**words))
    with closing(site.driver("latin1")) as connection, connection.cursor() as cursor:
        for statement in LATIN:
            cursor.execute(statement)


def everything(site):
    """Return what the server says of each object, and the text of a dump."""
    shown = {}
    with closing(site.driver()) as connection, connection.cursor() as cursor:
        for kind, query in LISTS.items():
            cursor.execute(query)
            for (name,) in cursor.fetchall():
                cursor.execute(f"SET SESSION sql_mode = '{'ORACLE' * kind.startswith('PACKAGE')}'")
                cursor.execute("SHOW CREATE {} `{}`".format(kind, name.replace("`", "``")))
                shown[kind, name] = cursor.fetchone()[: WITHOUT_TIME.get(kind)]
        cursor.execute("SELECT * FROM price FOR SYSTEM_TIME ALL ORDER BY amount")
        shown["history"] = cursor.fetchall()
    return shown, site.text()


@pytest.fixture
def site(mysql_server, django_db_blocker):
    with django_db_blocker.unblock(), open_site(mysql_server) as site:
        yield site


@pytest.mark.in_turns("strategy")
@pytest.mark.parametrize("strategy", ["swap", "in_place"])
@pytest.mark.parametrize("change", ["nothing", "something", "everything"])
def test_everything_is_the_same_to_the_letter(site, strategy, change):
    fill(site)
    shown, wanted = everything(site)
    text, contents = site.dump()
    assert contents.left_out == {}
    assert contents.warnings == []
    if change == "everything":
        history = site.execute(f"SHOW CREATE TABLE {HISTORY}")[0][1]
        site.server.administer(f"DROP DATABASE `{site.name}`", f"CREATE DATABASE `{site.name}`")
        site.execute(history)
    elif change == "something":
        with site.session() as execute:
            execute("SET SESSION sql_mode = 'ORACLE'")
            execute("DROP PACKAGE tools")
        site.execute(
            "DELETE FROM person", "DROP VIEW a_view", "CREATE OR REPLACE VIEW first_view AS SELECT 1 AS one", "DROP TRIGGER third",
            "DROP PROCEDURE sell", "CREATE PROCEDURE sell() SELECT 1", "CREATE FUNCTION newer() RETURNS INT RETURN 1",
            "CREATE EVENT newer ON SCHEDULE EVERY 1 DAY DO SELECT 1", "DROP EVENT off", "CREATE TABLE newer (id INT)",
            "ALTER EVENT on_ DISABLE", "CREATE VIEW newer_view AS SELECT 1 AS x",
        )  # fmt: skip
    site.restore(text, strategy)
    now, there = everything(site)
    assert now == shown
    assert there == wanted
    site.execute("DELETE FROM person")
