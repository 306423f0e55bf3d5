"""Commands called from Python, as django-rclone and Django's own are called."""

import json

import pytest

from tests.support.backups import antedate
from tests.support.commands import done
from tests.support.faults import nothing_changes
from tests.support.tables import HISTORY


def call(shop, code, **options):
    """Run Python code of the shop's project that calls commands."""
    code = f"from django.core.management import call_command\n{code}"
    return shop.manage("shell", "--verbosity", "0", "-c", code, **options)


def test_database_may_be_one_text_or_several(shop, tmp_path):
    cases = {
        '"default"': ["default"],
        '"analytics"': ["analytics"],
        '["analytics", "default"]': ["analytics", "default"],
        '("default",)': ["default"],
        "None": ["default"],
        "[]": ["default"],
    }
    # One database may go into a file, for which no rclone is needed.
    file = f", output_path={str(tmp_path / 'dump')!r}"
    result = call(
        shop,
        "".join(
            f'call_command("dbbackup", database={each}{file if len(aliases) == 1 else ""}, verbosity=0)\n'
            for each, aliases in cases.items()
        ),
    )
    assert (result.code, result.out, result.err) == (0, "", "")
    backed_up = [alias for (alias,) in shop.execute(f"SELECT database FROM {HISTORY} ORDER BY created_at")]
    assert backed_up == [alias for aliases in cases.values() for alias in aliases]


@pytest.mark.backed_up
@pytest.mark.in_turns("argument")
@pytest.mark.parametrize("argument", ["interactive=False", '"--noinput"', '"--no-input"'])
def test_restore_asks_nothing_when_it_is_told_so(shop, argument):
    wanted = shop.rows()
    shop.execute("DELETE FROM shop_orderline")
    result = call(shop, f'call_command("dbrestore", {argument}, no_safety_backup=True, verbosity=0)')
    assert (result.code, result.out, result.err) == (0, "", "")
    assert shop.rows() == wanted


@pytest.mark.soak
def test_media_restore_asks_nothing_when_it_is_told_so(shop):
    file = shop.home / "media" / "a.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text("hello")
    done(shop, "mediabackup")
    file.unlink()
    result = call(shop, 'call_command("mediarestore", interactive=False, verbosity=0)')
    assert (result.code, result.out, result.err) == (0, "", "")
    assert file.read_text() == "hello"


@pytest.mark.backed_up
def test_restore_takes_a_name_by_either_option(shop):
    first = antedate(shop, "2026-01-01")
    ways = [f'"{option}", {first!r}' for option in ("--input-path", "-i", "--at")]
    ways += [f"{keyword}={first!r}" for keyword in ("input_path", "at")]
    result = call(
        shop, "".join(f'call_command("dbrestore", {way}, dry_run=True, json=True)\n' for way in ways)
    )
    assert [json.loads(line)["name"] for line in result.out.splitlines()] == [first] * len(ways)


def test_output_goes_where_the_caller_wants_it(shop):
    code = """
import io
out = io.StringIO()
call_command("dbbackup", database="default", stdout=out)
call_command("listbackups", stdout=out)
assert "default: Stored default-" in out.getvalue()
assert ".sqlite3" in out.getvalue().splitlines()[-1]
"""
    result = call(shop, code)
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.backed_up
def test_question_without_a_terminal_is_an_error_with_the_exit_code(shop):
    code = """
from django.core.management.base import CommandError
try:
    call_command("dbrestore", verbosity=0)
except CommandError as error:
    print(error.returncode, "--noinput" in str(error))
"""
    with nothing_changes(shop):
        assert call(shop, code).out == "2 True\n"
