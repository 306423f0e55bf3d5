"""What is complete restores into the MariaDB that it came from, by swap and in place."""

import pytest

from django_rclone_admin.exceptions import RestoreRefused
from tests.support.mysql_site import open_site
from tests.support.servers import own_settings

pytestmark = pytest.mark.mysql

STRATEGIES = ("swap", "in_place")


@pytest.fixture
def site(mysql_server, django_db_blocker):
    with django_db_blocker.unblock(), open_site(mysql_server) as site:
        yield site


@pytest.fixture
def badges(site):
    """Another schema with foreign keys to tables of the first one."""
    name = f"{site.name}_badges"
    site.execute(
        "CREATE TABLE person (id INT PRIMARY KEY, name VARCHAR(50), UNIQUE (name, id))",
        "INSERT INTO person VALUES (1, 'a'), (2, 'b')",
    )
    site.server.administer(
        f"CREATE DATABASE `{name}`",
        f"""
        CREATE TABLE `{name}`.badge (id INT PRIMARY KEY, person_id INT, person_name VARCHAR(50),
            FOREIGN KEY (person_id) REFERENCES `{site.name}`.person (id) ON DELETE CASCADE,
            CONSTRAINT `odd ``key`` REFERENCES` FOREIGN KEY (person_name, person_id)
            REFERENCES `{site.name}`.person (name, id) ON UPDATE CASCADE)
        """,
        f"INSERT INTO `{name}`.badge VALUES (1, 1, 'a')",
    )
    yield name
    site.server.drop_databases(name)


def keys(site, badges):
    """Return what the server says of the table that points at ours."""
    return site.execute(f"SHOW CREATE TABLE `{badges}`.badge")[0][1]


@pytest.mark.in_turns("strategy")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_foreign_keys_of_another_schema_point_at_the_live_table(site, badges, strategy):
    before = sorted(keys(site, badges).splitlines())
    text, _contents = site.dump()
    site.execute("INSERT INTO person VALUES (3, 'c')")
    kept = []
    for _number in range(2):
        sink = site.restore(text, strategy)
        kept.append(site.connector().kept(sink))
        assert sorted(keys(site, badges).splitlines()) == before
        site.execute("INSERT INTO person VALUES (4, 'd')", f"INSERT INTO `{badges}`.badge VALUES (4, 4, 'd')")
        site.execute("DELETE FROM person WHERE id = 4")
        assert site.execute(f"SELECT id FROM `{badges}`.badge") == [(1,)]
    if strategy == "swap":
        assert site.server.schemas(f"{site.name}_dra_") == kept[1:]
        site.connector().put_back(kept[1], f"{site.name}_dra_00000000_kept")
        assert sorted(keys(site, badges).splitlines()) == before
        site.execute("INSERT INTO person VALUES (5, 'e')", f"INSERT INTO `{badges}`.badge VALUES (5, 5, 'e')")


def test_foreign_keys_that_we_may_not_change_are_found_out_before(site, badges):
    account = site.server.create_account(
        f"ALL ON `{site.name}`.*", f"ALL ON `{site.name}\\_dra\\_%`.*", f"SELECT ON `{badges}`.*"
    )
    text, _contents = site.dump()
    before = site.text(), keys(site, badges)
    site.log_in(**account)
    with pytest.raises(RestoreRefused, match="badge") as raised:
        site.restore(text, "swap")
    assert "Nothing was changed" in raised.value.hint
    assert "ALTER" in raised.value.hint
    assert (site.text(), keys(site, badges)) == before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_defaults_from_sequences(site, strategy):
    site.execute(
        "CREATE SEQUENCE zz_numbers START WITH 100",
        "CREATE TABLE ticket (id BIGINT PRIMARY KEY DEFAULT NEXT VALUE FOR zz_numbers, note VARCHAR(20) DEFAULT 'x')",
        "CREATE TABLE twice (id BIGINT PRIMARY KEY DEFAULT (nextval(zz_numbers) * 2), n INT NOT NULL)",
        "INSERT INTO ticket (note) VALUES ('a'), ('b')",
    )
    before = site.execute("SHOW CREATE TABLE ticket"), site.execute("SHOW CREATE TABLE twice")
    text, contents = site.dump()
    assert contents.objects["sequences"] == ["zz_numbers"]
    for change in ("DELETE FROM ticket", "DROP TABLE ticket, twice; DROP SEQUENCE zz_numbers"):
        site.execute(*change.split("; "))
        sink = site.restore(text, strategy)
        assert (site.execute("SHOW CREATE TABLE ticket"), site.execute("SHOW CREATE TABLE twice")) == before
        assert site.execute("SELECT id, note FROM ticket ORDER BY id") == [(100, "a"), (101, "b")]
        site.execute("INSERT INTO ticket (note) VALUES ('c')", "INSERT INTO twice (n) VALUES (1)")
        assert site.execute("SELECT count(*) FROM ticket") == [(3,)]
    if strategy == "swap":
        site.connector().put_back(site.connector().kept(sink), f"{site.name}_dra_00000000_kept")
        assert site.execute("SHOW TABLES LIKE 'ticket'") == []


@pytest.mark.in_turns("strategy")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_longer_than_a_statement(site, strategy):
    """The server takes 16 MiB. A value of 9 MiB is 18 MiB in hexadecimal digits."""
    site.execute(
        "CREATE TABLE attachment (id INT PRIMARY KEY, body LONGBLOB, more LONGBLOB, words LONGTEXT)",
        "INSERT INTO attachment VALUES (1, repeat('A', 9 * 1024 * 1024), NULL, repeat('ü\\'\\\\\\n🐘', 300000))",
        "UPDATE attachment SET more = repeat(unhex('00FF275C0A'), 1000000)",
        "INSERT INTO attachment VALUES (2, 'b', 'c', 'd')",
    )
    sums = (
        "SELECT id, md5(body), length(body), md5(more), md5(words), length(words) FROM attachment ORDER BY id"
    )
    before = site.execute(sums)
    text, contents = site.dump()
    assert contents.warnings == []
    site.execute("DELETE FROM attachment")
    site.restore(text, strategy)
    assert site.execute(sums) == before


def test_a_value_that_no_statement_can_hold_is_said_at_the_backup(site):
    site.execute(
        "CREATE TABLE attachment (id INT PRIMARY KEY, body LONGBLOB)",
        "INSERT INTO attachment VALUES (1, repeat('A', 5 * 1024 * 1024))",
    )
    with own_settings(site.server.folder):
        [(packet,)] = site.execute("SELECT @@GLOBAL.max_allowed_packet")
        site.server.administer("SET GLOBAL max_allowed_packet = 1048576 * 4")
        try:
            text, contents = site.dump()
            assert "attachment has a value of 5242880 bytes" in contents.warnings[0]
            assert "raise max_allowed_packet" in contents.warnings[0]
            before = site.text()
            with pytest.raises(RestoreRefused, match="attachment") as raised:
                site.restore(text, "swap")
            assert "max_allowed_packet" in raised.value.hint
        finally:
            site.server.administer(f"SET GLOBAL max_allowed_packet = {packet}")
    assert site.text() == before


@pytest.mark.in_turns("strategy")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tables_and_rows_that_the_rules_of_today_would_not_take(site, strategy):
    columns = ", ".join(f"c{number} VARCHAR(60)" for number in range(230))
    admin = ("SET SESSION innodb_strict_mode = 0, check_constraint_checks = 0, sql_mode = ''",)
    with site.session() as execute:
        for statement in (
            *admin,
            f"CREATE TABLE wide (id INT PRIMARY KEY, {columns})",
            "INSERT INTO wide (id) VALUES (1)",
            "CREATE TABLE checked (id INT PRIMARY KEY CHECK (id > 0), day DATE)",
            "INSERT INTO checked VALUES (-1, '0000-00-00')",
        ):
            execute(statement)
    text, contents = site.dump()
    assert contents.warnings == []
    before = site.text()
    site.execute("DELETE FROM checked", "DROP TABLE wide")
    site.restore(text, strategy)
    assert site.text() == before


def test_dump_without_routines_and_events_leaves_those_of_the_site_alone(site):
    site.execute(
        "CREATE TABLE t (a INT)",
        "CREATE FUNCTION one() RETURNS INT RETURN 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "CREATE VIEW v AS SELECT one() AS a",
    )
    text, _contents = site.dump(DUMP_ARGS=["--skip-routines", "--skip-events"])
    before = site.text()
    for strategy in STRATEGIES:
        site.restore(text, strategy)
        assert site.text() == before
