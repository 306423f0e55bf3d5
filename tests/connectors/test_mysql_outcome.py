"""What a restore of MariaDB says is what happened: it can't be stopped half-way, and when its end is not clear the server is asked."""

import os
import signal
import socket
import socketserver
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from django_rclone_admin.connectors.mysql import swap
from django_rclone_admin.exceptions import OutcomeUnknown
from tests.support import programs
from tests.support.mysql_shop import OURS
from tests.support.mysql_site import open_site
from tests.support.waiting import wait_for

pytestmark = pytest.mark.mysql


@pytest.fixture
def site(mysql_server, django_db_blocker):
    with django_db_blocker.unblock(), open_site(mysql_server) as site:
        site.execute(
            "CREATE TABLE person (id INT PRIMARY KEY)",
            "INSERT INTO person VALUES (1)",
            "CREATE TRIGGER before_person BEFORE INSERT ON person FOR EACH ROW SET @x = 1",
        )
        yield site


def waiting(site):
    """Return how many connections wait until they may have the tables."""
    return site.execute(
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table%'"
    )[0][0]


def test_ctrl_c_during_the_exchange_comes_too_late(site):
    text, _contents = site.dump()
    site.execute("INSERT INTO person VALUES (2)")
    with closing(site.server.superuser_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM `{site.name}`.person")

        def interrupt():
            wait_for(lambda: waiting(site))
            for _number in range(3):
                os.kill(os.getpid(), signal.SIGINT)
            cursor.execute("COMMIT")

        thread = threading.Thread(target=interrupt)
        thread.start()
        sink = site.restore(text, "swap")
        thread.join()
    assert site.execute("SELECT id FROM person") == [(1,)]
    assert site.connector().has_kept(site.connector().kept(sink))
    assert site.execute("SHOW TRIGGERS")[0][0] == "before_person"


def test_ctrl_c_while_old_tables_are_dropped_comes_too_late(site, monkeypatch):
    text, _contents = site.dump()
    site.execute("INSERT INTO person VALUES (2)")

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        swap.Server, "drop_older", interrupted
    )  # the signal can't be sent at that very moment
    site.restore(text, "swap")
    assert site.execute("SELECT id FROM person") == [(1,)]


class Proxy(socketserver.ThreadingTCPServer):
    """Leads to the server until a file is there; from then on it lets nobody in."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, closed: Path) -> None:
        self.target, self.closed = port, closed
        super().__init__(("127.0.0.1", 0), Pipe)


class Pipe(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        if self.server.closed.exists():
            return
        with socket.create_connection(("127.0.0.1", self.server.target)) as other:
            back = threading.Thread(target=self.copy, args=(other, self.request))
            back.start()
            self.copy(self.request, other)
            back.join()

    def copy(self, source, target) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


CUT = """
if {ours!r} in arguments:
    text = sys.stdin.buffer.read()
    process = start(stdin=PIPE)
    process.communicate(text{cut})
    open({closed!r}, "w").close()
    sys.exit(1)
"""


@pytest.mark.parametrize("has_happened", [True, False])
def test_server_that_is_gone_at_the_exchange_leaves_the_outcome_unknown(
    site, tmp_path, monkeypatch, has_happened
):
    text, _contents = site.dump()
    site.execute("INSERT INTO person VALUES (2)")
    closed = tmp_path / "closed"
    body = CUT.format(ours=OURS, closed=str(closed), cut="" if has_happened else ".split(b'RENAME')[0]")
    real = site.server.bin_dir / "mariadb"
    program = programs.wrapper(tmp_path / "bin", "mariadb", real, body)
    monkeypatch.setattr(swap, "ANSWER_SECONDS", 0.5)  # time
    with Proxy(site.server.port, closed) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        site.log_in(PORT=proxy.server_address[1])
        with pytest.raises(OutcomeUnknown) as raised:
            site.restore(text, "swap", BIN_DIR=str(program.parent))
        site.log_in(PORT=site.server.port)
        proxy.shutdown()
    assert "may have been committed" in raised.value.hint
    assert "Nothing was changed" not in raised.value.hint
    kept = [name for name in site.server.schemas(f"{site.name}_dra_") if name.endswith("_kept")]
    assert site.connector().has_kept(kept[0]) is has_happened
    assert site.execute("SELECT id FROM person") == ([(1,)] if has_happened else [(1,), (2,)])
    site.restore(text, "swap")  # sweeps, and creates the triggers that are missing
    assert site.execute("SELECT id FROM person") == [(1,)]
    assert [row[0] for row in site.execute("SHOW TRIGGERS")] == ["before_person"]
