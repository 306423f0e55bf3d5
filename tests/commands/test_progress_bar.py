"""The bar on a terminal: it lives while nothing moves, and says what is going on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import programs
from tests.support.commands import document
from tests.support.faults import add_noise
from tests.support.programs import DOWNLOAD, UPLOAD
from tests.support.site import Result
from tests.support.terminals import Screen, terminal
from tests.support.waiting import wait_for


@pytest.fixture
def screen() -> Iterator[tuple[int, Screen]]:
    with terminal() as found:
        yield found


@contextmanager
def held_command(shop, held, terminal, *command: str):
    """Start a command, and let it go on to its end after the block, which looks at it while rclone is held.

    Yields a list, which gets the result in the end.
    """
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = shop.start(*command, stderr=terminal)
    held.wait()
    ended: list[Result] = []
    try:
        yield ended
    finally:
        held.release()
        ended.append(shop.finish(process))
    assert ended[0].code == 0, ended


def hold_end(folder, rclone, when):
    """Write an rclone that has taken all of its input and is not done with it."""
    body = f"""
if re.search({when!r}, ' '.join(arguments)):
    process = start(stdin=PIPE)
    copy(sys.stdin.buffer, process.stdin)
    hold()
    process.stdin.close()
    sys.exit(process.wait())
"""
    return programs.Held(program=programs.wrapper(folder, "rclone", rclone, body))


@pytest.mark.backed_up
def test_bar_moves_while_no_byte_does_and_shows_no_estimate_that_is_too_small(
    shop, tmp_path, rclone_binary, screen
):
    """“4.8 MB of about 4.7 MB” tells nobody anything."""
    ours, shown = screen
    add_noise(shop)
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=1_500_000, when=UPLOAD)
    query = "SELECT bytes_done, bytes_total FROM django_rclone_admin_backuprun WHERE status = 'running'"
    with held_command(shop, held, ours, "dbbackup") as ended:
        wait_for(lambda: len(shown.seconds()) >= 4)
        assert re.search(rb"(Dumping and u|U)ploading", shown.shown)
        assert re.search(rb"\d+(\.\d+)?[kM]B?", shown.shown)
        wait_for(lambda: (row := shop.execute(query)) and row[0][0] > 1_000_000)
        assert shop.execute(query)[0][1] is None
    assert ended[0].out.startswith("default: Stored ")
    found = shown.seconds()
    assert found[-1] - found[0] <= len(found) + 1  # on a busy machine a second may be left out
    for frame in shown.frames:
        if sizes := re.search(r"([\d.]+)([kM])/([\d.]+)([kM])", frame):
            done_bytes, total = (
                float(number) * {"k": 1e3, "M": 1e6}[unit]
                for number, unit in (sizes.groups()[:2], sizes.groups()[2:])
            )
            assert done_bytes <= total, frame


def test_bar_says_that_the_dump_is_out_and_the_upload_is_not(shop, tmp_path, rclone_binary, screen):
    ours, shown = screen
    held = hold_end(tmp_path / "bin", rclone_binary, UPLOAD)
    with held_command(shop, held, ours, "dbbackup"):
        wait_for(lambda: len(shown.seconds("Uploading")) >= 2)
        query = "SELECT message FROM django_rclone_admin_backuprun"
        wait_for(lambda: shop.execute(query) == [("Uploading",)])


def test_bar_says_that_a_restore_backs_up_first_and_measures_it_by_its_own_size(
    shop, tmp_path, rclone_binary, screen
):
    """Its bytes are those that are stored, and not those of the dump that was made before it."""
    ours, shown = screen
    shop.execute("CREATE TABLE dull AS SELECT zeroblob(3000000) AS bytes")
    add_noise(shop)
    stored = document(shop, "dbbackup")["size"]
    then = programs.hold_output(tmp_path / "then", "rclone", rclone_binary, after=1_000_000, when=DOWNLOAD)
    first = programs.hold_input(tmp_path / "first", "rclone", then.program, after=300_000, when=UPLOAD)
    with held_command(shop, first, ours, "dbrestore", "--noinput"):
        wait_for(lambda: len(shown.seconds("Making a safety backup")) >= 2)
        assert not any("Restoring:" in each and "%" in each for each in shown.frames)
        first.release()
        then.wait()
        wait_for(lambda: any(each.startswith("Restoring:") and "%" in each for each in shown.frames))
        query = "SELECT bytes_total FROM django_rclone_admin_backuprun WHERE kind = 'db_restore'"
        wait_for(lambda: shop.execute(query) == [(stored,)])
        then.release()


@pytest.mark.parametrize("arguments", [("--verbosity", "0"), ("--json",)])
def test_no_bar_where_none_is_wanted(shop, screen, arguments, tmp_path):
    ours, shown = screen
    process = shop.start("dbbackup", *arguments, "--output-path", str(tmp_path / "dump"), stderr=ours)
    assert shop.finish(process).code == 0
    assert shown.frames == []
