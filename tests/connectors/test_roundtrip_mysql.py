"""What is in a MariaDB database is there again after a restore, and nothing else: rows, definitions, foreign keys."""

import pytest

from tests.support.commands import saved, stored
from tests.support.databases import execute, rows

pytestmark = pytest.mark.mysql

EVERYTHING = (
    """
    CREATE TABLE kinds (
        id INT AUTO_INCREMENT PRIMARY KEY, small TINYINT UNSIGNED, big BIGINT, exact DECIMAL(30, 10), rough DOUBLE,
        bits BIT(5), day DATE, clock TIME(3), moment DATETIME(6), stamp TIMESTAMP(6) NULL, year_ YEAR,
        words VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, latin VARCHAR(50) CHARACTER SET latin1,
        long_ LONGTEXT CHARACTER SET utf8mb4, raw LONGBLOB, fixed BINARY(4), doc JSON, choice ENUM('a', 'b''c'),
        several SET('x', 'y'), place POINT, line GEOMETRY,
        doubled INT AS (small * 2) STORED, named VARCHAR(60) AS (concat(words, '!')) VIRTUAL, KEY (big)
    ) AUTO_INCREMENT = 1000
    """,
    r"""
    INSERT INTO kinds (small, big, exact, rough, bits, day, clock, moment, stamp, year_, words, latin, long_, raw,
        fixed, doc, choice, several, place, line)
    VALUES (255, -9223372036854775808, 12345678901234567890.0123456789, 1e-300, b'10110', '1000-01-01',
        '-838:59:59.000', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.123456', 2155,
        'Grüße 🐘 日本語 \n\r\t\\ '' " ` ;; -- /* */ \\N', 'café', repeat('🧪-- Dump completed\nUSE `x`;\n', 50),
        unhex('00FF0A0D1A275C2200'), unhex('00000000'), '{"a": ["\\u00e9", null, 1e5]}', 'b''c', 'x,y',
        ST_GeomFromText('POINT(1.5 -2.5)'), ST_GeomFromText('LINESTRING(0 0, 1 1, 2 0)'))
    """,
    "INSERT INTO kinds VALUES ()",
    "INSERT INTO kinds (words, raw) VALUES ('', '')",
    "CREATE TABLE `odd ``name``, é` (`a b` INT PRIMARY KEY, `select` INT)",
    "INSERT INTO `odd ``name``, é` VALUES (1, NULL)",
    "CREATE TABLE parent (id INT PRIMARY KEY, above INT, FOREIGN KEY (above) REFERENCES parent (id))",
    """
    CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, seen INT DEFAULT 0,
        CONSTRAINT child_of FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE)
    """,
    "ALTER TABLE parent ADD COLUMN eldest INT, ADD FOREIGN KEY (eldest) REFERENCES child (id)",
    "INSERT INTO parent VALUES (1, NULL, NULL), (2, 1, NULL)",
    "INSERT INTO child (id, parent_id) VALUES (10, 1), (11, 2)",
    "UPDATE parent SET eldest = 10 WHERE id = 1",
    """
    CREATE FUNCTION count_children(which INT) RETURNS INT READS SQL DATA
    BEGIN
        -- a body of several statements; with semicolons
        RETURN (SELECT count(*) FROM child WHERE parent_id = which);
    END
    """,
    "CREATE SEQUENCE numbers START WITH 7",
    "CREATE VIEW z_first AS SELECT id, words, '🐘' AS animal FROM kinds",
    "CREATE VIEW a_second AS SELECT z_first.id, count_children(1) AS n FROM z_first",
    "CREATE TRIGGER first BEFORE INSERT ON child FOR EACH ROW SET NEW.seen = 1",
    "CREATE TRIGGER then_ BEFORE INSERT ON child FOR EACH ROW BEGIN SET NEW.seen = NEW.seen * 10 + 2; END",
    "CREATE PROCEDURE adopt(IN whom INT) BEGIN INSERT INTO child (id, parent_id) VALUES (whom, 1); SELECT 'DELIMITER ;;'; END",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY COMMENT 'at 3' DO DELETE FROM child WHERE id > 1000",
    "CREATE EVENT off ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM child",
)
CHANGES = (
    "INSERT INTO child (id, parent_id) VALUES (12, 2)",
    "DELETE FROM kinds WHERE words IS NULL",
    "ALTER TABLE kinds DROP COLUMN doubled, DROP COLUMN small, DROP COLUMN big",
    "DROP VIEW a_second",
    "DROP VIEW z_first",
    "DROP TRIGGER first",
    "DROP FUNCTION count_children",
    "DROP EVENT nightly",
    "CREATE TABLE newer (id INT PRIMARY KEY, child_id INT, FOREIGN KEY (child_id) REFERENCES child (id))",
    "INSERT INTO newer VALUES (1, 12)",
    "CREATE VIEW newer_view AS SELECT id FROM newer",
    "CREATE TRIGGER newer_trigger AFTER DELETE ON newer FOR EACH ROW SET @gone = 1",
    "CREATE PROCEDURE newer_procedure() SELECT 1",
    "CREATE EVENT newer_event ON SCHEDULE EVERY 1 DAY DO SET @x = 1",
    "DROP TABLE `odd ``name``, é`",
)


def fill(shop):
    execute(shop.settings["DATABASES"]["default"], *EVERYTHING)


@pytest.fixture
def shop(request, make_shop):
    """A shop with everything. Where the test is marked ``backed_up``, it has a backup of that, and is a copy."""
    if request.node.get_closest_marker("backed_up"):
        return make_shop("mysql", backed_up=True, prepare=fill)
    # No copy: mariadb-dump makes those as it makes our dumps, so nobody would see what it changes.
    shop = make_shop("mysql")
    fill(shop)
    return shop


@pytest.fixture
def schema(shop):
    """Name of the live schema."""
    return shop.settings["DATABASES"]["default"]["NAME"]


def change(shop):
    for statement in CHANGES:
        shop.execute(statement)
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.execute("DELETE FROM shop_orderline")


def test_everything_is_as_it_was(shop, schema, mysql_server):
    wanted = mysql_server.text(schema)
    assert shop.manage("dbbackup", "--label=before").code == 0
    assert mysql_server.text(schema) == wanted
    change(shop)
    changed = mysql_server.text(schema)
    result = shop.manage("dbrestore", "--noinput", "--json")
    assert result.code == 0, result.err
    assert mysql_server.text(schema) == wanted
    assert "Dropped a table that is not in the backup: newer." in result.json["message"]

    # Foreign keys, triggers, views and routines work on the live tables.
    shop.execute("CALL adopt(13)")
    assert shop.execute("SELECT id, seen FROM child WHERE id = 13") == [(13, 12)]
    assert shop.execute("SELECT DISTINCT n FROM a_second") == [(2,)]
    shop.execute("DELETE FROM parent WHERE id = 2")
    assert shop.execute("SELECT id FROM child ORDER BY id") == [(10,), (13,)]

    # The history was there all the time.
    runs = "SELECT kind, status, label FROM django_rclone_admin_backuprun ORDER BY created_at"
    assert [each[:2] for each in shop.execute(runs)] == [
        ("db_backup", "succeeded"),
        ("db_restore", "succeeded"),
        ("db_backup", "succeeded"),
    ]
    assert shop.execute(runs)[0][2] == "before"

    restored = mysql_server.text(schema)
    undone = shop.manage("dbrestore", "--undo", "--noinput")
    assert undone.code == 0, undone.err
    assert mysql_server.text(schema) == changed  # with what was written after the backup
    assert shop.manage("dbrestore", "--undo", "--noinput").code == 0
    assert mysql_server.text(schema) == restored
    assert len(mysql_server.schemas(f"{schema}_dra_")) == 1


@pytest.mark.backed_up
def test_restored_in_place_only_when_it_is_said(shop, schema, mysql_server):
    wanted = shop.rows()
    change(shop)
    arguments = ("--noinput", "--no-safety-backup", "--strategy=in_place", "--json", stored(shop))
    result = shop.manage("dbrestore", *arguments)
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    assert "not in the backup: newer." in result.json["message"]
    assert mysql_server.schemas(f"{schema}_dra_") == []


def test_over_a_socket_with_options_and_without_the_rows_of_some_tables(shop, mysql_server):
    databases = shop.settings["DATABASES"]
    databases["default"] = mysql_server.over_socket(databases["default"])
    databases["default"]["OPTIONS"] = {"charset": "utf8", "init_command": "SET sql_mode = 'ANSI_QUOTES'"}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {
        "default": {"EXCLUDE_TABLES": ["child", "django_session"], "DUMP_ARGS": ["--skip-extended-insert"]}
    }
    wanted = shop.rows() | {"child": []}
    view = shop.execute("SHOW CREATE VIEW z_first")
    dump = saved(shop)
    change(shop)
    result = shop.manage("dbrestore", "--noinput", "--no-safety-backup", dump)
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    assert shop.execute("SHOW CREATE VIEW z_first") == view


@pytest.mark.backed_up
def test_into_another_database_that_is_empty(shop, mysql_server):
    name = mysql_server.create_database(f"{shop.name}_empty")["NAME"]
    shop.settings["DATABASES"]["default"]["NAME"] = name
    result = shop.manage("dbrestore", "--noinput")
    assert result.code == 0, result.err
    assert shop.manage("migrate", "--check").code == 0
    original = {**shop.settings["DATABASES"]["default"], "NAME": shop.name}
    assert shop.rows(ignore=["django_migrations"]) == rows(original, ["django_migrations"])
    [(status,)] = execute(
        shop.settings["DATABASES"]["default"], "SELECT status FROM django_rclone_admin_backuprun"
    )
    assert status == "succeeded"
