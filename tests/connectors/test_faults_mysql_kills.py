"""Whoever is killed while MariaDB is restored: the live schema is as before or as in the backup, never between."""

import json
import os
import random
import signal
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic

import pymysql
import pytest

from tests.support import leaks, programs
from tests.support.commands import stored
from tests.support.faults import MORE_THAN_A_CHUNK, add_noise, assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.mysql_shop import (
    LOADING,
    OURS,
    change,
    define,
    open_shop,
    restore,
    use_programs,
)
from tests.support.programs import DOWNLOAD
from tests.support.tables import HISTORY
from tests.support.waiting import wait_for

pytestmark = pytest.mark.mysql


def test_restore_changes_nothing_when_its_client_is_killed(changed_mysql_shop, tmp_path, mysql_server):
    real = mysql_server.bin_dir / "mariadb"
    use_programs(
        changed_mysql_shop, programs.cut_input(tmp_path / "bin", "mariadb", real, after=20_000, when=LOADING)
    )
    before = mysql_server.text(changed_mysql_shop.name)
    with nothing_changes(changed_mysql_shop):
        assert_failed(restore(changed_mysql_shop), "^mariadb was killed")
    assert mysql_server.text(changed_mysql_shop.name) == before


def test_next_restore_removes_what_a_killed_one_left(make_shop, tmp_path, rclone_binary, mysql_server):
    with open_shop(make_shop, mysql_server, SAFETY_BACKUP=False, backed_up=True, prepare=add_noise) as shop:
        wanted = mysql_server.text(shop.name)
        define(shop)
        change(shop)
        shop.execute("DELETE FROM noise")
        wrecked = mysql_server.text(shop.name)
        held = programs.hold_output(
            tmp_path / "bin", "rclone", rclone_binary, after=MORE_THAN_A_CHUNK, when=DOWNLOAD
        )
        shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
        process = shop.start("dbrestore", "--noinput")
        held.wait()
        wait_for(lambda: len(mysql_server.schemas(f"{shop.name}_dra_")) == 1)
        assert shop.kill(process).code == -signal.SIGKILL
        assert mysql_server.text(shop.name) == wrecked
        assert len(mysql_server.schemas(f"{shop.name}_dra_")) == 1

        shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
        assert restore(shop, stored(shop)).code == 0
        assert mysql_server.text(shop.name) == wanted


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
@pytest.mark.parametrize("moments", sampled(["closest", "all"], "closest"))
def test_client_that_dies_on_the_way_through_the_exchange(
    changed_mysql_shop, tmp_path, mysql_server, moments
):
    """Before the tables changed places it is all taken back, and from then on it is finished."""
    name, real = changed_mysql_shop.name, mysql_server.bin_dir / "mariadb"
    dump = stored(changed_mysql_shop)

    def killed_after(lines):
        folder = tmp_path / f"after{lines}"
        use_programs(
            changed_mysql_shop, programs.wrapper(folder, "mariadb", real, CUT.format(ours=OURS, lines=lines))
        )
        return restore(changed_mysql_shop, dump), (folder / "mariadb.script").read_text().splitlines()

    before = mysql_server.text(name)
    result, script = killed_after(0)
    [exchange] = [number for number, line in enumerate(script) if line.startswith("RENAME TABLE")]
    assert any(line.startswith("DROP TRIGGER") for line in script[:exchange])
    for lines in (3, exchange) if moments == "all" else (exchange,):
        assert_failed(result, "mariadb was killed")
        assert mysql_server.text(name) == before
        result, _script = killed_after(lines)
    assert_failed(result, "mariadb was killed")
    assert mysql_server.text(name) == before

    after, middle = [], (exchange + len(script)) // 2
    for lines in (exchange + 1, middle, len(script)) if moments == "all" else (exchange + 1,):
        result, _script = killed_after(lines)
        assert result.code == 0, result.err
        after.append(mysql_server.text(name))
        undone = changed_mysql_shop.manage("dbrestore", "--undo", "--noinput")
        assert undone.code == 0, undone.err
        assert mysql_server.text(name) == before
    assert after == after[:1] * len(after)


CUT_ALWAYS = """
if {ours!r} in arguments:
    script = sys.stdin.buffer.read()
    head, exchange, rest = script.partition(b"RENAME TABLE")
    process = start(stdin=PIPE)
    process.stdin.write(head + exchange + rest.partition(b"\\n")[0] + b"\\n" if exchange else b"")
    process.stdin.close()
    process.wait()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_restore_that_comes_to_no_good_end_after_the_exchange_says_so_and_can_be_undone(
    changed_mysql_shop, tmp_path, mysql_server
):
    name, real = changed_mysql_shop.name, mysql_server.bin_dir / "mariadb"
    before = mysql_server.text(name)
    use_programs(
        changed_mysql_shop, programs.wrapper(tmp_path / "bin", "mariadb", real, CUT_ALWAYS.format(ours=OURS))
    )
    result = restore(changed_mysql_shop, stored(changed_mysql_shop))
    assert_failed(result, "The tables are those of the backup, but not every view")
    query = f"SELECT status, hint, options FROM {HISTORY} WHERE kind = 'db_restore'"
    [(status, hint, options)] = changed_mysql_shop.execute(query)
    assert (status, json.loads(options)["unfinished"]) == ("failed", True)
    assert "or undo the restore with “--undo”" in hint
    use_programs(changed_mysql_shop, real)
    undone = changed_mysql_shop.manage("dbrestore", "--undo", "--noinput")
    assert undone.code == 0, undone.err
    assert mysql_server.text(name) == before


def test_what_a_killed_client_waits_for_does_not_happen_later(changed_mysql_shop, mysql_server):
    name = changed_mysql_shop.name
    before = mysql_server.text(name)
    with closing(mysql_server.superuser_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM `{name}`.shop_product LIMIT 1")
        process = changed_mysql_shop.start("dbrestore", "--noinput", stored(changed_mysql_shop))
        wait_for(lambda: _waiting(mysql_server, name))
        assert_failed(_kill("mariadb", process, changed_mysql_shop, mysql_server), "mariadb was killed")
        assert _waiting(mysql_server, name) == 0
    assert mysql_server.text(name) == before


def _waiting(server, name):
    """Return how many connections wait until they may exchange the tables of a schema."""
    with closing(server.superuser_connection()) as connection, connection.cursor() as cursor:
        # While rows are loaded by several connections, they wait for each other too, for a moment.
        cursor.execute(
            "SELECT count(*) FROM information_schema.PROCESSLIST"
            " WHERE STATE LIKE 'Waiting for table%%' AND INFO REGEXP '^(LOCK|RENAME) TABLE' AND DB LIKE %s",
            [f"{name}_dra%"],
        )
        return cursor.fetchone()[0]


@pytest.mark.slow
@pytest.mark.parametrize("kills", sampled([4, 40], 4))
def test_kills_at_any_moment(changed_mysql_shop, mysql_server, kills):
    """Each of those that take part is killed as often."""
    name, seen = changed_mysql_shop.name, {"before": 0, "after": 0}
    started = monotonic()
    assert restore(changed_mysql_shop, stored(changed_mysql_shop)).code == 0
    lasts = monotonic() - started
    after = mysql_server.text(name)
    for number in range(kills):
        if mysql_server.text(name) == after:
            change(changed_mysql_shop)
        changed_mysql_shop.execute(f"UPDATE shop_product SET price = {number}")
        before = mysql_server.text(name)
        process = changed_mysql_shop.start("dbrestore", "--noinput")
        with suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0.3, 1.0) * lasts)
        result = _kill(
            ("ourselves", "rclone", "mariadb", "connection")[number % 4],
            process,
            changed_mysql_shop,
            mysql_server,
        )
        now = mysql_server.text(name)
        assert now in (before, after)
        if result.code >= 0:
            assert (now == after) is (result.code == 0)
        seen["after" if now == after else "before"] += 1
    assert sum(seen.values()) == kills


def _kill(victim, process, mysql_shop, server):
    """Kill one of those that take part in a restore, and return the result of our process."""
    if victim == "ourselves":
        return mysql_shop.kill(process)  # its programs come to their end
    if victim == "connection":
        with closing(server.superuser_connection()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB LIKE %s", [f"{mysql_shop.name}_dra%"]
            )
            for (number,) in cursor.fetchall():
                with suppress(pymysql.Error):  # it has ended by itself
                    cursor.execute(f"KILL {number}")
    for pid in leaks.descendants(process.pid):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == victim:
                os.kill(pid, signal.SIGKILL)
    return mysql_shop.finish(process)
