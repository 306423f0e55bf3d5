"""Heartbeats of runs. Each is written and compared by a single clock, never by the clocks of two hosts.

Where the history is on a server, that is the server's clock. SQLite has none: there it is the time since the machine
started, which all processes of the machine share. A process of another machine that uses the same file can't read that
clock, so it watches whether the heartbeat changes.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.db import connections

from .. import clock
from ..core import identity
from ..core.identity import Identity

CLOCKS = {
    "postgresql": "SELECT extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000",
    "mysql": "SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6))",
}
"""The query for a server's time in microseconds since 1970, by vendor. It is independent of time zones."""
WATCHED = 1000
"""The largest number of watched heartbeats of other machines."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_watched: dict[object, tuple[datetime, float]] = {}
"""Heartbeats that must be watched, by run, each with the time when this process first saw it."""


def now(alias: str) -> datetime:
    """Return the time for a heartbeat of this process.

    :param alias: the database of the history.
    """
    if found := _server_time(alias):
        return found
    here = identity.current()
    return EPOCH + timedelta(seconds=here.time()) if here else clock.now()


def silence(beat: datetime, process: Identity | None, run_id: object, alias: str) -> timedelta:
    """Return the age of a heartbeat.

    :param process: the process that wrote it, if known.
    """
    if found := _server_time(alias):
        return found - beat
    here = identity.current()
    if process is None or here is None:
        return clock.now() - beat
    if process.boot == here.boot:
        return EPOCH + timedelta(seconds=process.time()) - beat
    return _watch(run_id, beat)


def is_comparable(process: Identity | None, alias: str) -> bool:
    """Whether a clock tells the age of a heartbeat. Otherwise this process must watch whether it changes."""
    here = identity.current()
    return connections[alias].vendor in CLOCKS or not (process and here) or process.boot == here.boot


def _server_time(alias: str) -> datetime | None:
    connection = connections[alias]
    query = CLOCKS.get(connection.vendor)
    if query is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(query)
        (microseconds,) = cursor.fetchone()
    return EPOCH + timedelta(microseconds=int(microseconds))


def _watch(run_id: object, beat: datetime) -> timedelta:
    seen = _watched.get(run_id)
    if seen is None or seen[0] != beat:
        if len(_watched) >= WATCHED:
            _watched.clear()
        _watched[run_id] = seen = (beat, time.monotonic())
    return timedelta(seconds=time.monotonic() - seen[1])
