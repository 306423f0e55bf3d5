"""Every text for people can be found by Django's own tool, and until it is translated no sentence is half in another language."""

import ast
import shutil
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from django.core.management import call_command
from django.utils import translation

from django_rclone_admin import wording
from tests.support.code import MODULES, PACKAGE, nodes
from tests.support.servers import missing

MARKS = {"gettext", "gettext_lazy", "gettext_noop", "_"}


def marked(path: Path) -> set[str]:
    """Return the texts that a module marks for translation."""
    return {
        node.args[0].value
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in MARKS
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_extraction_finds_every_marked_text(tmp_path, monkeypatch):
    if not shutil.which("xgettext"):
        missing("xgettext is not installed")
    copy = tmp_path / "django_rclone_admin"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "locale").mkdir(exist_ok=True)
    monkeypatch.chdir(copy)
    call_command("makemessages", locale=["de"], no_obsolete=True, no_wrap=True, verbosity=0)
    catalogue = (copy / "locale" / "de" / "LC_MESSAGES" / "django.po").read_text()
    wanted = set().union(*map(marked, MODULES))
    assert len(wanted) > 300
    known = {
        ast.literal_eval(line.removeprefix("msgid "))
        for line in catalogue.splitlines()
        if line.startswith("msgid ")
    }
    assert {text for text in wanted if text not in known and "\n" not in text} == set()


def test_no_mark_has_an_alias_that_extraction_does_not_know():
    known = {("gettext_noop", None), *product(("gettext", "gettext_lazy"), (None, "_"))}
    marks = {name for name, _alias in known}
    found = {
        (str(path.relative_to(PACKAGE)), alias.name, alias.asname)
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in marks and (alias.name, alias.asname) not in known
    }
    assert found == set()


def test_time_is_not_half_in_another_language():
    with translation.override("de"):
        assert wording.ago(datetime.now(UTC) - timedelta(hours=3, minutes=1)) == "3\xa0hours ago"
        assert wording.span(timedelta(hours=3)) == "3\xa0hours"
