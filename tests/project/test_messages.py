"""Every error has a hint, and its row in the table of messages."""

import ast
import re
from functools import cache
from pathlib import Path

from django_rclone_admin.core.complaints import MISCONFIGURED, PROBLEMS
from tests.support.code import MODULES, PACKAGE, nodes

PAGE = PACKAGE.parent / "docs" / "how-to" / "troubleshooting.md"
FORWARDING = {"explained": 0, "check": 1}
"""Functions that raise an error with the text of one of their arguments, and which."""
PASSED_ON = {"%(message)s"}
"""What a command prints is the message of a run."""


def modules() -> list[Path]:
    # What fails in the suite for one's own connectors is read by who wrote it.
    return [path for path in MODULES if path.name != "testing.py"]


@cache
def error_classes() -> dict[str, bool]:
    """Return the names of our errors, and whether each has a hint of its own."""
    found = {"BackupError": False}
    classes = [node for path in modules() for node in nodes(path) if isinstance(node, ast.ClassDef)]
    while True:
        more = {
            each.name: has_hint(each) or any(found.get(base.id, False) for base in named_bases(each))
            for each in classes
            if each.name not in found and any(base.id in found for base in named_bases(each))
        }
        if not more:
            return found
        found |= more


def named_bases(node: ast.ClassDef) -> list[ast.Name]:
    return [each for each in node.bases if isinstance(each, ast.Name)]


def has_hint(node: ast.ClassDef) -> bool:
    names = [target for each in node.body if isinstance(each, ast.Assign) for target in each.targets]
    return any(isinstance(each, ast.Name) and each.id == "default_hint" for each in names)


@cache
def calls() -> list[tuple[Path, ast.Call, str]]:
    """Return each place that makes an error: the module, the call, the name of the class or function."""
    errors: dict[str, bool] = error_classes()
    found: list[tuple[Path, ast.Call, str]] = []
    for path in modules():
        for node in map(called, nodes(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in errors or node.func.id in FORWARDING:
                    found.append((path, node, node.func.id))
            elif isinstance(node, ast.ClassDef) and node.name in errors and node.name != "BackupError":
                found += [
                    (path, each, node.name)
                    for each in ast.walk(node)
                    if isinstance(each, ast.Call) and ast.unparse(each.func) == "super().__init__"
                ]
    return found


def called(node: ast.AST) -> ast.AST:
    """Return a node, or the call that a ``partial`` will make."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and ast.unparse(node.func) in ("partial", "functools.partial")
    ):
        made = ast.Call(func=node.args[0], args=node.args[1:], keywords=node.keywords)
        return ast.copy_location(made, node)
    return node


def texts(path: Path, node: ast.expr) -> list[str]:
    """Return the texts that an argument may be: written there, marked for translation, or in a constant."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("gettext_noop", "ngettext"):
        return [text for each in node.args for text in texts(path, each)]
    if isinstance(node, ast.IfExp):
        return texts(path, node.body) + texts(path, node.orelse)
    if isinstance(node, ast.Name):
        assigned = [
            each.value
            for each in nodes(path)
            if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == node.id
        ]
        return [text for each in assigned for text in texts(path, each)]
    return []


@cache
def templates() -> set[str]:
    """Return the template of every message."""
    found = {template for _pattern, _error, template in PROBLEMS}
    found |= {template for _pattern, template, _hint in MISCONFIGURED}
    for path, node, name in calls():
        if len(node.args) > FORWARDING.get(name, 0):
            found.update(texts(path, node.args[FORWARDING.get(name, 0)]))
    return found - PASSED_ON


def shown(template: str) -> str:
    """Return a message as the page has it: with an ellipsis for each value."""
    return re.sub(r"%\(\w+\)[sd]", "…", template).replace("%%", "%")


def rows() -> list[str]:
    """Return the messages in the table."""
    lines = PAGE.read_text().splitlines()
    return [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]


def test_messages_are_found():
    """So that the tests below can't pass by seeing nothing."""
    assert len(templates()) > 80
    assert {"There is no database “%(database)s”.", "The dump is empty.", "Cancelled."} <= templates()


def test_every_error_has_a_hint():
    known = error_classes()
    without = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, node, name in calls()
        if not known.get(name, True) and not any(each.arg == "hint" for each in node.keywords)
    ]
    assert without == []


def test_each_message_has_its_row():
    assert {shown(each) for each in templates()} - set(rows()) == set()


def test_rows_are_messages():
    known = {shown(each) for each in templates()}
    found = [each for each in rows() if each[0] not in "-`*" and each not in known]
    assert found == ["Message"] * found.count("Message")
