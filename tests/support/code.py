"""The code of the package as trees of its syntax, which are read once for all tests of a process."""

import ast
import gc
from functools import cache
from pathlib import Path

import django_rclone_admin

PACKAGE = Path(django_rclone_admin.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)


def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all that the text of a module consists of, the module first. Nobody may change it."""
    return _nodes()[path]


@cache
def _nodes() -> dict[Path, tuple[ast.AST, ...]]:
    gc.disable()  # the search for garbage among what has just been made takes as long as the reading
    try:
        return {path: tuple(ast.walk(ast.parse(path.read_text()))) for path in PACKAGE.rglob("*.py")}
    finally:
        gc.enable()
