"""Commands ask before they overwrite, and say what to do where nobody can answer."""

import os
import pty

import pytest

from tests.support.commands import done
from tests.support.faults import assert_failed, nothing_changes

QUESTIONS = {
    "restore": (("dbrestore",), "Overwrite the database “default”?"),
    "file": (("dbrestore", "--input-file", "dump.sqlite3"), "Overwrite the database “default”?"),
    "undo": (("dbrestore", "--undo"), "Undo the last restore of “default”?"),
    "media": (("mediarestore",), "Restore the media files?"),
}


@pytest.fixture
def question(request, shop):
    """A command that asks, in a shop where there is something to overwrite."""
    file = shop.home / "media" / "a.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text("hello")
    done(shop, "dbbackup")
    done(shop, "mediabackup")
    done(shop, "dbrestore", "--noinput")
    arguments, asked = QUESTIONS[request.param]
    dump = shop.home / "dump.sqlite3"
    done(shop, "dbbackup", "--output-path", str(dump))
    return [str(dump) if each == dump.name else each for each in arguments], asked


every_question = pytest.mark.parametrize("question", sorted(QUESTIONS), indirect=True)


@every_question
def test_question_that_nobody_can_answer_is_wrong_usage(shop, question):
    arguments, asked = question
    for stdin in None, "":  # the null device, as under cron; a pipe that is closed
        with nothing_changes(shop):
            result = shop.manage(*arguments, input=stdin)
        assert asked in result.err
        last = result.err.partition("[y/N]")[2].strip()
        assert last.startswith("CommandError: ")
        assert "Cancelled" not in result.err
        assert "--noinput" in last
        assert result.code == 2


def test_closed_standard_input_is_no_terminal_either(shop):
    done(shop, "dbbackup")
    code = """
import sys
from django.core.management import call_command
sys.stdin.close()
call_command("dbrestore", verbosity=0)
"""
    result = shop.manage("shell", "--verbosity", "0", "-c", code)
    assert "--noinput" in result.err.splitlines()[-1]
    assert result.code == 2


def test_json_of_a_question_that_nobody_can_answer(shop):
    done(shop, "dbbackup")
    result = shop.manage("dbrestore", "--json")
    assert (result.code, result.json.keys()) == (2, {"error", "hint"})
    assert "--noinput" in result.json["hint"]


@pytest.mark.in_turns("answer")
@pytest.mark.parametrize("answer", ["y\n", "YES\n", "y"])
def test_yes_may_come_from_a_pipe(shop, answer):
    """``yes | manage.py dbrestore`` is an answer."""
    done(shop, "dbbackup")
    wanted = shop.rows()
    shop.execute("DELETE FROM shop_orderline")
    done(shop, "dbrestore", input=answer)
    assert shop.rows() == wanted


@pytest.mark.parametrize("answer, code", [(b"y\n", 0), (b"\n", 1), (b"\x04", 1)])
def test_question_on_a_terminal(shop, answer, code):
    done(shop, "dbbackup")
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
