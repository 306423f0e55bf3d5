"""A swap loads the rows by several connections where there is room for the archive, and as they come where there is not."""

import sys
from pathlib import Path

import pytest

from django_rclone_admin.connectors.postgresql import spooling
from django_rclone_admin.connectors.postgresql.spooling import Spool
from django_rclone_admin.core.command import Command
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.room import room
from django_rclone_admin.exceptions import ProgramFailed
from tests.support import programs
from tests.support.commands import stored
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.swaps import SWAP, beside

DATA = [bytes([number]) * 1000 for number in range(100)]
COPY = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), open(sys.argv[2], 'wb'))"


class Loads:
    """A spool whose programs write what they load into files."""

    def __init__(self, folder: Path, code: str = COPY) -> None:
        self.loaded, self.streamed = folder / "loaded", folder / "streamed"
        self.path = folder / "archive"
        self.spool = Spool(
            self.path,
            lambda path: self._command(code, path, self.loaded),
            lambda: self._command(code, Path("/dev/stdin"), self.streamed),
            Control(),
        )

    def _command(self, code: str, source: Path, target: Path) -> Command:
        return Command(argv=(sys.executable, "-c", code, str(source), str(target)), env={}, name="loader")

    def write(self) -> None:
        self.spool.open()
        for data in DATA:
            self.spool.write(data)


@pytest.fixture
def loads(tmp_path):
    loads = Loads(tmp_path)
    yield loads
    loads.spool.close()


def test_file_is_loaded_when_all_of_it_is_there(loads):
    loads.write()
    assert not loads.loaded.exists()
    loads.spool.commit()
    assert loads.loaded.read_bytes() == b"".join(DATA)
    assert not loads.streamed.exists()
    assert not loads.path.exists()


def free(monkeypatch, *sizes):
    """Let there be so much room at each look, and none after them. A disk can't be filled here."""
    left = list(sizes)
    monkeypatch.setattr(spooling, "LOOK_BYTES", 10_000)
    monkeypatch.setattr(spooling, "room", lambda _descriptor: left.pop(0) if left else 0)


@pytest.mark.parametrize("looks", [0, 1, 5])
def test_rows_are_loaded_as_they_come_when_the_room_ends(loads, monkeypatch, looks):
    free(monkeypatch, *[1 << 40] * looks)
    loads.write()
    assert not loads.path.exists()
    loads.spool.commit()
    assert loads.streamed.read_bytes() == b"".join(DATA)
    assert not loads.loaded.exists()


@pytest.mark.parametrize("sizes", [(), (1 << 40,) * 100], ids=["no room", "room"])
def test_what_is_not_committed_is_not_loaded(tmp_path, monkeypatch, sizes):
    free(monkeypatch, *sizes)
    loads = Loads(
        tmp_path, "import sys; data = open(sys.argv[1], 'rb').read(); open(sys.argv[2], 'wb').write(data)"
    )
    loads.write()
    loads.spool.close()
    assert not loads.loaded.exists()
    assert not loads.streamed.exists()


def test_loader_that_fails_is_an_error(tmp_path):
    loads = Loads(tmp_path, "import sys; sys.exit('no rows today')")
    loads.write()
    with pytest.raises(ProgramFailed, match="no rows today"):
        loads.spool.commit()
    loads.spool.close()


def test_memory_is_no_room(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        assert room(file.fileno()) > 0
    shared = Path("/dev/shm")  # noqa: S108
    if not shared.is_dir():
        pytest.skip("there is no file system in memory here")
    with (shared / f"room-{tmp_path.name}").open("wb") as file:
        Path(file.name).unlink()
        assert room(file.fileno()) == 0


def recorded(shop, server, folder, **fault):
    """Have each call of pg_restore written down, and return the file."""
    log, real = folder / "calls.log", server.bin_dir / "pg_restore"
    body = f"with open({str(log)!r}, 'a') as log:\n    log.write(' '.join(arguments) + chr(10))\n"
    program = programs.wrapper(folder / "bin", "pg_restore", real, body + fault.get("body", ""))
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"BIN_DIR": str(program.parent)}}
    return log


@pytest.mark.postgresql
def test_swap_loads_by_several_connections_and_one_that_fails_changes_nothing(
    make_shop, postgresql_server, tmp_path
):
    shop = make_shop("postgresql", backed_up=True, prepare=add_noise)
    wanted = shop.rows()
    shop.execute("DELETE FROM noise WHERE n > 7")
    is_data = "any(each.startswith('--jobs') for each in arguments) and '--section=data' in arguments"
    recorded(shop, postgresql_server, tmp_path, body=f"if {is_data}: sys.exit('no connection left')\n")
    with nothing_changes(shop):
        assert_failed(shop.manage(*SWAP, stored(shop)), "no connection left")
    assert beside(shop) == []

    log = recorded(shop, postgresql_server, tmp_path)
    result = shop.manage(*SWAP, stored(shop))
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    assert [line for line in log.read_text().splitlines() if "--section=data" in line and "--jobs=" in line]
    assert list(shop.temporary.iterdir()) == []
