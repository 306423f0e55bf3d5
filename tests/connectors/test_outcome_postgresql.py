"""What a restore into PostgreSQL says of its end is what the server says, whoever else did not hear of it."""

import os
import re
from contextlib import closing, contextmanager, nullcontext
from signal import SIGINT, SIGTERM

import pytest
from django.db import OperationalError

from django_rclone_admin.connectors.postgresql import outcome
from django_rclone_admin.connectors.postgresql.in_place import Transaction
from django_rclone_admin.core.command import Command
from django_rclone_admin.core.control import Control
from django_rclone_admin.exceptions import OutcomeUnknown, ProgramFailed
from tests.support import leaks
from tests.support.commands import stored
from tests.support.faults import assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.servers import own_settings
from tests.support.site import Shop
from tests.support.swaps import history
from tests.support.waiting import wait_for

pytestmark = pytest.mark.postgresql

RESTORE = ("dbrestore", "--noinput", "--strategy=in_place", "--no-safety-backup")
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event = 'SyncRep'"


@contextmanager
def standby_that_is_gone(server):
    """Have commits wait for a standby that nobody runs; those that are synchronous."""
    with own_settings(server.folder):
        server.administer("ALTER SYSTEM SET synchronous_standby_names TO nobody")
        server.administer("SELECT pg_reload_conf()")
        try:
            wait_for(lambda: a_commit_waits(server))  # the server reads its settings when it comes to that
            yield
        finally:
            server.administer("ALTER SYSTEM RESET synchronous_standby_names")
            server.administer("SELECT pg_reload_conf()")


def a_commit_waits(server) -> bool:
    """Commit something of no account; whether the server has it wait, until it is cancelled here."""
    with (
        closing(server.superuser_connection()) as watching,
        closing(server.superuser_connection()) as committing,
    ):
        committing.execute("SET synchronous_commit = on")
        session = committing.info.backend_pid
        committing.pgconn.send_query(b"CREATE TEMPORARY TABLE probe ()")
        wait_for(lambda: not is_busy(committing.pgconn) or is_waiting(watching, session))
        waits = is_waiting(watching, session)
        watching.execute("SELECT pg_cancel_backend(%s)", [session])
        wait_for(lambda: not is_busy(committing.pgconn))
    return waits


def is_busy(session) -> bool:
    session.consume_input()
    return bool(session.is_busy())


def is_waiting(connection, session: int) -> bool:
    found = connection.execute(f"{WAITING} AND pid = %s", ["postgres", session]).fetchone()
    return found is not None


def waiting_session(server, shop: Shop) -> int | None:
    with closing(server.superuser_connection()) as connection:
        row = connection.execute(WAITING, [shop.settings["DATABASES"]["default"]["NAME"]]).fetchone()
    return row[0] if row else None


@pytest.fixture
def shop(make_shop) -> Shop:
    return make_shop("postgresql", backed_up=True)


def interrupt_twice(process) -> None:
    """Send Ctrl-C, and again when the first one was heard: then nobody waits for the end any more."""
    process.send_signal(SIGINT)
    wait_for(lambda: "psql" not in map(leaks.name, leaks.descendants(process.pid)))
    process.send_signal(SIGINT)


@pytest.mark.parametrize("end", sampled(["interrupt", "terminate", "session"], "terminate", "session"))
def test_restore_that_is_stopped_while_its_commit_waits_has_succeeded(shop, postgresql_server, end):
    wanted = shop.rows()
    shop.execute("UPDATE shop_product SET price = price + 1")
    options = {"default": {"ENV": {"PGOPTIONS": "-c synchronous_commit=on"}}}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = options
    with standby_that_is_gone(postgresql_server):
        process = shop.start(*RESTORE, stored(shop))
        session = wait_for(lambda: waiting_session(postgresql_server, shop))
        if end == "session":
            with closing(postgresql_server.superuser_connection()) as connection:
                connection.execute("SELECT pg_terminate_backend(%s)", [session])
        else:
            process.send_signal(SIGINT if end == "interrupt" else SIGTERM)
        result = shop.finish(process)
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    run = history(shop)[-1]
    assert run["status"] == "succeeded"
    assert "unfinished" not in run["options"]
    assert shop.manage("dbrestore", "--noinput", "--undo").code == 1  # it had no safety backup


def test_second_ctrl_c_while_the_commit_waits_is_no_reason_to_say_that_nothing_happened(
    shop, postgresql_server
):
    wanted = shop.rows()
    shop.execute("UPDATE shop_product SET price = price + 1")
    options = {"default": {"ENV": {"PGOPTIONS": "-c synchronous_commit=on"}}}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = options
    with standby_that_is_gone(postgresql_server):
        process = shop.start(*RESTORE, stored(shop))
        wait_for(lambda: waiting_session(postgresql_server, shop))
        interrupt_twice(process)
        result = shop.finish(process)
    assert "changed" not in result.err
    assert shop.rows() == wanted
    assert history(shop)[-1]["status"] == "succeeded"


COMMENT = f"IS '{'x' * 200}';"
"""What the statements take the place of in a dump, where a command may stand."""
STATEMENTS = (
    "COMMIT;",
    "ROLLBACK;",
    "COMMIT; DELETE FROM public.shop_orderline; SELECT 1 / 0;",
    "\\! true",
    "\\connect postgres",
)


def test_dump_with_a_commit_of_its_own_changes_nothing(shop, tmp_path):
    shop.execute(f"COMMENT ON TABLE shop_category {COMMENT}")
    file = tmp_path / "hostile.dump"
    assert shop.manage("dbbackup", "--output-path", str(file)).code == 0
    data = file.read_bytes()
    assert data.count(COMMENT.encode()) == 1
    shop.execute("UPDATE shop_product SET price = price + 1")
    for statement in STATEMENTS:
        hostile = f"IS 'x'; {statement} --".encode()
        file.write_bytes(data.replace(COMMENT.encode(), hostile.ljust(len(COMMENT), b"-")))
        with nothing_changes(shop):
            result = shop.manage(*RESTORE, "--input-file", str(file))
            assert_failed(result, "a command that could commit a part")
        assert history(shop)[-1]["status"] == "failed"


def cursor(*answers):
    """Return what opens connections that give these statuses, one after the other; an error where there is none."""
    left = list(answers)

    class Cursor:
        def execute(self, query, values):
            self.asked = "txid_status" in query

        def fetchone(self):
            return (left.pop(0),)

    def opened():
        if not left:
            raise OperationalError("nobody answers")
        return nullcontext(Cursor())

    return opened


@pytest.mark.parametrize(
    "answers, expected",
    [
        (["committed"], True),
        (["aborted"], False),
        (["in progress", "in progress", "committed"], True),
        ([None], None),
        ([], None),
        (["in progress"], None),
    ],
)
def test_server_is_asked_until_it_knows(monkeypatch, answers, expected):
    monkeypatch.setattr(outcome, "SECONDS", 0.5)
    assert outcome.was_committed("transaction: 7 8\n", cursor(*answers)) is expected


def test_transaction_that_was_never_begun_was_not_committed():
    assert outcome.was_committed("psql: nothing", cursor("committed")) is False


def transaction(script: str, *answers) -> Transaction:
    """Return a transaction of a psql that is this program."""
    command = Command(argv=("sh", "-c", script), env=dict(os.environ), name="psql")
    return Transaction(command, begin=b"", cursor=cursor(*answers), control=Control())


DIES = "echo transaction: 7 8; while read line; do case $line in *ready*) echo ready;; COMMIT*) exit 3;; esac; done"


def commit(sink: Transaction) -> None:
    try:
        sink.open()
        sink.commit()
    finally:
        sink.close()


def test_commit_that_nobody_knows_of_is_said_to_be_unknown(monkeypatch):
    monkeypatch.setattr(outcome, "SECONDS", 0.5)
    sink = transaction(DIES)
    with pytest.raises(OutcomeUnknown) as caught:
        commit(sink)
    assert sink.is_unknown
    assert not re.search("othing was changed", caught.value.hint)


def test_commit_that_the_server_knows_of_is_what_it_says():
    commit(transaction(DIES, "committed"))
    with pytest.raises(ProgramFailed, match="exit status 3"):
        commit(transaction(DIES, "aborted"))


def test_psql_that_ends_before_the_commit_is_no_question():
    with pytest.raises(ProgramFailed, match="exit status 3"):
        commit(transaction("echo transaction: 7 8; head -c 10 > /dev/null; exit 3", "committed"))


def test_commit_is_not_sent_when_the_run_has_lost_its_place():
    class Fence:
        def confirm(self):
            raise ProgramFailed("another run has taken over")

    control = Control()
    command = Command(argv=("sh", "-c", DIES), env=dict(os.environ), name="psql")
    sink = Transaction(command, begin=b"", cursor=cursor("committed"), control=control)
    with control.fenced(Fence()), pytest.raises(ProgramFailed, match="taken over"):
        commit(sink)
