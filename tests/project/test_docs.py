"""The documentation tells the truth: what it must name is named, and what it names exists."""

import ast
import dataclasses
import importlib
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.dispatch import Signal

from django_rclone_admin import api, conf, exceptions, executors, models, signals
from django_rclone_admin.connectors.base import OPTIONS
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.core.retention import RetentionPolicy
from django_rclone_admin.core.states import State
from django_rclone_admin.exceptions import BackupError
from django_rclone_admin.health.levels import Rule
from django_rclone_admin.health.limits import Limits, SiteLimits
from tests.support.queues import QUEUES

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "django_rclone_admin"
DOCS = REPOSITORY / "docs"
REFERENCE = DOCS / "reference"
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
STANDARD_OPTIONS = {
    "--help",
    "--version",
    "--verbosity",
    "--settings",
    "--pythonpath",
    "--traceback",
    "--no-color",
    "--force-color",
    "--skip-checks",
}
"""Django's own, explained once for all commands or not at all."""

COMMANDS = sorted(name for name, app in get_commands().items() if app == PACKAGE)
SIGNALS = sorted(name for name, value in vars(signals).items() if isinstance(value, Signal))
FUNCTIONS = sorted(name for name in api.__all__ if inspect.isfunction(getattr(api, name)))

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


# -- everything that exists is in the reference -----------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(conf.FIELDS))
def test_setting_is_in_the_reference_with_its_default(key):
    cells = row(REFERENCE / "settings.md", key)
    field = conf.FIELDS[key]
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        assert cells[2] == "required"
        return
    default = field.default_factory() if callable(field.default_factory) else field.default
    assert ast.literal_eval(cells[2].strip("`")) == default


@pytest.mark.parametrize("rule", [field.name for field in dataclasses.fields(RetentionPolicy)])
def test_retention_rule_is_in_the_reference_with_its_default(rule):
    default = row(REFERENCE / "settings.md", rule)[1].strip("`")
    assert default == ("DB_CLEANUP_KEEP" if rule == "last" else str(getattr(RetentionPolicy(), rule)))


@pytest.mark.parametrize(
    "limit", [*dataclasses.fields(Limits), *dataclasses.fields(SiteLimits)], ids=lambda field: field.name
)
def test_key_of_health_is_in_the_reference_with_its_default(limit):
    shown = ast.literal_eval(row(REFERENCE / "settings.md", limit.name)[1].strip("`"))
    assert (tuple(shown) if isinstance(shown, list) else shown) == limit.default


def test_rules_of_health_are_those_of_the_reference():
    text = section(REFERENCE / "health.md", "Rules")
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == sorted(Rule)


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_connector_option_is_in_the_reference(option):
    assert row(REFERENCE / "settings.md", option)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_in_the_reference_with_its_options(name):
    text = section(REFERENCE / "commands.md", name)
    parser = load_command_class(PACKAGE, name).create_parser("manage.py", name)
    for action in parser._actions:
        if STANDARD_OPTIONS.isdisjoint(action.option_strings):
            for option in action.option_strings or [action.metavar or action.dest]:
                assert re.search(rf"`{re.escape(option)}[` ]", text), f"{name} {option} is not explained"


def test_every_option_in_the_reference_exists():
    for name in COMMANDS:
        text = section(REFERENCE / "commands.md", name)
        known = options_of(name)
        for line in re.findall(r"^\| (`-.*?) \|", text, re.MULTILINE):
            assert set(re.findall(r"`(--?[\w-]+)", line)) <= known, f"{name}: {line}"


@pytest.mark.parametrize("name", SIGNALS)
def test_signal_is_in_the_reference(name):
    assert mentions(REFERENCE / "signals.md", name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_of_the_api_is_in_the_reference_with_its_arguments(name):
    text = section(REFERENCE / "api.md", name)
    shown = re.search(rf"^`({name}\(.*\)) -> ", text, re.MULTILINE)
    assert shown, f"{name} has no signature"
    function = ast.parse(f"def {shown[1]}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    parameters = inspect.signature(getattr(api, name)).parameters.values()
    assert [each.arg for each in arguments.args] == [
        each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    assert [each.arg for each in arguments.kwonlyargs] == [
        each.name for each in parameters if each.kind is each.KEYWORD_ONLY
    ]
    defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
    constants = {"API": api.API}
    assert [
        constants[each.id] if isinstance(each, ast.Name) else ast.literal_eval(each) for each in defaults
    ] == [each.default for each in parameters if each.default is not each.empty]


def test_rest_of_the_api_is_in_the_reference():
    for name in set(api.__all__) - set(FUNCTIONS):
        assert section(REFERENCE / "api.md", name)


def test_check_ids_are_those_of_the_reference():
    source = (REPOSITORY / PACKAGE / "checks.py").read_text()
    pattern = rf"{PACKAGE}\.[EWIDC]\d{{3}}"
    assert set(re.findall(pattern, source)) == set(re.findall(pattern, (REFERENCE / "checks.md").read_text()))


@pytest.mark.parametrize(
    "heading, names",
    [
        ("States of a backup", list(State)),
        ("Status of a run", models.Status.values),
        ("Kinds of runs", models.Kind.values),
        ("What started a run", models.Trigger.values),
        ("Fields of a run", [field.name for field in models.BackupRun._meta.fields]),
        ("Fields of a backup", [field.name for field in models.Backup._meta.fields]),
        (
            "Fields of a schedule",
            [field.name for field in models.BackupSchedule._meta.fields if field.name != "id"],
        ),
        (
            "Permissions",
            [
                permission
                for model in (models.Backup, models.BackupRun, models.BackupSchedule)
                for permission in (
                    *(f"{verb}_{model._meta.model_name}" for verb in model._meta.default_permissions),
                    *(name for name, _words in model._meta.permissions),
                )
            ],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_word_is_in_the_reference_of_states(heading, names):
    text = section(REFERENCE / "states.md", heading)
    assert [name for name in names if f"`{name}`" not in text] == []


def test_fields_of_the_manifest_are_those_of_the_reference():
    text = section(REFERENCE / "remote-layout.md", "The manifest")
    shown = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(shown) == sorted(field.name for field in dataclasses.fields(Manifest))


def test_exit_codes_of_errors_are_in_the_reference():
    text = section(REFERENCE / "commands.md", "Exit codes")
    for error in (BackupError, api.RunInProgress, *BackupError.__subclasses__()):
        assert f"| {error.exit_code} |" in text


def test_errors_are_in_the_reference():
    text = section(REFERENCE / "api.md", "Errors")
    public = [name for name, value in vars(exceptions).items() if isinstance(value, type)]
    assert [name for name in public if name not in ("Any", "Stopped") and f"`{name}`" not in text] == [
        "BackupError"  # with its full path
    ]


def test_executors_are_in_the_reference():
    text = section(REFERENCE / "settings.md", "Runs")
    classes = [name for name, value in vars(executors).items() if hasattr(value, "submit")]
    assert [name for name in classes if name != "Executor" and f"executors.{name}`" not in text] == []


def test_tree_of_the_architecture_is_a_real_one():
    tree = section(DOCS / "explanation" / "architecture.md", "The tree")
    modules = list((REPOSITORY / PACKAGE).rglob("*.py"))
    assert set(re.findall(r"\w+\.py", tree)) <= {path.name for path in modules}
    folders = {path.parent.name for path in modules} - {"migrations", "templatetags"}
    assert folders <= set(re.findall(r"(\w+)/", tree))


# -- everything that the pages show exists ------------------------------------------------------------------------------


@every_page
def test_relative_links_lead_somewhere(page):
    for target in LINK.findall(without_code(page.read_text())):
        if re.match(r"\w+:", target):
            continue
        path, _mark, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.is_file(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(found), f"{target}: no such heading"


@every_page
def test_every_page_is_reached_from_the_index(page):
    if page.parent == REPOSITORY or page == DOCS / "index.md":
        return
    targets = LINK.findall((DOCS / "index.md").read_text())
    assert page in [(DOCS / target.partition("#")[0]).resolve() for target in targets]


@every_page
def test_python_code_compiles(page):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")


@every_page
def test_json_is_json(page):
    for code in blocks(page, "json"):
        json.loads(code)


@every_page
def test_settings_that_are_shown_are_accepted(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == conf.NAME:
                assert conf.problems(literal(node.value)) == [], ast.unparse(node)


@every_page
def test_imports_that_are_shown_work(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
                module = importlib.import_module(node.module)
                assert [each.name for each in node.names if not hasattr(module, each.name)] == []


@every_page
def test_dotted_paths_that_are_shown_exist(page):
    for path in re.findall(rf"[`\"]({PACKAGE}\.(?:connectors|executors)\.[\w.]+)[`\"]", page.read_text()):
        module, _dot, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


@every_page
def test_commands_that_are_shown_exist_with_their_options(page):
    known = {*get_commands(), *(queue.worker[1] for queue in QUEUES.values())}
    for name, options in commands_shown(page.read_text()):
        assert name in known, f"{name} is no command"
        if name in COMMANDS:
            assert options <= options_of(name), f"{name} has no {options - options_of(name)}"


@every_page
def test_make_targets_that_are_shown_exist(page):
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    shown = set(re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text()))
    assert shown <= targets


def test_readme_has_the_test_command_that_continuous_integration_calls():
    assert re.search(r"\bmake [a-z ]*\btest\b", (REPOSITORY / ".ci" / "run").read_text())
    assert "$ make test" in (REPOSITORY / "README.md").read_text()


# -- reading the pages --------------------------------------------------------------------------------------------------


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [code for found, code in FENCE.findall(page.read_text()) if found == language]


def without_code(text: str) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", text)


def section(page: Path, heading: str) -> str:
    """Return what stands below a heading, with its subsections."""
    text = FENCE.sub(lambda found: found[0].replace("\n#", "\n\0#"), page.read_text())
    found = list(HEADING.finditer(text))
    for index, each in enumerate(found):
        if each[2] == heading:
            level = len(each[1])
            end = next((other.start() for other in found[index + 1 :] if len(other[1]) <= level), len(text))
            return text[each.end() : end]
    pytest.fail(f"{page.relative_to(REPOSITORY)} has no heading “{heading}”", pytrace=False)


def row(page: Path, name: str) -> list[str]:
    """Return the cells of the row of a table that begins with a name."""
    for line in page.read_text().splitlines():
        if line.startswith(f"| `{name}` |"):
            return [cell.strip() for cell in line.strip("|").split(" | ")]
    pytest.fail(f"{page.relative_to(REPOSITORY)} has no row for {name}", pytrace=False)


def mentions(page: Path, name: str) -> bool:
    return f"`{name}`" in page.read_text()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    titles = (found[2] for found in HEADING.finditer(without_code(page.read_text())))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def literal(node: ast.expr) -> Any:
    """Evaluate a literal in which calls and names may stand for texts, such as ``str(BASE_DIR)``."""
    if isinstance(node, ast.Dict):
        keys = [ast.literal_eval(key) for key in node.keys if key]
        return dict(zip(keys, map(literal, node.values), strict=True))
    if isinstance(node, ast.List):
        return [literal(each) for each in node.elts]
    return "text" if isinstance(node, ast.Call | ast.Name | ast.BinOp) else ast.literal_eval(node)


def commands_shown(text: str) -> Iterator[tuple[str, set[str]]]:
    """Give each ``manage.py`` command that a page shows, with its options."""
    for line in re.findall(r"manage\.py (\w+[^`\n|&”]*)", text):
        try:
            words = shlex.split(line)
        except ValueError:  # code in quotes that goes on over several lines
            words = line.split()
        options = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)]
        yield words[0], set(options)


def options_of(name: str) -> set[str]:
    """Return all options of a command of ours."""
    parser = load_command_class(PACKAGE, name).create_parser("manage.py", name)
    return {option for action in parser._actions for option in action.option_strings}
