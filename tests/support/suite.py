"""A plugin for the run of the suite: the order of its tests, how long one may hang, and how long all may take."""

import gc
import os
import resource
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import monotonic

import pytest

from tests.support.matrix import take_turns
from tests.support.waiting import patience

HANGS = 300
"""Seconds after which a test is taken to hang, on a quiet machine."""
HANGS_IN_SOAK = 3600
STARTED = pytest.StashKey[tuple[float, float]]()
"""When the run began, and how patient to be with it, by the load that others made then."""


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "fail where CI is set when the run takes longer than this many seconds, times TEST_PATIENCE"
    parser.addoption("--budget", type=float, metavar="SECONDS", help=help_)


def pytest_configure(config: pytest.Config) -> None:
    given, load = os.environ.get("TEST_PATIENCE"), os.getloadavg()[0] / (os.cpu_count() or 1)
    config.stash[STARTED] = monotonic(), float(given or 1 + load)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Search for no garbage among the modules and the tests, which are most of all objects and stay to the end."""
    gc.disable()
    try:
        if (
            "PYTEST_XDIST_WORKER" in os.environ
            and session.config.args_source is not pytest.Config.ArgsSource.ARGS
        ):
            _import_a_share(session.config.rootpath)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_a_share(root: Path) -> None:
    """Import some of the tests before all others, each worker its own: so each module is compiled by one of them."""
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    files = sorted((root / "tests").glob("*/test_*.py"))
    for file in files[number :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]:
        with suppress(Exception, pytest.skip.Exception):  # the collection says it
            import_module(".".join(file.relative_to(root).with_suffix("").parts))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use more workers than processors: a test waits for other processes much of the time."""
    return 2 * (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Have matrices take turns, and deal the tests to the workers."""
    take_turns(items)  # before pytest leaves out what is for the soak
    yield
    items[:] = _dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for item in items:
        if item.get_closest_marker("timeout") is None:
            seconds = HANGS_IN_SOAK if item.get_closest_marker("soak") else HANGS
            item.add_marker(pytest.mark.timeout(seconds * patience()))


def _dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests in an order in which each worker, which gets one stretch of the list, has its share of the slow ones.

    A file stays together, so that what its tests share is made once. Slow tests wait most of the time: so no two workers
    have them at the same time, for the processors would idle, and none at its end, where it would keep all waiting.
    """
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    shares: list[list[list[pytest.Item]]] = [[] for _worker in range(workers)]
    for file in sorted(files.values(), key=lambda file: _cost([file]), reverse=True):
        min(shares, key=_cost if _count_slow(file) else _count).append(file)
    for place, share in enumerate(shares):
        slow = [file for file in share if _count_slow(file)]
        quick = [file for file in share if not _count_slow(file)]
        before = len(quick) * place // (workers + 1)
        share[:] = [*quick[:before], *slow, *quick[before:]]
    return [item for share in shares for file in share for item in file]


def _count(files: Iterable[Sequence[pytest.Item]]) -> int:
    return sum(map(len, files))


def _cost(files: Iterable[Sequence[pytest.Item]]) -> tuple[int, int]:
    return sum(map(_count_slow, files)), _count(files)


def _count_slow(items: Sequence[pytest.Item]) -> int:
    return sum(item.get_closest_marker("slow") is not None for item in items)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail above the budget."""
    if _above_budget(session.config) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the run has cost."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(each.ru_utime + each.ru_stime for each in used)
    terminalreporter.line(f"{seconds:.0f} seconds of processor time, without the shared servers")
    if problem := _above_budget(config):
        terminalreporter.line(problem, red=True)


def _above_budget(config: pytest.Config) -> str:
    budget, (started, factor) = config.getoption("budget"), config.stash[STARTED]
    took = monotonic() - started
    if not os.environ.get("CI") or budget is None or took <= budget * factor:
        return ""
    return (
        f"The run took {took:.0f} s, more than its budget of {budget:.0f} s, times {factor:.1f} for the load."
    )
