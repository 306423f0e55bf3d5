"""A run that was frozen for longer than ``STALE_AFTER`` changes nothing once another run has taken its place."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT
from subprocess import Popen
from time import monotonic, sleep

import psycopg
import pytest

from tests.support import databases, leaks, programs
from tests.support.backups import antedate, put_media
from tests.support.faults import assert_failed, freeze
from tests.support.matrix import sampled
from tests.support.programs import DOWNLOAD, UPLOAD, Held
from tests.support.site import Result, Shop
from tests.support.tables import HISTORY
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.slow

STALE_AFTER = 8
"""Seconds. A beat must get through on a machine that is busy: with 3, a run was now and then taken for dead too early."""
LOST = "The run gave no heartbeat for too long, so another process closed it|The run history could not be written for"
"""On a machine that is busy, the answer that the run has lost its place may come too late; then it stops without."""

RESTORE = ("dbrestore", "--noinput", "--no-safety-backup")
KINDS = {
    "sqlite": ("sqlite", RESTORE),
    "postgresql-in_place": ("postgresql", (*RESTORE, "--strategy=in_place")),
    "postgresql-swap": ("postgresql", (*RESTORE, "--strategy=swap")),
    "mysql-swap": ("mysql", (*RESTORE, "--strategy=swap")),
    "mysql-in_place": ("mysql", (*RESTORE, "--strategy=in_place")),
}
"""The engine and the command of each kind of restore."""


class Frozen:
    """A command whose process is frozen in the middle of its work, and what it wakes up to."""

    def __init__(self, shop: Shop, held: Held, *arguments: str) -> None:
        self.shop, self.held = shop, held
        self.process: Popen[bytes] = shop.start(*arguments)
        held.wait()
        freeze(shop, self.process)

    def wake(self) -> Result:
        self.held.release()
        self.process.send_signal(SIGCONT)
        return self.shop.finish(self.process)


@pytest.fixture
def hold(tmp_path: Path, rclone_binary: str) -> Callable[..., Held]:
    """Have the shop use an rclone that stops in the middle; the next commands of the shop use the real one."""

    def hold(shop: Shop, when: str, *, after: int = 100, upload: bool = False) -> Held:
        make = programs.hold_input if upload else programs.hold_output
        held = make(tmp_path / "bin", "rclone", rclone_binary, after=after, when=when)
        shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
        return held

    return hold


def take_over(shop: Shop, rclone_binary: str, *arguments: str) -> Result:
    """Run a command that is refused at first, and has to succeed as soon as the frozen run is taken for dead."""
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    frozen_at = monotonic()

    def attempt() -> Result | None:
        result = shop.manage(*arguments)
        assert result.code in (0, 3), result.err
        return result if result.code == 0 else None

    result = attempt()
    if result is None:
        let_pass(max(0, frozen_at + STALE_AFTER - monotonic()))  # its last heartbeat was before that
        result = wait_for(attempt, 60)
    assert monotonic() - frozen_at > STALE_AFTER - 1.5  # it had beaten until it was frozen
    return result


def ends(shop: Shop, kind: str) -> list[str]:
    """Return the status of the runs of a kind, the oldest first."""
    rows = shop.execute(f"SELECT status FROM {HISTORY} WHERE kind = '{kind}' ORDER BY created_at")
    return [status for (status,) in rows]


def price(shop: Shop, value: int) -> None:
    shop.execute(f"UPDATE shop_product SET price = {value}")


@pytest.fixture(
    params=[
        pytest.param("sqlite"),
        # Of this one, test_outcome_postgresql asks the fence between the data and the commit.
        pytest.param("postgresql-in_place", marks=[pytest.mark.postgresql, pytest.mark.soak]),
        pytest.param("postgresql-swap", marks=pytest.mark.postgresql),
        pytest.param("mysql-swap", marks=pytest.mark.mysql),
        pytest.param("mysql-in_place", marks=pytest.mark.mysql),
    ]
)
def kind(request: pytest.FixtureRequest) -> tuple[str, tuple[str, ...]]:
    return KINDS[request.param]


def test_restore_that_was_overtaken_in_its_sleep(make_shop, hold, rclone_binary, kind):
    engine, restore = kind
    shop = make_shop(engine, backed_up=True, STALE_AFTER=STALE_AFTER)
    wanted = shop.rows()
    price(shop, 2000)

    frozen = Frozen(shop, hold(shop, DOWNLOAD), *restore)
    take_over(shop, rclone_binary, *restore)
    assert shop.rows() == wanted
    price(shop, 3000)
    rows = shop.rows()
    assert_failed(frozen.wake(), LOST)
    assert shop.rows() == rows
    assert ends(shop, "db_restore") == ["interrupted", "succeeded"]


HOLD_COMMIT = """
if "--file=-" in arguments:
    process = start(stdin=PIPE)
    for line in sys.stdin.buffer:
        if line == b"COMMIT;\\n":
            hold()
        process.stdin.write(line)
        process.stdin.flush()
    process.stdin.close()
    sys.exit(process.wait())
"""


@pytest.mark.postgresql
def test_nobody_gets_at_the_tables_of_postgresql_between_the_question_and_the_commit(
    make_shop, tmp_path, postgresql_server
):
    """So no other restore can come between them, however long the process stands still there."""
    shop = make_shop("postgresql", backed_up=True)
    wanted = shop.rows()
    price(shop, 1000)
    program = programs.wrapper(tmp_path / "bin", "psql", postgresql_server.bin_dir / "psql", HOLD_COMMIT)
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"BIN_DIR": str(program.parent)}}
    process, held = shop.start(*RESTORE, "--strategy=in_place"), Held(program=program)
    held.wait()
    with databases.connection(shop.settings["DATABASES"]["default"]) as other:
        other.execute("SET lock_timeout = '200ms'")
        for table in (name for name in wanted if not name.startswith("django_rclone_admin")):
            for mode in "ACCESS SHARE", "ACCESS EXCLUSIVE":
                with pytest.raises(psycopg.errors.LockNotAvailable), other.transaction():
                    other.execute(f"LOCK TABLE {table} IN {mode} MODE")
    held.release()
    assert shop.finish(process).code == 0
    assert shop.rows() == wanted


def test_restore_of_sqlite_that_was_overtaken_while_it_waited_for_a_lock(make_shop, rclone_binary):
    """The history is in another file, so nothing but its own clock tells it that it was frozen."""
    shop = make_shop("sqlite", STALE_AFTER=STALE_AFTER)
    there, restore = shop.settings["DATABASES"]["analytics"], (*RESTORE, "--database=analytics")
    assert shop.manage("dbbackup", "--database=analytics").code == 0
    shop.execute("DELETE FROM analytics_pageview", "analytics")
    with databases.connection(there) as holder:
        holder.execute("BEGIN IMMEDIATE")
        process = shop.start(*restore)
        wait_for(lambda: is_waiting(shop, process))
        freeze(shop, process)
        holder.execute("ROLLBACK")
    take_over(shop, rclone_binary, *restore)
    shop.execute("DELETE FROM analytics_pageview", "analytics")
    process.send_signal(SIGCONT)
    assert_failed(shop.finish(process), LOST)
    assert shop.execute("SELECT count(*) FROM analytics_pageview", "analytics") == [(0,)]
    assert ends(shop, "db_restore") == ["interrupted", "succeeded"]


def is_waiting(shop: Shop, process: Popen[bytes]) -> bool:
    """Whether a restore has its private copy and the live file open, and no program at work, for a while."""

    def waits() -> bool:
        found = set()
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):  # it was closed just now
                found.add(link.readlink().name)
        return {"staged.sqlite3", shop.path("analytics").name} <= found

    return not leaks.children_of(process.pid) and all(waits() for _ in range(50) if not sleep(0.01))


@pytest.mark.parametrize("shop", sampled(["sqlite", "postgresql"], "sqlite"), indirect=True)
def test_backup_that_was_overtaken_in_its_sleep(shop, hold, rclone_binary):
    shop.settings["DJANGO_RCLONE"]["STALE_AFTER"] = STALE_AFTER
    frozen = Frozen(shop, hold(shop, UPLOAD, upload=True), "dbbackup")
    take_over(shop, rclone_binary, "dbbackup")
    objects = shop.remote.files()
    assert_failed(frozen.wake(), LOST)
    assert {
        name: content for name, content in shop.remote.files().items() if ".partial-" not in name
    } == objects
    assert ends(shop, "db_backup") == ["interrupted", "succeeded"]


def test_run_whose_row_was_deleted_ends_and_says_so(shop, hold, rclone_binary):
    """Others may have begun and ended since: nothing in the history would tell."""
    shop.settings["DJANGO_RCLONE"]["STALE_AFTER"] = STALE_AFTER
    held = hold(shop, UPLOAD, upload=True)
    process = shop.start("dbbackup")
    held.wait()
    shop.execute(f"DELETE FROM {HISTORY}")
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    assert shop.manage("dbbackup").code == 0
    objects = {name for name in shop.names() if ".partial-" not in name}
    assert_failed(shop.finish(process), "The run history could not be written")
    assert set(shop.names()) == objects
    assert ends(shop, "db_backup") == ["interrupted", "succeeded"]


@pytest.mark.backed_up
def test_clean_up_that_was_overtaken_in_its_sleep(shop, tmp_path, rclone_binary):
    shop.settings["DJANGO_RCLONE"] |= {"STALE_AFTER": STALE_AFTER, "DB_CLEANUP_KEEP": 1}
    antedate(shop, "2026-09-01")
    body = 'if "lsjson" in arguments: hold()'
    program = programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)
    frozen = Frozen(shop, Held(program=program), "prunebackups", "--database=default")
    take_over(shop, rclone_binary, "dbbackup")
    objects = shop.remote.files()
    assert_failed(frozen.wake(), LOST)
    assert shop.remote.files() == objects


@pytest.mark.parametrize(
    "when",
    [
        pytest.param(r"\b(sync|copy)\b", id="copying", marks=pytest.mark.soak),
        pytest.param(r"\brcat\b", id="file list"),
    ],
)
def test_media_backup_that_was_overtaken_in_its_sleep(shop, tmp_path, rclone_binary, when):
    """Neither the mirror nor the list of the second backup is changed by the first, whose rclone waits as it does."""
    shop.settings["DJANGO_RCLONE"]["STALE_AFTER"] = STALE_AFTER
    put_media(shop.remote, {"photo.jpg": b"first"})
    media = tmp_path / "media"
    media.mkdir()
    (media / "photo.jpg").write_bytes(b"first")
    (media / "new.jpg").write_bytes(b"new")
    shop.settings["MEDIA_ROOT"] = str(media)
    body = f'if re.search({when!r}, " ".join(arguments)): hold()'
    program = programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)
    frozen = Frozen(shop, Held(program=program), "mediabackup")
    (media / "newer.jpg").write_bytes(b"newer")
    take_over(shop, rclone_binary, "mediabackup")
    objects = shop.remote.files()
    frozen.process.send_signal(SIGCONT)
    assert_failed(shop.finish(frozen.process), LOST)
    assert shop.remote.files() == objects
    assert objects["media/newer.jpg"] == b"newer"
    assert ends(shop, "media_backup") == ["interrupted", "succeeded"]


def test_rclone_does_not_go_on_while_only_our_process_is_frozen(shop, rclone_binary):
    """Else it would write to the mirror that another backup takes over."""
    shop.settings["DJANGO_RCLONE"] |= {"STALE_AFTER": STALE_AFTER, "RCLONE_FLAGS": ["--bwlimit=100k"]}
    media = shop.home / "media"
    media.mkdir(exist_ok=True)
    (media / "large").write_bytes(bytes(10_000_000))

    def copying() -> list[int]:
        return [pid for pid in leaks.descendants(process.pid) if leaks.name(pid) == "rclone"]

    process = shop.start("mediabackup")
    wait_for(lambda: copying() and [name for name in shop.remote.names("media") if "large" in name])
    freeze(shop, process)
    shop.settings["DJANGO_RCLONE"]["RCLONE_FLAGS"] = []
    (media / "large").write_bytes(b"small")
    take_over(shop, rclone_binary, "mediabackup")
    assert copying() == []
    objects = shop.remote.files()
    process.send_signal(SIGCONT)
    assert_failed(shop.finish(process), LOST)
    assert shop.remote.files() == objects


def test_media_restore_that_was_overtaken_in_its_sleep(shop, tmp_path, rclone_binary):
    shop.settings["DJANGO_RCLONE"]["STALE_AFTER"] = STALE_AFTER
    media = tmp_path / "media"
    media.mkdir()
    shop.settings["MEDIA_ROOT"] = str(media)
    photo = media / "photo.jpg"
    photo.write_bytes(b"second")
    put_media(shop.remote, {"photo.jpg": b"first"})
    body = 'if "copy" in arguments: hold()'
    program = programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)
    frozen = Frozen(shop, Held(program=program), "mediarestore", "--noinput")
    take_over(shop, rclone_binary, "mediarestore", "--noinput")
    assert photo.read_bytes() == b"first"
    photo.write_bytes(b"third")
    frozen.process.send_signal(SIGCONT)
    assert_failed(shop.finish(frozen.process), LOST)
    assert photo.read_bytes() == b"third"
