"""Whatever goes wrong between us and MariaDB: the live schema is exactly as before or exactly as in the backup."""

import os
import random
import signal
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic

import pymysql
import pytest

from django_rclone_admin.engine.mysql import DumpText
from tests.support import leaks, programs
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.mysql import PASSWORD
from tests.support.programs import DOWNLOAD
from tests.support.servers import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.mysql

OURS = "--skip-column-names"
"""An argument of the client when it carries out our own statements."""
LOADING = rf"^(?!.*{OURS})"

DEFINITIONS = (
    "CREATE TRIGGER cheap BEFORE INSERT ON shop_product FOR EACH ROW SET NEW.price = 1",
    "CREATE VIEW prices AS SELECT id, price FROM shop_product",
    "CREATE PROCEDURE sell() DELETE FROM shop_product",
)
OTHERS = (
    "DROP TRIGGER cheap",
    "CREATE TRIGGER dear BEFORE INSERT ON shop_product FOR EACH ROW SET NEW.price = 99",
    "CREATE OR REPLACE VIEW prices AS SELECT id, name FROM shop_product",
    "CREATE OR REPLACE PROCEDURE sell() SELECT 2",
    "DELETE FROM shop_orderline",
    "CREATE TABLE newer (id INT)",
)


@pytest.fixture
def shop(make_shop, mysql_server):
    shop = make_shop("mysql", SAFETY_BACKUP=False)
    yield shop
    # Nothing but what is kept for undo may be left on the server.
    left = [name for name in mysql_server.schemas(f"{shop.name}_dra_") if not name.endswith("_kept")]
    assert left == []


@pytest.fixture
def backed_up(shop):
    """The shop, with a backup, and changed since then so that a restore would be seen."""
    for statement in DEFINITIONS:
        shop.execute(statement)
    assert shop.manage("dbbackup").code == 0
    for statement in OTHERS:
        shop.execute(statement)
    return shop


@pytest.fixture
def dump(shop, tmp_path):
    """A dump in a local file, of the shop before it was changed."""
    path = tmp_path / "dump.sql"
    assert shop.manage("dbbackup", f"--output-path={path}").code == 0
    shop.execute("DELETE FROM shop_orderline")
    return path


def use_programs(shop, program):
    shop.settings["DJANGO_RCLONE"].setdefault("CONNECTOR_OPTIONS", {})["default"] = {
        "BIN_DIR": str(program.parent)
    }


def restore(shop, *arguments):
    return shop.manage("dbrestore", "--noinput", *arguments)


# -- dumps --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [-signal.SIGKILL, 1, 0], ids=["killed", "fails", "lies"])
def test_backup_leaves_nothing_when_the_dump_ends_half_way(shop, tmp_path, mysql_server, status):
    real = mysql_server.bin_dir / "mariadb-dump"
    use_programs(
        shop,
        programs.cut_output(
            tmp_path / "bin", "mariadb-dump", real, after=9000, status=status, when="single-transaction"
        ),
    )
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), "^mariadb-dump")


def test_backup_refuses_arguments_without_which_its_end_can_not_be_known(shop):
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"DUMP_ARGS": ["--compact"]}}
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), "^mariadb-dump ended without the line")


@pytest.mark.parametrize("end", ["byte", "half", "line", "last"])
def test_restore_changes_nothing_when_the_text_is_cut(shop, dump, end):
    text = dump.read_bytes()
    *lines, _last = text.splitlines(keepends=True)
    cut = {"byte": 1, "half": len(text) // 2, "line": len(b"".join(lines)), "last": len(text) - 1}[end]
    dump.write_bytes(text[:cut])
    with nothing_changes(shop):
        assert_failed(restore(shop, f"--input-file={dump}"), "is not SQL text|is cut off")


@pytest.mark.parametrize(
    "statement, expected",
    [
        ("INSERT INTO shop_order SELECT * FROM shop_order LIMIT 1;", r"ERROR 1062 \(23000\)"),
        ("USE `mysql`;", "says by itself into which database"),
        ("\\! touch /tmp/never", "ERROR"),
    ],
)
def test_restore_changes_nothing_when_the_last_statement_fails(shop, dump, statement, expected):
    head, mark, tail = dump.read_bytes().rpartition(b"-- Dump completed")
    dump.write_bytes(head + statement.encode() + b"\n" + mark + tail)
    with nothing_changes(shop):
        assert_failed(restore(shop, f"--input-file={dump}"), expected)


def test_lines_are_judged_however_the_text_is_cut_into_pieces():
    text = (
        b"-- MariaDB dump 10.19\nCREATE TABLE `a``b` (\n  `x` int);\nINSERT INTO `a``b` VALUES\n(1,'"
        + b"USE `x`" * 20_000
        + b"');\n/*!50106 CREATE*/ /*!50117 DEFINER=`u`@`%`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 SECOND"
        b" ON COMPLETION NOT PRESERVE ENABLE DO SELECT 1 */ ;;\n-- Dump completed on 2026-01-01\n"
    )
    for size in (1, 7, 1000, 1 << 20):
        stage, whole = DumpText(silence_events=True), b"/*M!999999\\- enable the sandbox mode */ \n" + text
        pieces = [out for at in range(0, len(whole), size) for out in stage.feed(whole[at : at + size])]
        assert b"".join([*pieces, stage.finish()]) == text.replace(b"PRESERVE ENABLE", b"PRESERVE DISABLE")
        assert (stage.tables, stage.enabled_events) == ({"a`b"}, {"e"})


# -- servers and rights -------------------------------------------------------------------------------------------------


def test_wrong_password_is_said_and_not_shown(backed_up):
    entry = backed_up.settings["DATABASES"]["default"]
    entry["PASSWORD"] = "closed-on-sundays"
    for command in (["dbbackup"], ["dbrestore", "--noinput"]):
        result = backed_up.manage(*command)
        assert result.code == 1
        assert "Access denied" in result.err
        assert "Hint: " in result.err
        assert "closed-on-sundays" not in result.out + result.err
    entry["PASSWORD"] = PASSWORD


def test_a_server_that_is_gone_is_said(backed_up):
    entry = backed_up.settings["DATABASES"]["default"]
    port, entry["PORT"] = entry["PORT"], free_port()
    result = backed_up.manage("dbbackup")
    assert result.code == 1
    assert "Can't connect" in result.err
    entry["PORT"] = port


def test_user_who_may_not_create_a_schema_is_told_what_to_do(backed_up, mysql_server):
    name = backed_up.name
    mysql_server.administer(
        "CREATE OR REPLACE USER narrow IDENTIFIED BY 'n'", rf"GRANT ALL ON `{name}`.* TO narrow"
    )
    entry = backed_up.settings["DATABASES"]["default"]
    backed_up.settings["DATABASES"]["default"] = entry | {"USER": "narrow", "PASSWORD": "n"}
    with nothing_changes(backed_up):
        result = restore(backed_up)
        assert_failed(result, "may not create the schema")
    assert "--strategy in_place" in result.err
    assert f"GRANT ALL ON `{name.replace('_', chr(92) + '_')}\\_dra\\_%`" in result.err


def test_nothing_changes_where_we_may_not_put_back_what_belongs_to_another(backed_up, mysql_server):
    name = backed_up.name
    mysql_server.administer(
        f"CREATE TRIGGER `{name}`.roots BEFORE DELETE ON `{name}`.shop_product FOR EACH ROW SET @x = 1"
    )
    before = mysql_server.text(name)
    assert_failed(restore(backed_up), "1227")
    assert mysql_server.text(name) == before


def test_password_is_in_no_argument_list(backed_up, tmp_path, rclone_binary):
    add_noise(backed_up)
    assert backed_up.manage("dbbackup").code == 0
    held = programs.hold_output(tmp_path / "bin", "rclone", rclone_binary, after=500_000, when=DOWNLOAD)
    backed_up.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = backed_up.start("dbrestore", "--noinput")
    held.wait()
    loaders = [line for line in _command_lines() if "--binary-mode" in line]
    assert loaders
    assert not [line for line in _command_lines() if PASSWORD in line]
    held.release()
    assert backed_up.finish(process).code == 0


def _command_lines():
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield file.read_bytes().replace(b"\0", b" ").decode(errors="replace")


# -- kills --------------------------------------------------------------------------------------------------------------


def test_restore_changes_nothing_when_its_client_is_killed(backed_up, tmp_path, mysql_server):
    real = mysql_server.bin_dir / "mariadb"
    use_programs(backed_up, programs.cut_input(tmp_path / "bin", "mariadb", real, after=20_000, when=LOADING))
    before = mysql_server.text(backed_up.name)
    with nothing_changes(backed_up):
        assert_failed(restore(backed_up), "^mariadb was killed")
    assert mysql_server.text(backed_up.name) == before


def test_next_restore_removes_what_a_killed_one_left(backed_up, tmp_path, rclone_binary, mysql_server):
    add_noise(backed_up)
    assert backed_up.manage("dbbackup").code == 0
    wanted = mysql_server.text(backed_up.name)
    backed_up.execute("DELETE FROM noise")
    wrecked = mysql_server.text(backed_up.name)
    held = programs.hold_output(tmp_path / "bin", "rclone", rclone_binary, after=500_000, when=DOWNLOAD)
    backed_up.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = backed_up.start("dbrestore", "--noinput")
    held.wait()
    assert backed_up.kill(process).code == -signal.SIGKILL
    assert mysql_server.text(backed_up.name) == wrecked
    assert len(mysql_server.schemas(f"{backed_up.name}_dra_")) == 1

    backed_up.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    assert restore(backed_up).code == 0
    assert mysql_server.text(backed_up.name) == wanted


CUT = """
script = sys.argv[0] + ".script"
if {ours!r} in arguments and not os.path.exists(script):
    lines = sys.stdin.buffer.read().splitlines(keepends=True)
    open(script, "wb").write(b"".join(lines))
    process = start(stdin=PIPE)
    process.stdin.write(b"".join(lines[:{lines}]))
    process.stdin.close()
    process.wait()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_client_that_dies_on_the_way_through_the_exchange(backed_up, tmp_path, mysql_server):
    """Before the tables changed places it is all taken back, and from then on it is finished."""
    name, real = backed_up.name, mysql_server.bin_dir / "mariadb"

    def killed_after(lines):
        folder = tmp_path / f"after{lines}"
        use_programs(backed_up, programs.wrapper(folder, "mariadb", real, CUT.format(ours=OURS, lines=lines)))
        return restore(backed_up), (folder / "mariadb.script").read_text().splitlines()

    before = mysql_server.text(name)
    result, script = killed_after(0)
    [exchange] = [number for number, line in enumerate(script) if line.startswith("RENAME TABLE")]
    assert any(line.startswith("DROP TRIGGER") for line in script[:exchange])
    for lines in (3, exchange):
        assert_failed(result, "mariadb was killed")
        assert mysql_server.text(name) == before
        result, _script = killed_after(lines)
    assert_failed(result, "mariadb was killed")
    assert mysql_server.text(name) == before

    after = []
    for lines in (exchange + 1, (exchange + len(script)) // 2, len(script)):
        result, _script = killed_after(lines)
        assert result.code == 0, result.err
        after.append(mysql_server.text(name))
        undone = backed_up.manage("dbrestore", "--undo", "--noinput")
        assert undone.code == 0, undone.err
        assert mysql_server.text(name) == before
    assert after == after[:1] * 3


def test_what_a_killed_client_waits_for_does_not_happen_later(backed_up, mysql_server):
    name = backed_up.name
    before = mysql_server.text(name)
    with closing(mysql_server.superuser_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM `{name}`.shop_product LIMIT 1")
        process = backed_up.start("dbrestore", "--noinput")
        wait_for(lambda: _waiting(mysql_server, name))
        assert_failed(_kill("mariadb", process, backed_up, mysql_server), "mariadb was killed")
        assert _waiting(mysql_server, name) == 0
    assert mysql_server.text(name) == before


def _waiting(server, name):
    """Return how many connections wait until they may have the tables of a schema."""
    with closing(server.superuser_connection()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table%%' AND DB LIKE %s",
            [f"{name}_dra%"],
        )
        return cursor.fetchone()[0]


@pytest.mark.slow
def test_kills_at_any_moment(backed_up, mysql_server):
    name, seen = backed_up.name, {"before": 0, "after": 0}
    started = monotonic()
    assert restore(backed_up).code == 0
    lasts = monotonic() - started
    after = mysql_server.text(name)
    for number in range(10):
        if mysql_server.text(name) == after:
            for statement in OTHERS:
                backed_up.execute(statement)
        backed_up.execute(f"UPDATE shop_product SET price = {number}")
        before = mysql_server.text(name)
        process = backed_up.start("dbrestore", "--noinput")
        with suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0.3, 1.0) * lasts)
        result = _kill(
            ("ourselves", "rclone", "mariadb", "connection")[number % 4], process, backed_up, mysql_server
        )
        now = mysql_server.text(name)
        assert now in (before, after)
        if result.code >= 0:
            assert (now == after) is (result.code == 0)
        seen["after" if now == after else "before"] += 1
    assert sum(seen.values()) == 10
    assert restore(backed_up).code == 0
    assert mysql_server.text(name) == after


def _kill(victim, process, shop, server):
    """Kill one of those that take part in a restore, and return the result of our process."""
    if victim == "ourselves":
        return shop.kill(process)  # its programs come to their end
    if victim == "connection":
        with closing(server.superuser_connection()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB LIKE %s", [f"{shop.name}_dra%"]
            )
            for (number,) in cursor.fetchall():
                with suppress(pymysql.Error):  # it has ended by itself
                    cursor.execute(f"KILL {number}")
    for pid in leaks.descendants(process.pid):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == victim:
                os.kill(pid, signal.SIGKILL)
    return shop.finish(process)
