"""Calls that may hang, made in separate threads, so that the caller waits for a limited time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from django.db import connections

from ..exceptions import BackupError, gettext_noop

Call = Callable[[], Any]

_threads: dict[str, threading.Thread] = {}
"""The last thread of each channel, which may still hang."""


class TooSlow(BackupError):
    """A call did not return in time."""

    default_hint = gettext_noop("Check that the service answers.")


def call_all(calls: Mapping[str, Call], *, seconds: float) -> dict[str, Any]:
    """Make calls in parallel; return the result of each, or the exception that it raised, by name.

    A call is skipped while an earlier one of its name still hangs: a dead mail server blocks one thread, not one per
    message.

    :param seconds: time limit for all calls together.
    """
    end = time.monotonic() + seconds
    futures = {name: _start(name, call) for name, call in calls.items()}
    return {name: _outcome(future, end, seconds) for name, future in futures.items()}


def _start(name: str, call: Call) -> Future[Any] | None:
    earlier = _threads.get(name)
    if earlier is not None and earlier.is_alive():
        return None
    future: Future[Any] = Future()
    thread = threading.Thread(target=_carry_out, args=(future, call), name=f"notify {name}", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # Python is shutting down and starts no more threads
        _carry_out(future, call)
    else:
        _threads[name] = thread
    return future


def _carry_out(future: Future[Any], call: Call) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  (returned to the waiting caller)
        result = error
    finally:
        connections.close_all()
    future.set_result(result)


def _outcome(future: Future[Any] | None, end: float, seconds: float) -> Any:
    if future is None:
        return TooSlow(gettext_noop("An earlier message still hangs."))
    try:
        return future.result(max(0, end - time.monotonic()))
    except TimeoutError:
        return TooSlow(gettext_noop("No answer came within %(seconds)d seconds."), seconds=seconds)
