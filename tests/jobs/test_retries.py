"""An upload that a passing trouble has spoilt is tried again, from the first byte of a new dump, a few times."""

import threading
from pathlib import Path
from signal import SIGINT

import pytest
from django.db import connection, connections

from django_rclone_admin import api
from django_rclone_admin.core import retry
from django_rclone_admin.core.control import Control
from django_rclone_admin.exceptions import (
    Cancelled,
    ProgramFailed,
    RemoteBusy,
    RemoteDenied,
    RemoteError,
    RemoteFull,
    RemoteUnreachable,
    Stalled,
)
from django_rclone_admin.models import BackupRun, Status
from tests.support import programs
from tests.support.faults import NOISE, add_noise, assert_failed, nothing_changes
from tests.support.programs import UPLOAD
from tests.support.storage import StorageServer
from tests.support.tables import HISTORY
from tests.support.waiting import ends_within, wait_for

REFUSED = "dial tcp 127.0.0.1:9: connect: connection refused"


@pytest.fixture
def soon(monkeypatch):
    """Have it tried again soon: the pauses are meant for a server that is started anew."""
    monkeypatch.setattr(retry, "WAITS", (0.2, 0.4))


def fail_uploads(
    folder: Path, rclone: str, *, times: int, message: str = REFUSED, when: str = UPLOAD
) -> Path:
    """Write an rclone that fails the first uploads after some bytes, and counts them in the file ``count``."""
    body = f"""
import pathlib
if re.search({when!r}, " ".join(arguments)):
    count = pathlib.Path(sys.argv[0] + ".count")
    with count.open("a") as file:
        file.write("x")
    if count.stat().st_size <= {times}:
        process = start(stdin=PIPE)
        copy(sys.stdin.buffer, process.stdin, 50_000)
        print({message!r}, file=sys.stderr, flush=True)
        end(process, 1)
"""
    return programs.wrapper(folder, "rclone", rclone, body)


def count(program: Path) -> int:
    return Path(f"{program}.count").stat().st_size


# -- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RemoteUnreachable("gone"), RemoteBusy("busy")], ids=repr)
def test_what_can_pass_is_tried_three_times(soon, error):
    numbers, told = [], []

    def attempt(number):
        numbers.append(number)
        raise error

    with pytest.raises(type(error)):
        retry.retry(attempt, Control(), lambda *words: told.append(words))

    assert numbers == [0, 1, 2]
    assert told == [(error, 0.2), (error, 0.4)]


@pytest.mark.parametrize(
    "error",
    [
        Cancelled("stop"),
        ProgramFailed("pg_dump"),
        RemoteDenied("password"),
        RemoteError("odd"),
        RemoteFull("full"),
        Stalled("silence"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_what_lasts_is_not_tried_again(soon, error):
    numbers = []

    def attempt(number):
        numbers.append(number)
        raise error

    with pytest.raises(type(error)):
        retry.retry(attempt, Control(), lambda *words: None, on=(*retry.PASSING, RemoteDenied, RemoteFull))

    assert numbers == [0]


def test_pauses_grow():
    assert list(retry.WAITS) == sorted(set(retry.WAITS))


def test_pause_ends_soon_after_a_stop():
    control = Control()
    threading.Timer(0.1, control.stop, [Cancelled("stop")]).start()

    with ends_within(2), pytest.raises(Cancelled):
        control.sleep(3600)


# -- a backup -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_backup_succeeds_at_the_third_attempt(backups, soon, tmp_path):
    program = fail_uploads(tmp_path / "bin", backups.remote.binary, times=2)
    backups.configure(RCLONE_BINARY=str(program), COMPRESSION=None)

    run = api.backup_database()

    assert (run.status, count(program)) == (Status.SUCCEEDED, 3)
    assert run.log.count("Trying again in") == 2
    assert REFUSED in run.log
    assert run.bytes_done == run.raw_size  # not those of three attempts
    name = run.path.removeprefix("db/")
    assert backups.remote.names("db") == [f"db/{name}", f"db/{name}.manifest.json"]


@pytest.mark.django_db
def test_backup_fails_after_the_third_attempt_and_leaves_nothing(backups, soon, tmp_path):
    program = fail_uploads(tmp_path / "bin", backups.remote.binary, times=9)
    backups.configure(RCLONE_BINARY=str(program))

    with pytest.raises(RemoteUnreachable):
        api.backup_database()

    assert count(program) == 3
    assert backups.remote.names() == []
    run = BackupRun.objects.get()
    assert (run.status, run.lock) == (Status.FAILED, None)
    assert "connection refused" in run.message


@pytest.mark.django_db
def test_wrong_credentials_are_not_tried_again(backups, soon, tmp_path):
    message = "ssh: handshake failed: ssh: unable to authenticate"
    program = fail_uploads(tmp_path / "bin", backups.remote.binary, times=9, message=message)
    backups.configure(RCLONE_BINARY=str(program))

    with pytest.raises(RemoteDenied):
        api.backup_database()

    assert count(program) == 1


@pytest.mark.django_db
def test_manifest_that_is_refused_is_no_reason_to_give_up(backups, soon, tmp_path):
    program = fail_uploads(
        tmp_path / "bin", backups.remote.binary, times=1, message="503 Slow Down", when=r"\brcat\b.*manifest"
    )
    backups.configure(RCLONE_BINARY=str(program))

    run = api.backup_database()

    assert backups.remote.names("db") == [run.path, f"{run.path}.manifest.json"]


FAIL_LAST_LOOK = """
line, sealed = " ".join(arguments), sys.argv[0] + ".sealed"
if re.search("rcat.*manifest", line):
    open(sealed, "w").close()
elif "lsjson" in line and os.path.exists(sealed):
    os.unlink(sealed)
    print("503 Slow Down", file=sys.stderr)
    sys.exit(1)
"""


@pytest.mark.django_db
def test_backup_that_can_not_be_looked_at_for_a_moment_is_not_made_again(backups, soon, tmp_path):
    program = programs.wrapper(tmp_path / "bin", "rclone", backups.remote.binary, FAIL_LAST_LOOK)
    backups.configure(RCLONE_BINARY=str(program))

    run = api.backup_database()

    assert backups.remote.names("db") == [run.path, f"{run.path}.manifest.json"]


@pytest.fixture
def noise(transactional_db):
    """Make the database larger than any pipe or chunk."""
    with connection.cursor() as cursor:
        cursor.execute(NOISE["sqlite3"].format(rows=20_000))
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE noise")


def test_server_that_is_started_anew_gets_the_whole_dump(backups, noise, monkeypatch, tmp_path):
    monkeypatch.setattr(retry, "WAITS", (4, 10))
    (tmp_path / "server").mkdir()
    server = StorageServer(backups.remote.binary, "webdav", tmp_path / "server")
    remote = server.remote("site")
    held = programs.hold_input(tmp_path / "bin", "rclone", remote.binary, after=500_000, when=UPLOAD)
    backups.configure(RCLONE_BINARY=str(held.program), **remote.settings)
    finished = threading.Event()

    def start_anew() -> None:
        held.wait()
        server.stop()
        held.release()
        wait_for(BackupRun.objects.filter(message__startswith="Trying again in").exists)
        connections.close_all()
        server.start()
        finished.wait()  # a server ends with the thread that started it

    thread = threading.Thread(target=start_anew)
    thread.start()
    try:
        run = api.backup_database()
        found = api.list_backups(everything=True)
    finally:
        finished.set()
        thread.join()
        server.stop()

    assert "Trying again in" in run.log
    assert [(each.path, each.state, each.size) for each in found] == [(run.path, "complete", run.size)]


def test_pause_is_ended_by_a_signal(shop, tmp_path, rclone_binary):
    add_noise(shop)
    program = fail_uploads(tmp_path / "bin", rclone_binary, times=9)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)
    with nothing_changes(shop):
        process = shop.start("dbbackup")
        wait_for(lambda: shop.execute(f"SELECT 1 FROM {HISTORY} WHERE message LIKE 'Trying again in %'"))
        process.send_signal(SIGINT)
        with ends_within(3):
            assert_failed(shop.finish(process), "Cancelled by Ctrl-C")
    assert count(program) == 1


# -- the media ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_media_backup_goes_on_after_a_pause(backups, soon, tmp_path, settings):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    Path(settings.MEDIA_ROOT).mkdir()
    (Path(settings.MEDIA_ROOT) / "file").write_bytes(b"bytes")
    program = fail_uploads(tmp_path / "bin", backups.remote.binary, times=1, when=r"\bsync\b")
    backups.configure(RCLONE_BINARY=str(program))

    run = api.backup_media()

    assert (run.status, count(program)) == (Status.SUCCEEDED, 2)
    assert run.log.count("Trying again in") == 1
    assert "media/file" in backups.remote.names()
