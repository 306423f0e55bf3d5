"""Whatever goes wrong between us and MariaDB: the live schema is exactly as before or exactly as in the backup."""

import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.commands import stored
from tests.support.faults import MORE_THAN_A_CHUNK, add_noise, assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.mysql import PASSWORD
from tests.support.mysql_shop import restore, use_programs
from tests.support.programs import DOWNLOAD
from tests.support.servers import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.mysql


@pytest.fixture
def dump(mysql_shop, tmp_path):
    """A dump in a local file, of the mysql_shop before it was changed."""
    path = tmp_path / "dump.sql"
    assert mysql_shop.manage("dbbackup", f"--output-path={path}").code == 0
    mysql_shop.execute("DELETE FROM shop_orderline")
    return path


# -- dumps --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sampled([-signal.SIGKILL, 1, 0], -signal.SIGKILL, 0))
def test_backup_leaves_nothing_when_the_dump_ends_half_way(mysql_shop, tmp_path, mysql_server, status):
    real = mysql_server.bin_dir / "mariadb-dump"
    use_programs(
        mysql_shop,
        programs.cut_output(
            tmp_path / "bin", "mariadb-dump", real, after=9000, status=status, when="single-transaction"
        ),
    )
    with nothing_changes(mysql_shop):
        assert_failed(mysql_shop.manage("dbbackup"), "^mariadb-dump")


def test_backup_refuses_arguments_without_which_its_end_can_not_be_known(mysql_shop):
    mysql_shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"DUMP_ARGS": ["--compact"]}}
    with nothing_changes(mysql_shop):
        assert_failed(mysql_shop.manage("dbbackup"), "DUMP_ARGS of “default” contains --compact", code=2)


@pytest.mark.in_turns("end")
@pytest.mark.parametrize("end", ["byte", "half", "line", "last"])
def test_restore_changes_nothing_when_the_text_is_cut(mysql_shop, dump, end):
    text = dump.read_bytes()
    *lines, _last = text.splitlines(keepends=True)
    cut = {"byte": 1, "half": len(text) // 2, "line": len(b"".join(lines)), "last": len(text) - 1}[end]
    dump.write_bytes(text[:cut])
    with nothing_changes(mysql_shop):
        assert_failed(restore(mysql_shop, f"--input-file={dump}"), "is not SQL text|is cut off")


LAST_STATEMENTS = {
    "CREATE TABLE `shop_order` (`id` int);": r"ERROR 1050 \(42S01\)",
    "INSERT INTO shop_order SELECT * FROM shop_order;": "no dump program writes: INSERT INTO",
    "USE `mysql`;": "names its own target database: USE",
    "\\! touch /tmp/never": "no dump program writes|cut off",
}
"""What is said of each."""


def test_restore_changes_nothing_when_the_last_statement_fails(mysql_shop, dump):
    head, mark, tail = dump.read_bytes().rpartition(b"-- Dump completed")
    with nothing_changes(mysql_shop):
        for statement, expected in LAST_STATEMENTS.items():
            dump.write_bytes(head + statement.encode() + b"\n" + mark + tail)
            assert_failed(restore(mysql_shop, f"--input-file={dump}"), expected)


# -- servers and rights -------------------------------------------------------------------------------------------------


def test_server_that_does_not_let_us_in_is_said(changed_mysql_shop):
    """With a wrong password, which is not shown, or because it is gone."""
    entry = changed_mysql_shop.settings["DATABASES"]["default"]
    entry["PASSWORD"] = "closed-on-sundays"
    for command in (["dbbackup"], ["dbrestore", "--noinput"]):
        result = changed_mysql_shop.manage(*command)
        assert result.code == 1
        assert "Access denied" in result.err
        assert "Hint: " in result.err
        assert "closed-on-sundays" not in result.out + result.err
    entry["PASSWORD"] = PASSWORD
    port, entry["PORT"] = entry["PORT"], free_port()
    result = changed_mysql_shop.manage("dbbackup")
    assert result.code == 1
    assert "Can't connect" in result.err
    entry["PORT"] = port


def test_user_who_may_not_create_a_schema_is_told_what_to_do(changed_mysql_shop, mysql_server):
    name = changed_mysql_shop.name
    entry = changed_mysql_shop.settings["DATABASES"]["default"]
    account = mysql_server.create_account(f"ALL ON `{name}`.*")
    changed_mysql_shop.settings["DATABASES"]["default"] = entry | account
    with nothing_changes(changed_mysql_shop):
        result = restore(changed_mysql_shop, stored(changed_mysql_shop))
        assert_failed(result, "may not create the schema")
    assert "--strategy in_place" in result.err
    grant = f"GRANT ALL ON `{name.replace('_', chr(92) + '_')}\\_dra\\_%`"
    assert grant in result.err
    opened = changed_mysql_shop.manage("openbackup")
    assert_failed(opened, "may not create the schema")
    assert grant in opened.err
    with nothing_changes(changed_mysql_shop):  # the failed restore has nothing to undo
        assert_failed(
            changed_mysql_shop.manage("dbrestore", "--noinput", "--undo"), "There is nothing to undo"
        )


def test_nothing_changes_where_we_may_not_put_back_what_belongs_to_another(changed_mysql_shop, mysql_server):
    name = changed_mysql_shop.name
    mysql_server.administer(
        f"CREATE TRIGGER `{name}`.roots BEFORE DELETE ON `{name}`.shop_product FOR EACH ROW SET @x = 1"
    )
    before = mysql_server.text(name)
    assert_failed(restore(changed_mysql_shop, stored(changed_mysql_shop)), "1227")
    assert mysql_server.text(name) == before


def test_password_is_in_no_argument_list(make_shop, tmp_path, rclone_binary):
    shop = make_shop("mysql", backed_up=True, prepare=add_noise, SAFETY_BACKUP=False)
    held = programs.hold_output(
        tmp_path / "bin", "rclone", rclone_binary, after=MORE_THAN_A_CHUNK, when=DOWNLOAD
    )
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = shop.start("dbrestore", "--noinput")
    held.wait()
    wait_for(lambda: any("--binary-mode" in line for line in _command_lines()))
    assert not [line for line in _command_lines() if PASSWORD in line]
    held.release()
    assert shop.finish(process).code == 0


def _command_lines():
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
