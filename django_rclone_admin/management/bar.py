"""The progress bar of commands, on a terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from ..api import Progress
from ..models import BackupRun

EVERY = 0.25
"""Seconds between two redraws. The clock of the bar continues while no byte moves, and while a heartbeat waits."""
LONGEST = 48
"""The longest shown stage text, which leaves room for the bar."""


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show a bar while inside; give a function to call with the run.

    :param title: shown until the run has a stage.
    """
    with tqdm(desc=title, unit="B", unit_scale=True, leave=False, file=sys.stderr) as bar:

        def show(run: BackupRun) -> None:
            stage = run.message or title
            bar.desc = stage if len(stage) <= LONGEST else f"{stage[: LONGEST - 1]}…"
            bar.total, bar.n = run.bytes_total or None, run.bytes_done

        with _drawing(bar):
            yield show


@contextlib.contextmanager
def _drawing(bar: tqdm[Any]) -> Iterator[None]:
    done = threading.Event()

    def draw() -> None:
        while not done.wait(EVERY):
            bar.refresh()

    thread = threading.Thread(target=draw, name="progress bar", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
