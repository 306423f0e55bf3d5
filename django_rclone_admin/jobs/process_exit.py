"""The end of the main thread: the runs of the process are stopped, and those that wait in it are not begun."""

from __future__ import annotations

import functools
import os
import threading

from django.db import connections

from .shutdown import stop_and_wait
from .waiting import waiting


@functools.cache  # only the first call has an effect
def watch_exit() -> None:
    """Stop the runs of this process when its main thread ends.

    ``atexit`` is too late: from Python 3.12 on no thread can be started then, and cleaning up needs some. But threads
    that are not daemons are joined earlier.
    """
    threading.Thread(target=_await_exit, name="exit of the process").start()


def _await_exit() -> None:
    threading.main_thread().join()
    try:
        waiting.give_up()
        stop_and_wait()
    finally:
        connections.close_all()


# In a forked process: the thread that waits for its end is not here.
os.register_at_fork(after_in_child=watch_exit.cache_clear)
