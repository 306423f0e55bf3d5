"""Faults of PostgreSQL, of its programs and of us between them: not a row changes, and no misleading object is left."""

import itertools
from contextlib import closing
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from tests.support import programs
from tests.support.commands import saved, stored
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.postgresql import PostgreSQLServer, connect
from tests.support.programs import DOWNLOAD, Held
from tests.support.servers import free_port
from tests.support.site import Shop
from tests.support.waiting import wait_for

RESTORE = ("dbrestore", "--noinput", "--no-safety-backup")
PROGRAMS = ("pg_dump", "pg_restore", "psql")


@pytest.fixture
def shop(request, make_shop) -> Shop:
    """A shop with more rows than all pipes hold. It has a backup where the test asks for ``backed_up``."""
    return make_shop("postgresql", backed_up="backed_up" in request.fixturenames, prepare=add_noise)


@pytest.fixture
def backed_up(shop) -> Shop:
    """The shop with a backup, and changed since: a restore would be seen."""
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.execute("DROP TABLE shop_orderline")
    shop.execute("CREATE TABLE newer (product_id bigint REFERENCES shop_product)")
    return shop


def use(shop: Shop, program: Path) -> None:
    """Have the shop find PostgreSQL's programs beside this one."""
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"BIN_DIR": str(program.parent)}}


# -- the programs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, output",
    sampled(itertools.product((-SIGKILL, 1), ("remote", "file")), (-SIGKILL, "remote"), (1, "file")),
)
def test_pg_dump_that_ends_half_way_stores_nothing(shop, postgresql_server, tmp_path, status, output):
    real = postgresql_server.bin_dir / "pg_dump"
    use(
        shop,
        programs.cut_output(tmp_path / "bin", "pg_dump", real, after=1_000_000, status=status, when="format"),
    )
    kept = tmp_path / "out" / "shop.dump"
    kept.parent.mkdir()
    kept.write_bytes(b"an older one")
    with nothing_changes(shop):
        arguments = ["--output-path", str(kept)] if output == "file" else []
        assert_failed(shop.manage("dbbackup", *arguments), "^pg_dump (was killed by|failed with)")
    assert kept.read_bytes() == b"an older one"
    assert list(kept.parent.iterdir()) == [kept]


def test_empty_dump_is_no_backup(shop, postgresql_server, tmp_path):
    real = postgresql_server.bin_dir / "pg_dump"
    use(shop, programs.cut_output(tmp_path / "bin", "pg_dump", real, after=0, status=0, when="format"))
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), "The dump is empty")


@pytest.mark.parametrize("status", sampled([-SIGKILL, 1], -SIGKILL))
def test_pg_restore_that_ends_half_way_changes_nothing(backed_up, postgresql_server, tmp_path, status):
    real = postgresql_server.bin_dir / "pg_restore"
    use(backed_up, programs.cut_output(tmp_path / "bin", "pg_restore", real, after=1_000_000, status=status))
    with nothing_changes(backed_up):
        assert_failed(backed_up.manage(*RESTORE), "^pg_restore (was killed by|failed with)")


@pytest.mark.parametrize("status", sampled([-SIGKILL, 1, 0], 0))
def test_psql_that_ends_half_way_changes_nothing(backed_up, postgresql_server, tmp_path, status):
    real = postgresql_server.bin_dir / "psql"
    use(backed_up, programs.cut_input(tmp_path / "bin", "psql", real, after=1_000_000, status=status))
    with nothing_changes(backed_up):
        assert_failed(
            backed_up.manage(*RESTORE, stored(backed_up)), "^psql (was killed by|failed with|ended before)"
        )


@pytest.mark.in_turns("program")
@pytest.mark.parametrize("program", PROGRAMS)
def test_missing_program_is_named(backed_up, postgresql_server, tmp_path, program):
    for name in {*PROGRAMS} - {program}:
        (tmp_path / name).symlink_to(postgresql_server.bin_dir / name)
    backed_up.environment["PATH"] = str(tmp_path)
    with nothing_changes(backed_up):
        command = ["dbbackup"] if program == "pg_dump" else RESTORE
        assert_failed(backed_up.manage(*command), f"The program {program} was not found")


def test_programs_older_than_the_server_are_refused(make_shop, postgresql_server):
    shop = make_shop("postgresql18")
    use(shop, postgresql_server.bin_dir / "pg_dump")
    with nothing_changes(shop):
        result = shop.manage("dbbackup")
        assert_failed(result, "server version mismatch")
        assert "BIN_DIR" in result.err


def test_archive_of_a_newer_pg_dump_changes_nothing(make_shop, backed_up):
    newer = make_shop("postgresql18", backed_up=True)
    backed_up.remote = newer.remote
    backed_up.settings["DJANGO_RCLONE"] |= newer.remote.settings
    with nothing_changes(backed_up):
        assert_failed(backed_up.manage(*RESTORE), "comes from PostgreSQL 18.* is 15")
    with nothing_changes(backed_up):  # nor where there is no manifest to say so
        result = backed_up.manage(*RESTORE, stored(newer))
        assert_failed(result, "pg_restore .*unsupported version")


# -- the server ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, expected",
    [({"PASSWORD": "wrong"}, "password authentication failed"), ({"PORT": free_port()}, "refused")],
    ids=["password", "port"],
)
def test_server_that_does_not_let_us_in_changes_nothing(backed_up, values, expected):
    right = dict(backed_up.settings["DATABASES"]["default"])
    with nothing_changes(backed_up):
        backed_up.settings["DATABASES"]["default"] = right | values
        for command in ("dbbackup",), RESTORE:
            result = backed_up.manage(*command)
            assert result.code == 1
            assert expected in result.err.splitlines()[-2]
            assert result.err.splitlines()[-1].startswith("Hint: Nothing was changed.")
        backed_up.settings["DATABASES"]["default"] = right


def terminate(server: PostgreSQLServer, shop: Shop) -> None:
    """End the connection of PostgreSQL's programs to the shop, as an operator or a failover does."""
    with closing(server.superuser_connection()) as connection:
        done = connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'django-rclone-admin'",
            [shop.settings["DATABASES"]["default"]["NAME"]],
        ).fetchall()
    assert done == [(True,)]


def test_connection_that_the_server_ends_during_a_dump_stores_nothing(shop, postgresql_server, tmp_path):
    real = postgresql_server.bin_dir / "pg_dump"
    held = programs.hold_output(tmp_path / "bin", "pg_dump", real, after=1_000_000, when="format")
    use(shop, held.program)
    with nothing_changes(shop):
        process = shop.start("dbbackup")
        held.wait()
        terminate(postgresql_server, shop)
        held.release()
        assert_failed(shop.finish(process), "^pg_dump failed with")


@pytest.fixture
def hold_psql(backed_up, postgresql_server, tmp_path):
    """Have the shop use a psql that stops in the middle of a restore."""

    def hold(after: int) -> Held:
        real = postgresql_server.bin_dir / "psql"
        held = programs.hold_input(tmp_path / "bin", "psql", real, after=after)
        use(backed_up, held.program)
        return held

    yield hold
    backed_up.settings["DJANGO_RCLONE"].pop("CONNECTOR_OPTIONS")


def test_connection_that_the_server_ends_during_a_restore_changes_nothing(
    backed_up, hold_psql, postgresql_server
):
    held = hold_psql(after=1_000_000)
    with nothing_changes(backed_up):
        process = backed_up.start(*RESTORE, stored(backed_up))
        held.wait()
        terminate(postgresql_server, backed_up)
        held.release()
        assert_failed(backed_up.finish(process), "^psql failed with")


# -- us -----------------------------------------------------------------------------------------------------------------


def test_restore_that_is_told_to_end_is_rolled_back(backed_up, hold_psql):
    held = hold_psql(after=1_000_000)
    with nothing_changes(backed_up):
        process = backed_up.start(*RESTORE)
        held.wait()
        process.send_signal(SIGTERM)
        assert_failed(backed_up.finish(process), "Ended by the signal SIGTERM")


@pytest.mark.parametrize("after", sampled([10_000, 1_000_000], 1_000_000))
def test_restore_that_is_killed_is_rolled_back(backed_up, hold_psql, after):
    held = hold_psql(after)
    with nothing_changes(backed_up):
        process = backed_up.start(*RESTORE)
        held.wait()
        assert backed_up.kill(process).code == -SIGKILL
        wait_for(lambda: _sessions(backed_up) == 0)


def test_restore_that_is_killed_before_its_last_byte_is_rolled_back(backed_up, tmp_path, rclone_binary):
    [name] = [name for name in backed_up.remote.names("db") if name.endswith(".zst")]
    size = len(backed_up.remote.read(name))
    held = programs.hold_output(tmp_path / "bin", "rclone", rclone_binary, after=size - 1, when=DOWNLOAD)
    backed_up.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    with nothing_changes(backed_up):
        process = backed_up.start(*RESTORE)
        held.wait()
        assert backed_up.kill(process).code == -SIGKILL
        wait_for(lambda: _sessions(backed_up) == 0)


def _sessions(shop: Shop) -> int:
    """Return how many connections to the database there are besides our own."""
    ((count,),) = shop.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return count


# -- the data -----------------------------------------------------------------------------------------------------------


def test_row_that_breaks_a_constraint_at_the_end_of_a_restore_changes_nothing(shop, postgresql_server):
    """The constraint comes after all rows, so the failure comes after everything was replaced."""
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as connection:
        # As a disk error or a careless repair leaves it: orders without their customer.
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM shop_customer")
    dump = saved(shop)
    shop.execute("DELETE FROM shop_orderline")
    shop.execute("DELETE FROM shop_order")
    with nothing_changes(shop):
        result = shop.manage(*RESTORE, dump)
        assert_failed(result, 'psql failed .*"shop_order" violates foreign key constraint')


def test_schema_that_belongs_to_somebody_else_by_now_changes_nothing(shop, postgresql_server):
    shop.execute("CREATE SCHEMA reports")
    shop.execute("CREATE TABLE reports.daily (day date)")
    dump = saved(shop)
    shop.execute("DROP SCHEMA reports CASCADE")
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as connection:
        connection.execute("CREATE SCHEMA reports CREATE TABLE daily (day date)")
        connection.execute("GRANT USAGE ON SCHEMA reports TO shop")
        connection.execute("GRANT SELECT ON reports.daily TO shop")
    with nothing_changes(shop):
        result = shop.manage(*RESTORE, dump)
        assert_failed(result, "permission denied for schema reports")
        assert "The database role lacks a right" in result.err


def test_file_that_is_cut_changes_nothing(backed_up, tmp_path):
    dump = tmp_path / "shop.dump"
    assert backed_up.manage("dbbackup", "--output-path", str(dump)).code == 0
    dump.write_bytes(dump.read_bytes()[:-10])
    with nothing_changes(backed_up), dump.open("rb") as stream:
        assert_failed(backed_up.manage(*RESTORE, "--input-file", str(dump)), "^pg_restore failed")
        result = backed_up.manage(*RESTORE, "--input-file", "-", input=stream.read())
        assert_failed(result, "^pg_restore failed")


def test_lock_of_somebody_else_ends_the_restore_before_it_changes_anything(backed_up):
    backed_up.settings["DJANGO_RCLONE"]["CONNECTORS"] = {"default": "tests.support.impatient.PostgreSQL"}
    with (
        nothing_changes(backed_up),
        closing(connect(backed_up.settings["DATABASES"]["default"])) as other,
        other.transaction(),
    ):
        other.execute("SELECT 1 FROM shop_product")
        result = backed_up.manage(*RESTORE, stored(backed_up))
    assert_failed(result, "lock timeout")
    assert "Another connection holds a table" in result.err
