"""A dump of MySQL is read statement by statement, wherever the pieces that it comes in are cut."""

import pytest

from django_rclone_admin.connectors.mysql.lexer import statement_end, tokens
from django_rclone_admin.connectors.mysql.statements import COMMENT, INSERT
from django_rclone_admin.connectors.mysql.text import DumpText
from django_rclone_admin.exceptions import WrongFormat
from tests.support.mysql_site import END, HEAD

TRICKS = rb"""it''s \' \" ` ; ;; -- # /* */ /*! DELIMITER ;;
USE `x`; DROP DATABASE x;\\"""
TEXT = rb"""/*M!999999\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for Linux (x86_64)
--
-- Host: localhost    Database: site
-- ------------------------------------------------------

/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5';

--
-- Table structure for table `a``b`
--

DROP TABLE IF EXISTS `a``b`;
CREATE TABLE `a``b` (
  `x;` int(11) NOT NULL DEFAULT 1.5 COMMENT '%(tricks)s',
  `n` bigint(20) NOT NULL DEFAULT nextval(`site`.`numbers`),
  `c` int(11) DEFAULT NULL CHECK (`c` like ';%%'),
  KEY `/*` (`x;`),
  CONSTRAINT `f` FOREIGN KEY (`n`) REFERENCES `elsewhere`.`t` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='-- Dumping data for table `nothing`'
/*!50100 PARTITION BY RANGE (`x;`)
(PARTITION p0 VALUES LESS THAN (10) ENGINE = InnoDB) */;

--
-- Dumping data for table `a``b`
--

LOCK TABLES `a``b` WRITE;
/*!40000 ALTER TABLE `a``b` DISABLE KEYS */;
INSERT INTO `a``b` (`x;`, `n`) VALUES
(-1.5e-10,'%(tricks)s'),(NULL,0x00FF27),(1e5,_binary '\\');
UNLOCK TABLES;
/*!50003 SET @saved_sql_mode       = @@sql_mode */ ;
/*!50003 SET sql_mode              = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`u`@`%%`*/ /*!50003 TRIGGER tr BEFORE INSERT ON site.`a``b` FOR EACH ROW BEGIN
  SET @x = '\'; /* comment; */
  SET @y = ";;"; -- it's
END */;;
DELIMITER ;
/*!50003 SET sql_mode              = @saved_sql_mode */ ;
--
-- Dumping events for database 'site'
--
DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`u`@`%%`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 SECOND ON COMPLETION NOT PRESERVE ENABLE COMMENT 'ENABLE' DO SELECT 'x ENABLE' */ ;;
DELIMITER ;
--
-- Dumping routines for database 'site'
--
DELIMITER ;;
CREATE DEFINER=`u`@`%%` FUNCTION `f`() RETURNS int(11)
RETURN 2*/*;;*/3 /*!50000 +1 */
;;
DELIMITER ;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`u`@`%%` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select `site`.`f`() AS `f`,'`site`.`f`' AS `t`,`site`.`c` AS `c` from `site`.`site` */
/*!50002 WITH CASCADED CHECK OPTION */;
-- Dump completed on 2026-01-01
""" % {b"tricks": TRICKS}


def read(text, size):
    stage = DumpText(left_out=["history"])
    pieces = [out for at in range(0, len(text), size) for out in stage.feed(text[at : at + size])]
    return stage, b"".join([*pieces, stage.finish()])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_pieces_may_be_cut_anywhere(size):
    whole, passed_on = read(TEXT, 1 << 20)
    stage, again = read(TEXT, size)
    assert again == passed_on
    assert stage.vetter.definitions == whole.vetter.definitions


def test_tables_and_rows_are_passed_on_to_the_letter():
    _stage, passed_on = read(TEXT, 1 << 20)
    rows = TEXT[TEXT.index(b"INSERT INTO") : TEXT.index(b"UNLOCK TABLES")]
    assert rows in passed_on
    table = TEXT[TEXT.index(b"CREATE TABLE") : TEXT.index(b";\n\n--\n-- Dumping data")]
    assert table.replace(b"DEFAULT nextval(`site`.`numbers`)", b" ") in passed_on
    assert b"GLOBAL" not in passed_on
    assert b"TRIGGER" not in passed_on
    assert b"FOREIGN_KEY_CHECKS" not in passed_on


def test_definitions_are_kept_to_the_letter():
    stage, _passed_on = read(TEXT, 1 << 20)
    found = {name: each for (_kind, name), each in stage.vetter.definitions.items()}
    body = TEXT[TEXT.index(b" FOR EACH ROW") : TEXT.index(b" */;;\nDELIMITER ;\n/*!50003 SET sql_mode")]
    assert found["tr"].statement.endswith(b"TRIGGER tr BEFORE INSERT ON `a``b`" + body)
    assert found["tr"].typed.endswith(b"TRIGGER tr BEFORE INSERT ON site.`a``b`" + body)
    assert found["tr"].session.sql_mode == "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"
    assert found["f"].statement.endswith(b"RETURN 2*/*;;*/3 /*!50000 +1 */")
    assert found["e"].is_enabled
    assert found["e"].silent.endswith(b"PRESERVE DISABLE COMMENT 'ENABLE' DO SELECT 'x ENABLE'")
    assert b"select `f`() AS `f`,'`site`.`f`' AS `t`,`site`.`c` AS `c` from `site`" in found["v"].statement
    assert found["v"].statement.rstrip().endswith(b"WITH CASCADED CHECK OPTION")


def test_what_a_text_holds_is_known():
    stage, _passed_on = read(TEXT, 1 << 20)
    assert set(stage.vetter.tables) == {"a`b"}
    assert stage.with_rows == {"a`b"}
    assert stage.unknown_kinds == set()
    [default] = stage.vetter.defaults
    assert (
        default.alteration("site")
        == b"ALTER TABLE `site`.`a``b` ALTER COLUMN `n` SET DEFAULT nextval(`numbers`)"
    )


def test_statements_about_our_history_are_left_out():
    rows = b"CREATE TABLE `history` (`a` int);\nLOCK TABLES `history` WRITE;\nINSERT INTO `history` VALUES (1);\n"
    _stage, passed_on = read(HEAD + b"site\n" + rows + b"CREATE TABLE `b` (`a` int);\n" + END, 1 << 20)
    assert passed_on == b"CREATE TABLE `b` (`a` int);\n"


@pytest.mark.parametrize(
    "value",
    [
        "f()", "e1(1)", "1e1x(2)", "NULL(1)", "1NULL(1)", "1)-- '\n", "--1", "@a", "0x1g", "`a`", '"a"', "DEFAULT(a)",
        "1) ON DUPLICATE KEY UPDATE a=(1", "1)/* ' */,(1", "1)#'\n", "LOAD_FILE('/etc/passwd')", "(SELECT 1)",
        "0x11NULL(1)", "_binary(1)", "'a'f(1)", "1 f(1)", "CURRENT_USER", f"0x{'A' * 100}g", f"'{'a' * 100}' f(1)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_rows_hold_plain_values_alone(value, size):
    text = (
        HEAD + b"site\nCREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (" + value.encode() + b");\n" + END
    )
    with pytest.raises(WrongFormat):
        read(text, size)


@pytest.mark.parametrize(
    "cut", ["CREATE TABLE `t` (`a` int", "CREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES ('"]
)
def test_text_that_ends_in_a_statement_is_refused(cut):
    with pytest.raises(WrongFormat, match="cut off"):
        read(HEAD + b"site\n" + cut.encode() + END, 1 << 20)


def test_our_own_dumps_are_read_alike():
    text = TEXT.replace(b";;\nUSE", b";;\\nUSE")  # the programs write a line break in a string as an escape
    stage = DumpText(is_ours=True)
    list(stage.feed(text))
    stage.finish()
    whole, _passed_on = read(text, 1 << 20)
    assert stage.vetter.tables == whole.vetter.tables
    assert stage.vetter.definitions == whole.vetter.definitions
    assert stage.refused == []


ONE_LINE = rb"""(1,'a),(b','(\\'),(2,'it\'s (','\\\'),('),(3,'',NULL),(4,'''(','\n),('),(5,_binary '(\0',0x28),(-6e5,'x',1.5)"""


@pytest.mark.parametrize("rows", [b" " + ONE_LINE, ONE_LINE.replace(b"),(-", b"),\n  (-")])
@pytest.mark.parametrize("options", [{"is_ours": True}, {"counts_rows": True}], ids=["ours", "stored"])
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_rows_are_counted_that_are_all_in_one_line(rows, options, size):
    """The program of MySQL, which is not here, writes them so; that of MariaDB gives each row its line."""
    text = HEAD + b"site\nCREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES" + rows + b";\n" + END
    stage = DumpText(**options)
    for at in range(0, len(text), size):
        list(stage.feed(text[at : at + size]))
    stage.finish()
    assert stage.rows == {"t": 6}


def test_patterns_mean_the_same_in_each_release_of_python():
    """Python 3.11.4 and older can end a possessive group at a wrong place; Debian 12 has such a release."""
    for text in (b"/*1 a * b/", b"/* a", b"/*!50003 a */"):
        assert COMMENT.match(text) is None
    assert COMMENT.match(b"/* a * b **/ c")[0] == b"/* a * b **/"
    assert INSERT.match(b"INSERT INTO `t` (`a`, `b` ) VALUES (1)")[4] == b"(`a`, `b` ) "
    assert INSERT.match(b"INSERT INTO `t` (`a`, ) VALUES (1)") is None
    assert INSERT.match(b"INSERT IGNOREINTO `t` VALUES (1)") is None
    assert [(each.kind, each.text) for each in tokens(b"1e+x")] == [
        ("word", b"1e"),
        ("sign", b"+"),
        ("word", b"x"),
    ]
    for text in (b"SET a = 1 - 2 /* ; */ -- ;\n;", b"SET a = ';' \"`;`\" `;`, 8 / 4 - -2;"):
        assert statement_end(text, 0, b";", is_escaped=True) == len(text) - 1
    assert statement_end(b"SET a = 'it''s;", 0, b";", is_escaped=True) is None
