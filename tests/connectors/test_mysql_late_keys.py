"""Keys are added when the rows are there, and the tables are the same to the letter; where they would not be, keys stay."""

import pytest

from django_rclone_admin.connectors.mysql import key_adder
from django_rclone_admin.connectors.mysql.text import DumpText
from django_rclone_admin.exceptions import BackupError
from tests.support.mysql_site import END, HEAD, open_site

PARENT = b"""CREATE TABLE `parent` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `co,de` varchar(20) NOT NULL COMMENT 'KEY (`x`), ',
  PRIMARY KEY (`id`),
  UNIQUE KEY `co,de` (`co,de`),
  KEY `both` (`id`,`co,de`(7)) COMMENT 'a, (b'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
"""
CHILD = b"""CREATE TABLE `child` (
  `id` bigint(20) NOT NULL,
  `parent_id` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `of_parent` (`parent_id`),
  CONSTRAINT `of_parent` FOREIGN KEY (`parent_id`) REFERENCES `parent` (`id`) ON DELETE CASCADE,
  CONSTRAINT `positive` CHECK (`id` > 0)
) ENGINE=InnoDB;
"""
KEPT = {
    "no primary key": b"CREATE TABLE `t` (`a` int, KEY `k` (`a`)) ENGINE=InnoDB;",
    "counts by a key": b"CREATE TABLE `t` (`a` int, `b` int AUTO_INCREMENT, PRIMARY KEY (`a`), KEY `k` (`b`)) ENGINE=InnoDB;",
    "full text": b"CREATE TABLE `t` (`a` int, `b` text, PRIMARY KEY (`a`), KEY (`b`(5)), FULLTEXT KEY `k` (`b`)) ENGINE=InnoDB;",
    "long unique": b"CREATE TABLE `t` (`a` int, `b` text, PRIMARY KEY (`a`), UNIQUE KEY `k` (`b`) USING HASH) ENGINE=InnoDB;",
    "generated": b"CREATE TABLE `t` (`a` int, `b` int GENERATED ALWAYS AS (`a`) VIRTUAL, PRIMARY KEY (`a`), KEY `k` (`b`)) ENGINE=InnoDB;",
    "an expression": b"CREATE TABLE `t` (`a` int, PRIMARY KEY (`a`), KEY `k` ((`a` + 1))) ENGINE=InnoDB;",
    "versions": b"CREATE TABLE `t` (`a` int, PRIMARY KEY (`a`), KEY `k` (`a`)) ENGINE=InnoDB WITH SYSTEM VERSIONING;",
    "partitions": b"CREATE TABLE `t` (`a` int, PRIMARY KEY (`a`), KEY `k` (`a`)) ENGINE=InnoDB\n PARTITION BY HASH (`a`);",
    "another engine": b"CREATE TABLE `t` (`a` int, PRIMARY KEY (`a`), KEY `k` (`a`)) ENGINE=MyISAM;",
    "a comment of a version": b"CREATE TABLE `t` (`a` int, PRIMARY KEY (`a`), KEY `k` (`a`) /*!80000 INVISIBLE */) ENGINE=InnoDB;",
    "latin1": b"/*!40101 SET NAMES latin1 */;\nCREATE TABLE `t` (`a` int, PRIMARY KEY (`a`), KEY `k` (`a`)) ENGINE=InnoDB;",
    "no keys": b"CREATE TABLE `t` (`a` int, PRIMARY KEY (`a`)) ENGINE=InnoDB;",
}


def read(*statements: bytes) -> tuple[bytes, dict[str, tuple[bytes, bytes]]]:
    """Return what is let through at once, and by table what adds its keys and its foreign keys later."""
    text = DumpText(is_empty_before=True)
    passed = b"".join(text.feed(HEAD + b"site\n" + b"\n".join(statements) + END)) + text.finish()
    late = text.vetter.late_keys
    return passed, {
        name: (each.addition(each.keys), each.addition(each.foreign_keys)) for name, each in late.items()
    }


def test_keys_come_later_in_their_order():
    passed, late = read(PARENT, CHILD)
    assert b"UNIQUE" not in passed
    assert passed.count(b"KEY") == 3  # two primary ones, and the comment
    assert b"CHECK (`id` > 0)" in passed
    assert late["parent"] == (
        b"ALTER TABLE `parent` ADD UNIQUE KEY `co,de` (`co,de`), ADD KEY `both` (`id`,`co,de`(7)) COMMENT 'a, (b';\n",
        b"",
    )
    keys, foreign = late["child"]
    assert keys == b"ALTER TABLE `child` ADD KEY `of_parent` (`parent_id`);\n"
    assert foreign.startswith(b"ALTER TABLE `child` ADD CONSTRAINT `of_parent` FOREIGN KEY (`parent_id`)")


@pytest.mark.parametrize("statement", KEPT.values(), ids=KEPT)
def test_keys_that_would_not_be_the_same_stay(statement):
    passed, late = read(statement)
    assert late == {}
    assert statement.removeprefix(b"/*!40101 SET NAMES latin1 */;\n")[:40] in passed


def test_keys_stay_without_being_asked_for():
    text = DumpText()
    passed = b"".join(text.feed(HEAD + b"site\n" + PARENT + END)) + text.finish()
    assert b"UNIQUE KEY" in passed
    assert text.vetter.late_keys == {}


def test_what_an_early_foreign_key_points_at_has_its_keys_before():
    """Without them the server would not take the table."""
    early = CHILD.replace(b"InnoDB", b"InnoDB WITH SYSTEM VERSIONING")
    passed, late = read(PARENT, early)
    assert passed.index(b"ADD UNIQUE KEY") < passed.index(b"CREATE TABLE `child`")
    assert late["parent"] == (b"", b"")
    passed, late = read(early, PARENT)
    assert b"UNIQUE KEY" in passed
    assert late == {}


def test_table_that_is_dropped_has_no_late_keys():
    _passed, late = read(PARENT, b"DROP TABLE IF EXISTS `parent`;")
    assert late == {}


@pytest.fixture
def site(mysql_server, django_db_blocker):
    with django_db_blocker.unblock(), open_site(mysql_server) as site:
        for statement in (PARENT + CHILD).decode().split(";\n"):
            if statement.strip():
                site.execute(statement)
        site.execute(
            "CREATE TABLE `é;``` (`ü` int PRIMARY KEY, `p` bigint, `n` int, KEY `z` (`n`), KEY `a` (`p`), UNIQUE KEY `m` (`n`,`p`),"
            " CONSTRAINT `ç` FOREIGN KEY (`p`) REFERENCES `parent` (`id`)) ENGINE=InnoDB",
            "CREATE TABLE words (id int AUTO_INCREMENT PRIMARY KEY, body text, n int, KEY (n), FULLTEXT KEY (body)) ENGINE=InnoDB",
            "INSERT INTO parent (`co,de`) SELECT concat('c', seq) FROM seq_1_to_50",
            "INSERT INTO child SELECT id, id FROM parent",
            "INSERT INTO `é;``` SELECT id, id, id % 7 FROM parent",
            "INSERT INTO words (body, n) SELECT `co,de`, id FROM parent",
        )
        yield site


@pytest.mark.mysql
def test_tables_are_the_same_to_the_letter(site):
    wanted = site.text()
    dump, _contents = site.dump()
    site.execute("DELETE FROM child", "DROP TABLE `é;```")
    sink = site.restore(dump, "swap")
    assert {"parent", "child", "é;`"} <= sink._text.vetter.late_keys.keys()
    assert site.text() == wanted


@pytest.mark.mysql
def test_key_that_can_not_be_added_changes_nothing(site, monkeypatch):
    dump, _contents = site.dump()
    site.execute("DELETE FROM child")
    before = site.text()
    # Rows that break a key are in no dump; a damaged server has them.
    monkeypatch.setattr(
        key_adder.LateKeys, "addition", lambda each, added: b"ALTER TABLE nothing ADD KEY (x);\n"
    )
    with pytest.raises(BackupError, match="nothing"):
        site.restore(dump, "swap")
    assert site.text() == before
    assert site.server.schemas(f"{site.name}_dra") == []
