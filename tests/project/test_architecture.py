"""The parts of the package know only those parts that they may know."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from django_rclone_admin import api
from tests.support.code import MODULES, PACKAGE, nodes

LONGEST = 330
"""Lines of a module."""


def dotted(path: Path) -> str:
    """Return the name of a module."""
    parts = [PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports, wherever in it, relative ones made absolute.

    What comes ``from`` a package may be a module of it or a name in it: both are given, as one dotted name.
    """
    package = dotted(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = [*base, *(node.module.split(".") if node.module else [])]
            found |= {".".join([*prefix, alias.name]) for alias in node.names}
    return found


def importers(*names: str, among: str = "") -> set[str]:
    """Return the modules below ``among`` that import any of ``names``, or something from it."""
    return {
        dotted(path)
        for path in MODULES
        if is_in(dotted(path), f"{PACKAGE.name}.{among}".rstrip("."))
        and any(is_in(each, name) for each in imports(path) for name in names)
    }


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def module_of(name: str, modules: set[str]) -> str:
    """Return the module that an imported dotted name is, or is in; the package itself for what is not ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or PACKAGE.name


def ours(*names: str) -> list[str]:
    return [f"{PACKAGE.name}.{name}" for name in names]


def test_imports_are_found_wherever_and_however_they_are_written():
    """So that the tests below can't pass by seeing nothing."""
    transfer = PACKAGE / "core" / "transfer.py"
    assert {"threading", *ours("exceptions.BackupError", "core.command.Command")} <= imports(transfer)
    assert "django.db.models" in imports(PACKAGE / "models" / "runs.py")


def test_core_knows_no_django():
    assert importers("django", among="core") == set()


def test_core_knows_only_itself_and_the_exceptions():
    others = [
        dotted(path)
        for path in MODULES
        if not is_in(dotted(path), ours("core")[0]) and path.parent == PACKAGE
    ]
    assert importers(*(set(others) - set(ours("exceptions")) - {PACKAGE.name}), among="core") == set()
    assert (
        importers(*ours("connectors", "jobs", "api", "admin", "management", "models"), among="core") == set()
    )


def test_exceptions_know_nothing():
    assert imports(PACKAGE / "exceptions.py") == {"__future__.annotations", "typing.Any"}


def test_processes_are_started_in_one_place():
    assert importers("subprocess", "multiprocessing", "pty") == set(ours("core.process"))


def test_no_module_starts_programs_behind_the_back_of_that_place():
    calls = {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile"}
    found = {
        (dotted(path), node.attr)
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and (node.attr in calls or node.attr.startswith(("exec", "spawn")))
    }
    assert found == set()


def test_connectors_know_nothing_of_runs():
    assert importers(*ours("jobs", "api", "admin", "management", "executors"), among="connectors") == set()
    # It tells the others the name of the table that no dump may hold.
    assert importers(*ours("models"), among="connectors") <= set(ours("connectors.registry"))


@pytest.mark.parametrize("user", ["admin", "management", "schedules", "urls", "views"])
def test_whoever_lets_work_be_done_goes_through_the_api(user):
    parts = (
        "jobs",
        "connectors",
        "core",
        "conf",
        "remote",
        "cached_listing",
        "cached_file_lists",
        "media",
        "health",
    )
    assert importers(*ours(*parts), among=user) == set()


def test_jobs_do_not_know_who_asked_for_them():
    assert importers(*ours("api", "admin", "management", "schedules"), among="jobs") == set()


def test_only_what_shows_backups_knows_their_model():
    """The run history is low in the house, and the backups on the remote are high in it."""
    low = ("core", "connectors", "jobs", "api", "executors", "remote", "cached_listing", "media", "health")
    for part in low:
        assert importers(*ours("models.Backup", "models.backups", "models.queryset"), among=part) == set()


def test_imports_never_lead_back():
    """Imports inside functions count: a circle that only shows at run time is one, too."""
    names = {dotted(path) for path in MODULES}
    graph = {
        dotted(path): {found for each in imports(path) if (found := module_of(each, names)) != dotted(path)}
        for path in MODULES
    }
    assert sum(map(len, graph.values())) > 400  # so that it can't pass by seeing nothing
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, with the circle


def test_api_does_not_know_who_calls_it():
    assert importers(*ours("admin", "management"), among="api") == set()


def test_executors_know_nothing_of_jobs():
    assert importers(*ours("jobs", "api", "models"), among="executors") == set()


def test_nobody_imports_what_another_module_keeps_to_itself():
    found = {
        (dotted(path), name)
        for path in MODULES
        for name in imports(path)
        if name.startswith(PACKAGE.name)
        and any(part.startswith("_") and part not in ("__all__", "__version__") for part in name.split("."))
    }
    assert found == set()


def test_each_module_can_be_read_in_one_go():
    lines = {dotted(path): path.read_text().count("\n") for path in MODULES}
    assert {name: number for name, number in lines.items() if number > LONGEST} == {}


def test_no_module_of_the_api_hides_a_function_of_its_name():
    """The functions are imported when they are first asked for; a module of that name would be found instead."""
    assert {path.stem for path in (PACKAGE / "api").glob("*.py")} & set(api.__all__) == set()
