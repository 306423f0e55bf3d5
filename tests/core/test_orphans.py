"""When we are killed, so are our programs, at whatever they wait for: no pipe tells one that waits for something else."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from django_rclone_admin.core import leash, orphans
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.programs import follow, run_to_end
from tests.support import leaks, programs
from tests.support.databases import connection
from tests.support.engine import python
from tests.support.programs import DOWNLOAD, UPLOAD
from tests.support.waiting import wait_for


def kill_when_it_runs(shop, name: str, *command: str) -> None:
    """Run a command, kill it when a program of this name works for it, and see the program end."""
    process = shop.start(*command)
    wait_for(lambda: any(name in words(pid) for pid in leaks.descendants(process.pid)))
    shop.kill(process)


def words(pid: int) -> str:
    try:
        found = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    # Before it is the program, it is the Python that becomes it.
    return "" if b"-ISc" in found[:2] else b" ".join(found).decode()


@pytest.mark.parametrize(
    "shop, name, lock",
    [
        ("postgresql", "pg_dump", "BEGIN; LOCK TABLE shop_product IN ACCESS EXCLUSIVE MODE"),
        ("mysql", "dump", "LOCK TABLES shop_product WRITE"),
    ],
    indirect=["shop"],
    ids=["postgresql", "mysql"],
)
def test_dump_that_waits_for_a_lock(shop, name, lock):
    with connection(shop.settings["DATABASES"]["default"]) as holder:
        for statement in lock.split("; "):
            holder.execute(statement)
        kill_when_it_runs(shop, name, "dbbackup")
    assert shop.names() == []


@pytest.mark.backed_up
@pytest.mark.in_turns("shop")
@pytest.mark.parametrize("shop", ["sqlite", "postgresql", "mysql"], indirect=True)
def test_upload_and_download_in_which_nothing_moves(shop, tmp_path, rclone_binary):
    rows, names = shop.rows(), shop.names()
    program = programs.hang(tmp_path / "bin", "rclone", rclone_binary, when=f"{UPLOAD}|{DOWNLOAD}")
    shop.settings["DJANGO_RCLONE"] |= {"RCLONE_BINARY": str(program), "SAFETY_BACKUP": False}
    kill_when_it_runs(shop, " rcat ", "dbbackup")
    kill_when_it_runs(shop, " cat --", "dbrestore", "--noinput")
    assert (shop.rows(), shop.names()) == (rows, names)


def test_media_files_on_their_way(shop):
    media = shop.home / "media"
    media.mkdir(exist_ok=True)
    (media / "large").write_bytes(bytes(10_000_000))
    shop.settings["DJANGO_RCLONE"]["RCLONE_FLAGS"] = ["--bwlimit=100k"]
    kill_when_it_runs(shop, " sync ", "mediabackup")


@pytest.mark.parametrize("name", ["call_function", "no_longer_there"])
def test_program_ends_with_the_thread_that_started_it_whatever_ctypes_is_built_on(name):
    code = orphans.BIND.replace("import call_function", f"import {name}")
    argv = [sys.executable, "-ISc", code, str(os.getpid()), "/bin/sleep", "600"]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(subprocess.Popen(argv))
        wait_for(lambda: words(started[0].pid).startswith("/bin/sleep"))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert started[0].wait() == -signal.SIGTERM


def test_programs_run_by_a_python_that_was_built_without_ctypes(monkeypatch, tmp_path):
    """Such a Python can't be had here, so the lack is played, for this process and for the one that would bind."""
    monkeypatch.setitem(sys.modules, "_ctypes", None)
    without = "import sys; sys.modules['_ctypes'] = None\n"
    monkeypatch.setattr(orphans, "BIND", without + orphans.BIND)
    monkeypatch.setattr(leash, "GUARD", without + leash.GUARD)
    said: list[str] = []

    run_to_end(python(f"open({str(tmp_path / 'ran')!r}, 'w').close()"), Control())
    follow(python("import sys; print('said', file=sys.stderr)"), Control(lease=10), said.append)

    assert (tmp_path / "ran").exists()
    assert said == ["said"]
