"""The manifest says what a dump of MariaDB holds; what is missing and was not asked for fails the backup."""

import pytest

from django_rclone_admin.connectors.mysql import MysqlDumpConnector
from django_rclone_admin.exceptions import BackupError, ProgramFailed, UsageError
from tests.support.mysql_site import open_site

pytestmark = pytest.mark.mysql

EVERY_KIND = (
    "CREATE TABLE person (id INT PRIMARY KEY, name VARCHAR(20))",
    "INSERT INTO person VALUES (1, 'Ada')",
    "CREATE TABLE secret (id INT PRIMARY KEY)",
    "INSERT INTO secret VALUES (1)",
    "CREATE SEQUENCE numbers",
    "CREATE VIEW people AS SELECT name FROM person",
    "CREATE TRIGGER before_person BEFORE INSERT ON person FOR EACH ROW SET NEW.name = 'x'",
    "CREATE FUNCTION one() RETURNS INT RETURN 1",
    "CREATE PROCEDURE nothing() SELECT 1",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM secret",
)
OBJECTS = {
    "tables": ["person", "secret"],
    "sequences": ["numbers"],
    "views": ["people"],
    "triggers": ["before_person"],
    "functions": ["one"],
    "procedures": ["nothing"],
    "events": ["nightly"],
}
ALL = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "EXECUTE", "LOCK TABLES")


@pytest.fixture
def site(mysql_server, django_db_blocker):
    with django_db_blocker.unblock(), open_site(mysql_server) as site:
        site.execute(*EVERY_KIND)
        yield site


def account_with(site, *rights):
    """Create an account that has these rights alone in the schema of the site."""
    return site.server.create_account(f"{', '.join(rights)} ON `{site.name}`.*")


def test_objects_are_those_of_the_dump(site):
    _text, contents = site.dump()
    assert contents.objects == OBJECTS
    assert contents.left_out == {}
    assert contents.warnings == []


def test_an_account_that_sees_all_but_the_bodies_of_others_fails(site):
    account = account_with(site, *ALL)
    with pytest.raises(ProgramFailed) as raised:
        site.dump(CONNECTION=account)
    assert "SHOW CREATE ROUTINE" in raised.value.hint
    site.server.grant(account, "SELECT ON mysql.proc")
    _text, contents = site.dump(CONNECTION=account)
    assert contents.objects == OBJECTS


@pytest.mark.parametrize(
    "lacking, named",
    [
        ("SELECT", "."),
        ("SHOW VIEW", "people|SHOW VIEW|1142"),
        ("TRIGGER", "triggers: before_person"),
        ("EVENT", "events: nightly|1044"),
        ("EXECUTE", "functions: one; procedures: nothing|procedures: nothing; functions: one"),
    ],
)
def test_an_account_without_one_right_fails(site, lacking, named):
    account = account_with(site, *(right for right in ALL if right != lacking))
    if lacking != "EXECUTE":
        site.server.grant(account, "SELECT ON mysql.proc")
    with pytest.raises(BackupError, match=named) as raised:
        site.dump(CONNECTION=account)
    assert raised.value.hint


def test_an_account_with_rights_on_some_tables_fails_with_the_names_of_the_others(site):
    account = site.server.create_account(f"SELECT ON `{site.name}`.person", f"EVENT ON `{site.name}`.*")
    with pytest.raises(ProgramFailed) as raised:
        site.dump(CONNECTION=account)
    assert "tables: secret" in str(raised.value)
    assert "views: people" in str(raised.value)
    assert "person" not in str(raised.value).replace("before_person", "")


def test_what_the_site_itself_may_not_see_is_a_warning(site, mysql_server):
    site.log_in(**account_with(site, "SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "LOCK TABLES", "INSERT"))
    _text, contents = site.dump()
    assert "functions" not in contents.objects
    assert "functions and procedures" in contents.warnings[0]
    assert "Grant EXECUTE" in contents.warnings[0]


@pytest.mark.parametrize(
    "arguments, left_out",
    [
        (["--skip-triggers"], {"triggers": ["before_person"]}),
        (["--disable-triggers"], {"triggers": ["before_person"]}),
        (["--triggers=0"], {"triggers": ["before_person"]}),
        (["--skip_routines"], {"functions": ["one"], "procedures": ["nothing"]}),
        (["--skip-events"], {"events": ["nightly"]}),
        (["--no-data"], {"rows": ["person", "secret"]}),
        (["--ignore-table-d={name}.secret"], {"rows": ["secret"]}),
        (["-d"], {"rows": ["person", "secret"]}),
        (["-qd"], {"rows": ["person", "secret"]}),
        (["--where=1=0"], {"rows": ["person", "secret"]}),
        (["--where", "1=0"], {"rows": ["person", "secret"]}),
        (["-w1=0"], {"rows": ["person", "secret"]}),
        (["--ignore-table={name}.secret"], {"tables": ["secret"]}),
        (["--ignore-table={name}.person"], {"tables": ["person"], "triggers": ["before_person"]}),
        (["--ignore-table", "{name}.people"], {"views": ["people"]}),
        (["--ignore-table=other.secret"], {}),
        (["--ignore-table-data={name}.secret"], {"rows": ["secret"]}),
        (["--skip-extended-insert"], {}),
    ],
)
def test_what_arguments_leave_out_is_named(site, arguments, left_out):
    _text, contents = site.dump(DUMP_ARGS=[each.replace("{name}", site.name) for each in arguments])
    assert contents.left_out == left_out


def test_view_whose_table_is_left_out_is_named(site):
    _text, contents = site.dump(DUMP_ARGS=[f"--ignore-table={site.name}.person"])
    assert ["people may need" in each and "(person)" in each for each in contents.warnings] == [True]
    _text, contents = site.dump(
        DUMP_ARGS=[f"--ignore-table={site.name}.{each}" for each in ("person", "people")]
    )
    assert contents.warnings == []


def test_a_safety_backup_leaves_nothing_out(site):
    options = {
        "EXCLUDE_TABLES": ["secret"],
        "CONNECTION": {"HOST": "replica.invalid"},
        "DUMP_ARGS": [
            "--skip-lock-tables", "--where", "1=0", "-d", "-qd", "--ignore-table=x.secret", "--skip-triggers", "--force", "-q",
        ],
        "ENV": {"A": "b"},
    }  # fmt: skip
    kept = MysqlDumpConnector.safety_options(options)
    assert kept == {"DUMP_ARGS": ["--skip-lock-tables", "-q"], "ENV": {"A": "b"}}
    _text, contents = site.dump(**kept)
    assert contents.objects == OBJECTS
    assert contents.left_out == {}


@pytest.mark.parametrize(
    "argument",
    [
        "--no-create-info", "-t", "--no-create-i", "--all-databases", "-A", "--databases", "-B", "--compact", "--xml", "-X",
        "--tab=/tmp", "-T/tmp", "--result-file=x", "-rx", "--force", "-f", "--insert-ignore", "--skip-comments",
        "--help", "-?", "--host=elsewhere", "-hx", "--default-character-set=latin1", "--skip-create-options",
        "--as-of=2020-01-01", "--tables", "person", "--master-data=1", "--flush-privileges", "--system=users",
    ],
)  # fmt: skip
def test_arguments_with_which_a_backup_could_not_be_restored_are_refused(site, argument):
    with pytest.raises(UsageError, match="DUMP_ARGS"):
        site.connector(DUMP_ARGS=["--quick", argument]).source()


def test_excluded_tables_and_views_are_named(site):
    text, contents = site.dump(EXCLUDE_TABLES=["secret", "people"])
    assert contents.left_out == {"rows": ["secret"], "views": ["people"]}
    assert contents.objects["tables"] == ["person", "secret"]
    site.restore(text, "swap")
    assert site.execute("SELECT * FROM secret") == []


def test_an_option_file_leaves_nothing_out_unnoticed(site, tmp_path):
    file = tmp_path / "options.cnf"
    entry = site.entry
    login = f"[client]\nhost={entry['HOST']}\nport={entry['PORT']}\nuser=root\nsocket={site.server.socket}\n"
    file.write_text(
        f"{login}[mysqldump]\nno-data\nno-create-info\nwhere=1=0\nignore-table={site.name}.secret\n"
    )
    file.chmod(0o644)
    with pytest.raises(ProgramFailed, match=r"lacks .*tables: secret.*rows: person"):
        site.dump(CONNECTION={"OPTIONS": {"read_default_file": str(file)}})


@pytest.mark.parametrize("statement", ["DROP TABLE person", "ALTER TABLE person DROP COLUMN name"])
def test_a_broken_view_is_named_and_can_be_left_out(site, statement):
    site.execute("DROP TRIGGER before_person", statement)
    with pytest.raises(ProgramFailed, match="people") as raised:
        site.dump()
    assert "EXCLUDE_TABLES" in raised.value.hint
    _text, contents = site.dump(EXCLUDE_TABLES=["people"])
    assert contents.left_out == {"views": ["people"]}


def test_a_view_of_an_account_that_is_gone_does_not_stop_backups(site):
    site.server.administer(
        "CREATE OR REPLACE USER gone IDENTIFIED BY 'g'",
        f"CREATE DEFINER=gone VIEW `{site.name}`.stale AS SELECT * FROM `{site.name}`.person",
        "DROP USER gone",
    )
    assert site.dump()[1].objects["views"] == ["people", "stale"]
    assert site.dump(EXCLUDE_TABLES=["stale"])[1].left_out == {"views": ["stale"]}


def test_an_event_on_which_the_dump_program_never_ends_is_named(site):
    site.execute("CREATE EVENT endless ON SCHEDULE EVERY 1 DAY DO SET @a = ';;'")
    with pytest.raises(ProgramFailed, match="endless") as raised:
        site.dump()
    assert "--skip-events" in raised.value.hint
    _text, contents = site.dump(DUMP_ARGS=["--skip-events"])
    assert contents.left_out == {"events": ["endless", "nightly"]}


HISTORY = "SELECT id, amount FROM price FOR SYSTEM_TIME ALL ORDER BY amount"


@pytest.mark.parametrize("strategy", ["swap", "in_place"])
def test_the_history_of_rows_comes_back(site, strategy):
    site.execute(
        "CREATE TABLE price (id INT PRIMARY KEY, amount INT) WITH SYSTEM VERSIONING",
        "INSERT INTO price VALUES (1, 10)",
        "UPDATE price SET amount = 11",
        "UPDATE price SET amount = 12",
    )
    text, contents = site.dump()
    assert contents.left_out == {}
    assert "price" in contents.objects["tables"]
    site.execute("DELETE FROM price", "DROP TABLE secret")
    site.restore(text, strategy)
    assert site.execute(HISTORY) == [(1, 10), (1, 11), (1, 12)]
    assert site.execute("SELECT id, amount FROM price") == [(1, 12)]


def test_a_history_that_can_not_be_dumped_is_named(site):
    site.execute(
        "CREATE TABLE price (id INT PRIMARY KEY, amount INT) WITH SYSTEM VERSIONING",
        """
        CREATE TABLE exact (id INT PRIMARY KEY, first BIGINT UNSIGNED GENERATED ALWAYS AS ROW START,
            last BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME(first, last))
            WITH SYSTEM VERSIONING ENGINE=InnoDB
        """,
    )
    _text, contents = site.dump()
    assert contents.left_out == {"row_history": ["exact", "price"]}
    assert "exact, price" in contents.warnings[0]
    site.execute("DROP TABLE exact")
    _text, contents = site.dump(DUMP_ARGS=["--skip-dump-history"])
    assert contents.left_out == {"row_history": ["price"]}
