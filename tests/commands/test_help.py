"""``--help`` says enough to use a command without the documentation."""

import re

import pytest
from django.core.management import get_commands, load_command_class

from tests.support.commands import done

PACKAGE = "django_rclone_admin"
COMMANDS = sorted(name for name, app in get_commands().items() if app == PACKAGE)
FOR_PEOPLE = [name for name in COMMANDS if name != "runbackupjob"]


def shown(name: str) -> str:
    return load_command_class(PACKAGE, name).create_parser("manage.py", name).format_help()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_exit_codes(name):
    text = shown(name)
    assert re.search(r"^Exit codes:$", text, re.MULTILINE)
    assert [int(code) for code in re.findall(r"^  (\d)  \S", text, re.MULTILINE)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_help_says_what_happens_without_arguments(name):
    assert "Without arguments" in shown(name)


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_help_has_examples_that_are_right(name):
    """Each is on a line of its own, and the parser takes it."""
    text = shown(name)
    examples = re.findall(rf"^  manage\.py {name}(.*)$", text, re.MULTILINE)
    assert len(examples) >= 2
    for example in examples:
        arguments = example.partition("#")[0].split(">")[0].split()
        load_command_class(PACKAGE, name).create_parser("manage.py", name).parse_args(arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_no_line_that_a_terminal_breaks(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in shown(name).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_mentions_only_commands_and_options_that_exist(name):
    known = set(get_commands())
    text = shown(name)
    for command, rest in re.findall(r"manage\.py (\w+)([^\n“”]*)", text):
        assert command in known
        options = set(re.findall(r"(?<!\S)--?[a-z][\w-]*", rest))
        parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
        assert options <= {each for action in parser._actions for each in action.option_strings}


def test_help_of_the_restore_explains_the_strategies():
    text = shown("dbrestore")
    assert re.search(r"in_place +\S", text)
    assert re.search(r"swap +\S", text)
    assert "--strategy {in_place,swap}" in text or "--strategy NAME" in text


def test_help_is_printed_where_the_site_is_broken(shop):
    """Help needs no remote, no database and no valid settings."""
    shop.settings["DJANGO_RCLONE"] = {"REMOTE": "", "COMPRESION": 1}
    shop.settings["DATABASES"]["default"]["NAME"] = "/nowhere/db.sqlite3"
    assert "Exit codes:" in done(shop, "dbrestore", "--help")
