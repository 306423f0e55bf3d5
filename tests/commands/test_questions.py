"""Commands ask before they overwrite, and say what to do where nobody can answer."""

import os
import pty
from itertools import product

import pytest

from tests.support.backups import put_media
from tests.support.commands import done
from tests.support.faults import assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.remotes import local

DUMP = "dump.sqlite3"
QUESTIONS = {
    "restore": (("dbrestore",), "Overwrite the database “default”?"),
    "file": (("dbrestore", "--input-file", DUMP), "Overwrite the database “default”?"),
    "undo": (("dbrestore", "--undo"), "Undo the last restore of “default”?"),
    "media": (("mediarestore",), "Restore the media files?"),
}


@pytest.fixture(scope="module")
def full_shop(shops, rclone_binary, tmp_path_factory):
    """A shop where there is something to overwrite by each command that asks. No test changes it."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "remote").mkdir()
    remote = local(folder / "remote", rclone_binary)
    shop = shops.open(folder / "shop", "sqlite", remote)
    shop.remote = remote
    shop.settings["DJANGO_RCLONE"] = {"RCLONE_BINARY": rclone_binary, **remote.settings}
    put_media(remote, {"a.txt": b"hello"})
    done(shop, "dbrestore", "--noinput")
    done(shop, "dbbackup", "--output-path", str(shop.home / DUMP))
    yield shop
    shops.clear(shop, "sqlite")


@pytest.mark.parametrize(
    "question, stdin",
    sampled(
        product(sorted(QUESTIONS), ["null device", "closed pipe"]),
        ("restore", "null device"),
        ("file", "closed pipe"),
        ("undo", "null device"),
        ("media", "null device"),
    ),
)
def test_question_that_nobody_can_answer_is_wrong_usage(full_shop, question, stdin):
    """The null device is what commands get from cron."""
    shop = full_shop
    words, asked = QUESTIONS[question]
    arguments = [str(shop.home / DUMP) if each == DUMP else each for each in words]
    with nothing_changes(shop):
        result = shop.manage(*arguments, input="" if stdin == "closed pipe" else None)
    assert asked in result.err
    last = result.err.partition("[y/N]")[2].strip()
    assert last.startswith("CommandError: ")
    assert "Cancelled" not in result.err
    assert "--noinput" in last
    assert result.code == 2


@pytest.mark.backed_up
def test_closed_standard_input_is_no_terminal_either(shop):
    code = """
import sys
from django.core.management import call_command
sys.stdin.close()
call_command("dbrestore", verbosity=0)
"""
    result = shop.manage("shell", "--verbosity", "0", "-c", code)
    assert "--noinput" in result.err.splitlines()[-1]
    assert result.code == 2


@pytest.mark.backed_up
def test_json_of_a_question_that_nobody_can_answer(shop):
    result = shop.manage("dbrestore", "--json")
    assert (result.code, result.json.keys()) == (2, {"error", "hint"})
    assert "--noinput" in result.json["hint"]


@pytest.mark.soak
@pytest.mark.backed_up
@pytest.mark.parametrize("answer", ["y\n", "YES\n", "y"])
def test_yes_may_come_from_a_pipe(shop, answer):
    """``yes | manage.py dbrestore`` is an answer."""
    wanted = shop.rows()
    shop.execute("DELETE FROM shop_orderline")
    done(shop, "dbrestore", input=answer)
    assert shop.rows() == wanted


@pytest.mark.backed_up
@pytest.mark.parametrize("answer, code", [(b"y\n", 0), (b"\n", 1), (b"\x04", 1)])
def test_question_on_a_terminal(shop, answer, code):
    shop.settings["DJANGO_RCLONE"]["SAFETY_BACKUP"] = False
    theirs, ours = pty.openpty()
    try:
        process = shop.start("dbrestore", stdin=ours)
        os.write(theirs, answer)
        result = shop.finish(process)
    finally:
        os.close(theirs)
        os.close(ours)
    assert result.code == code
    assert ("Cancelled." in result.err) == bool(code)


def test_nobody_is_asked_about_what_is_refused_anyway(shop):
    assert_failed(shop.manage("dbrestore"), "There is no backup of “default”")
