"""Before a restore: what it overwrites is backed up, and what it should not do is refused. After it: undo."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from django_rclone_admin import api
from tests.support.backups import antedate
from tests.support.clocks import host
from tests.support.commands import undo_once
from tests.support.faults import assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.site import Shop
from tests.support.swaps import history

OURS = ("django_rclone_admin_backupschedule", "django_rclone_admin_notice")
"""Tables that a restore creates where the backup is of a database without them."""
RESTORE = ("dbrestore", "--noinput", "--strategy=in_place")
WITHOUT = (*RESTORE, "--no-safety-backup")
UNDO = ("dbrestore", "--noinput", "--undo")

on_both_engines = pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)


def succeed(shop: Shop, *arguments: str) -> str:
    result = shop.manage(*arguments)
    assert result.code == 0, result.err
    return result.out


def change(shop: Shop) -> None:
    """Have a restore of its backup be seen."""
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.execute("CREATE TABLE newer AS SELECT * FROM shop_product")


def newest_manifest(shop: Shop) -> dict[str, object]:
    names = [name for name in shop.remote.names("db") if name.endswith(".manifest.json")]
    return max((json.loads(shop.remote.read(name)) for name in names), key=lambda each: each["taken_at"])


# -- undo ---------------------------------------------------------------------------------------------------------------


@pytest.mark.soak  # the last test of this file undoes an undo, and test_dbrestore looks at the safety backup
@pytest.mark.backed_up
@on_both_engines
def test_restore_backs_up_first_and_can_be_undone_and_done_again(shop):
    wanted = shop.rows()
    change(shop)
    changed = shop.rows()
    succeed(shop, *RESTORE)
    assert shop.rows() == wanted

    runs = {run["kind"] + run["trigger"]: run for run in history(shop)}
    options = runs["db_restorecommand"]["options"]
    safety = (json.loads(options) if isinstance(options, str) else options)["safety"]
    assert safety == runs["db_backupsafety"]["path"]
    assert safety in shop.remote.names("db")
    assert newest_manifest(shop)["trigger"] == "safety"

    succeed(shop, *UNDO)
    assert shop.rows() == changed
    undo_once(shop)
    assert shop.rows() == wanted


@pytest.mark.django_db
def test_safety_backup_outlives_the_retention(backups):
    backups.configure(DB_CLEANUP_KEEP=1)
    now = datetime.now(UTC)
    safety = backups.put(now - timedelta(days=1), trigger="safety")
    backups.put(now - timedelta(hours=2))
    last = backups.put(now - timedelta(hours=1))
    api.prune("default")
    assert {name for name in backups.remote.names("db") if not name.endswith(".json")} == {safety, last}


@pytest.mark.soak  # the test before, and test_restore_prints_its_run_and_makes_a_safety_backup
@pytest.mark.backed_up
def test_safety_backup_of_a_restore_outlives_the_retention(shop):
    shop.settings["DJANGO_RCLONE"]["DB_CLEANUP_KEEP"] = 1
    succeed(shop, *RESTORE)
    [safety] = {name for name in shop.remote.names("db") if not name.endswith(".json")} - {shop.backup}
    made = json.loads(succeed(shop, "dbbackup", "--clean", "--json"))
    made = made if isinstance(made, dict) else made[0]
    left = {name for name in shop.remote.names("db") if not name.endswith(".json")}
    assert left == {safety, made["path"]}


@pytest.mark.soak  # test_dbrestore asks for none in both ways, too
@pytest.mark.backed_up
@on_both_engines
def test_no_safety_backup_when_none_is_wanted_or_nothing_is_there(shop, make_shop):
    change(shop)
    count = len(shop.names())
    succeed(shop, *WITHOUT)
    shop.settings["DJANGO_RCLONE"]["SAFETY_BACKUP"] = False
    succeed(shop, *RESTORE)
    assert len(shop.names()) == count


@pytest.mark.backed_up
def test_undo_on_a_new_server_takes_the_newest_safety_backup_of_the_remote(shop, make_shop):
    """Whether there is nothing yet, of which no safety backup is made, or a database with a history."""
    change(shop)
    changed = shop.rows()
    succeed(shop, *RESTORE)
    nothing, with_history = make_shop("sqlite", shop.remote), make_shop("sqlite", shop.remote)
    nothing.path().unlink()
    succeed(nothing, *UNDO)
    undo_once(with_history)
    assert nothing.rows() == with_history.rows() == changed


@pytest.mark.backed_up
def test_undo_passes_over_the_safety_backup_of_a_restore_that_changed_nothing(shop, make_shop):
    change(shop)
    changed = shop.rows()
    succeed(shop, *RESTORE)
    spoilt = f"db/{antedate(shop, '2026-09-01')}"
    shop.remote.write(spoilt, b"x" * len(shop.remote.read(spoilt)))
    new = make_shop("sqlite", shop.remote)
    new.execute("UPDATE shop_product SET price = price + 5")
    assert new.manage(*RESTORE, "--input-path", spoilt).code == 1  # after its own safety backup
    undo_once(new)  # the restore on the server that is gone
    assert new.rows() == changed


@pytest.mark.soak  # the test before has a failed restore, too
@pytest.mark.backed_up
def test_failed_restore_has_nothing_to_undo(shop):
    shop.remote.write(shop.backup, b"x" * len(shop.remote.read(shop.backup)))
    assert shop.manage(*RESTORE, "--input-path", shop.backup).code == 1
    shop.execute("UPDATE shop_product SET price = price + 1")  # written since
    with nothing_changes(shop):
        assert_failed(shop.manage(*UNDO), "There is nothing to undo for “default”")


@pytest.mark.soak  # as test_failed_safety_backup_ends_the_restore
@pytest.mark.backed_up
def test_restore_does_not_begin_without_its_safety_backup(shop, rclone_binary, tmp_path):
    from tests.support import programs

    change(shop)
    program = programs.fail(
        tmp_path / "bin", "rclone", rclone_binary, message="no room", when=programs.UPLOAD
    )
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)
    with nothing_changes(shop):
        assert_failed(shop.manage(*RESTORE), "no room")
    assert [run["status"] for run in history(shop)] == ["succeeded", "failed", "failed"]


# -- what a restore refuses ---------------------------------------------------------------------------------------------


@pytest.mark.soak  # as the test of this name in test_faults_remote
@pytest.mark.backed_up
def test_backup_of_another_engine_is_refused(make_shop, shop):
    change(shop)
    other = make_shop("postgresql", shop.remote)
    with nothing_changes(other):
        assert_failed(other.manage(*RESTORE), "comes from SQLite and can't be restored into PostgreSQL")


@pytest.mark.soak  # as test_backup_of_another_database_is_restored_only_when_it_is_said
def test_backup_of_another_database_is_refused_unless_one_insists(shop):
    wanted = shop.rows("analytics")
    succeed(shop, "dbbackup", "--database=analytics")
    [name] = [each for each in shop.names() if not each.endswith(".json")]
    with nothing_changes(shop):
        result = shop.manage(*RESTORE, "--input-path", name, "--database=default")
        assert_failed(result, "is a backup of “analytics”, not of “default”")
    assert "--to default" in result.err
    succeed(shop, *WITHOUT, "--input-path", name, "--to=default")
    assert shop.rows(ignore=OURS) == wanted


@pytest.mark.parametrize("tools", sampled(["15", "18"], "18"))
def test_dump_of_a_newer_server_is_refused(make_shop, postgresql18_server, tools):
    """By its manifest, before any program could stumble over it."""
    newer = make_shop("postgresql18", backed_up=True)
    older = make_shop("postgresql", newer.remote)
    if tools == "18":
        options = {"default": {"BIN_DIR": str(postgresql18_server.bin_dir)}}
        older.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = options
    with nothing_changes(older):
        assert_failed(
            older.manage(*RESTORE), "comes from PostgreSQL 18.*but the server of “default” is 1[5-7]"
        )


@pytest.mark.backed_up
@pytest.mark.parametrize(
    "damage",
    [
        # As test_cut_object_is_refused_by_its_manifest.
        pytest.param(lambda data: data[:-1], id="short", marks=pytest.mark.soak),
        pytest.param(lambda data: data + b"x", id="long"),
    ],
)
def test_damaged_backup_is_refused(shop, damage):
    change(shop)
    [name] = [each for each in shop.remote.names("db") if not each.endswith(".json")]
    shop.remote.write(name, damage(shop.remote.read(name)))
    with nothing_changes(shop):
        assert_failed(shop.manage(*RESTORE, "--input-path", name), "is damaged and was not restored")
        assert_failed(shop.manage(*RESTORE), "There is no backup of “default”")


@pytest.mark.backed_up
def test_restore_for_which_there_is_no_room_is_refused(shop, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    try:
        change(shop)
        with nothing_changes(shop):
            assert_failed(
                shop.manage(*WITHOUT, env={"TMPDIR": str(small)}), "needs .* bytes .* only .* are free"
            )
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.backed_up
@pytest.mark.in_turns("shop")
@on_both_engines
def test_undo_takes_back_the_last_restore_whatever_the_clocks_of_its_hosts_say(shop):
    """The first restore is by a host that is two hours ahead, so it is the newest by its times.

    Before a restore, and after one that has kept nothing, an undo is refused.
    """
    backed_up = shop.rows()
    with nothing_changes(shop):
        assert_failed(shop.manage(*UNDO), "There is nothing to undo for “default”")
    shop.execute("UPDATE shop_product SET price = 2000")
    result = shop.manage(*RESTORE, env=host("+2h"))
    assert result.code == 0, result.err
    assert shop.rows() == backed_up
    shop.execute("UPDATE shop_product SET price = 3000")
    changed = shop.rows()
    succeed(shop, *RESTORE)
    assert shop.rows() == backed_up
    succeed(shop, *UNDO)
    assert shop.rows() == changed
    undo_once(shop)
    assert shop.rows() == backed_up
    succeed(shop, *WITHOUT)
    with nothing_changes(shop):  # the safety backups of the restores before are no answer
        assert_failed(shop.manage(*UNDO), "There is nothing to undo for “default”")
