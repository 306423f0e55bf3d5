"""Checks of the site: media files, temporary files, cache, executor, run history, schedules, messages."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import Error, connections
from django.db.migrations.executor import MigrationExecutor

from .. import clock, media, wording
from ..conf import get_settings
from ..connectors.registry import all_databases, get_connector
from ..core import findings, temporary
from ..core.findings import Finding
from ..core.naming import MEDIA
from ..exceptions import BackupError, gettext_noop
from ..executors import Answering, get_executor
from ..jobs import history
from ..models.runs import BackupRun, Status
from ..models.schedules import BackupSchedule
from ..notifications.sending import send_test
from ..remote import get_catalog, has_media
from ..schedules.due import last_pass, overdue
from .check import Check, Site

WALK_SECONDS = 15
"""Time limit for reading media files. A site may have millions."""
WAITING = timedelta(minutes=10)
"""How long a run may wait for a worker without a warning."""
SELDOM = timedelta(days=1)
"""How long the schedules may stay unattended. A late schedule is found sooner."""
LEAST_ROOM = 16 << 20
"""Bytes that the folder for temporary files needs for any database, such as for the head of an archive."""
ANSWER_SECONDS = 15
"""Time limit for the executor to execute a trivial callable."""
LOCAL_CACHES = ("LocMemCache", "DummyCache")
"""Django's cache backends that are private to each process."""


def _media_read(site: Site) -> Iterator[Finding]:
    if not has_media():
        yield findings.unchecked(gettext_noop("The site has no media files: MEDIA_ROOT is empty."))
        return
    folder = media.get_folder()
    if folder is None:
        mirror = media.get_mirror(get_catalog())
        mirror.rclone.call(["lsjson", "--max-depth=1"], media.get_place()).check()
        yield findings.passed(gettext_noop("The place in MEDIA_SOURCE can be listed."))
        return
    if not folder.is_dir():
        if not _has_media_backup(site):
            yield findings.unchecked(gettext_noop("The media folder does not exist yet."))
            return
        yield findings.failed(
            gettext_noop("The media folder %(folder)s does not exist."),
            hint=gettext_noop("Check MEDIA_ROOT or MEDIA_SOURCE, and that its disk is mounted."),
            folder=folder,
        )
        return
    yield _walked(folder)


def _has_media_backup(site: Site) -> bool:
    """Whether there is a media backup, so that media files must have existed."""
    try:
        return MEDIA in site.newest
    except BackupError:  # unknown; the folder is missing nevertheless
        return True


def _walked(folder: Path) -> Finding:
    """Read as many files as the time limit allows."""
    deadline, count = time.monotonic() + WALK_SECONDS, 0
    waiting = [str(folder)]
    while waiting and time.monotonic() < deadline:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not entry.is_symlink() and not os.access(entry.path, os.R_OK):
                        return _unreadable(entry.path, gettext_noop("permission denied"))
        except OSError as error:
            return _unreadable(str(error.filename), (error.strerror or "").lower())
    if waiting:
        return findings.passed(
            gettext_noop("The first %(count)s media files can be read; there are more."), count=count
        )
    return findings.passed(gettext_noop("All media files can be read."))


def _unreadable(path: str, reason: str) -> Finding:
    return findings.failed(
        gettext_noop("%(path)s among the media files can't be read: %(reason)s."),
        hint=gettext_noop("Check its owner and permissions, or exclude it with MEDIA_EXCLUDE."),
        path=repr(path),
        reason=reason,
    )


def _media_write(site: Site) -> Iterator[Finding]:
    folder = media.get_folder() if has_media() else None
    if folder is None or not folder.exists():
        yield findings.unchecked(gettext_noop("The media files are not in a folder of this machine."))
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield findings.failed(
            gettext_noop("The media folder %(folder)s can't be written to, so no file could be restored."),
            hint=gettext_noop("Check its owner and permissions, and that its disk is not read-only."),
            folder=folder,
        )
    else:
        yield findings.passed(gettext_noop("The media folder can be written to."))


def _temporary(site: Site) -> Iterator[Finding]:
    temporary.remove_folder(temporary.private_folder())
    free = shutil.disk_usage(tempfile.gettempdir()).free
    copies = max(_copy_sizes(), default=0)
    needed = max(copies, LEAST_ROOM)
    values = {"free": wording.size(free), "needed": wording.size(needed)}
    if free < needed:
        yield findings.failed(
            gettext_noop(
                "A backup needs %(needed)s in the folder for temporary files, and %(free)s are free."
            ),
            hint=gettext_noop("Free some space, or point TMPDIR to a larger disk."),
            **values,
        )
    elif free < 2 * copies:
        yield findings.warning(
            gettext_noop(
                "A backup needs %(needed)s in the folder for temporary files; only %(free)s are free."
            ),
            hint=gettext_noop("Free some space, or point TMPDIR to a larger disk."),
            **values,
        )
    else:
        yield findings.passed(gettext_noop("The folder for temporary files has %(free)s free."), **values)


def _copy_sizes() -> Iterator[int]:
    """Give the size of a backup of each database in bytes; a database without a known size is reported elsewhere."""
    for alias in all_databases():
        with contextlib.suppress(BackupError, Error):
            yield get_connector(alias).copy_size()


def _cache(site: Site) -> Iterator[Finding]:
    key, value = "django_rclone_admin.doctor", secrets.token_hex(8)
    backend = django_settings.CACHES["default"]["BACKEND"].rpartition(".")[2]
    try:
        cache.set(key, value, 60)
        found = cache.get(key)
        cache.delete(key)
    except Exception as error:  # noqa: BLE001  (each backend raises its own errors)
        found = type(error).__name__
    if backend in LOCAL_CACHES:
        yield findings.warning(
            gettext_noop(
                "Each process has a cache of its own (%(backend)s), so each lists the remote for itself."
            ),
            hint=gettext_noop(
                "With more than one process, use a cache that they share, such as Redis, or the database."
            ),
            backend=backend,
        )
    elif found != value:
        yield findings.failed(
            gettext_noop("The cache (%(backend)s) does not keep stored values."),
            hint=gettext_noop(
                "Check that the service behind CACHES is running, and that its table or folder exists."
            ),
            backend=backend,
        )
    else:
        yield findings.passed(gettext_noop("The cache is shared by all processes."))


def _history(site: Site) -> Iterator[Finding]:
    alias = history.database()
    executor = MigrationExecutor(connections[alias])
    targets = [each for each in executor.loader.graph.leaf_nodes() if each[0] == history.APP]
    if waiting := executor.migration_plan(targets):
        yield findings.failed(
            gettext_noop("The run history of “%(database)s” lacks the migration %(name)s."),
            hint=gettext_noop(
                "Run “manage.py migrate”. Until then, runs are not recorded, and do not lock their databases."
            ),
            database=alias,
            name=waiting[0][0].name,
        )
    else:
        yield findings.passed(gettext_noop("The run history has all of its tables."))


def _executor(site: Site) -> Iterator[Finding]:
    path = get_settings().executor
    try:
        executor = get_executor()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        yield findings.failed(
            gettext_noop("The executor %(path)s can't be loaded: %(reason)s."),
            hint=gettext_noop("Check EXECUTOR, and that what it needs is installed."),
            path=path,
            reason=error,
        )
        return
    is_working = executor.is_working(ANSWER_SECONDS) if isinstance(executor, Answering) else None
    name = path.rpartition(".")[2]
    if is_working:
        yield findings.passed(gettext_noop("The executor %(name)s executes runs."), name=name)
    elif is_working is None:
        yield findings.unchecked(gettext_noop("The executor %(name)s can't be tested."), name=name)
    else:
        yield findings.failed(
            gettext_noop("The executor %(name)s did not execute a test within %(seconds)d seconds."),
            hint=gettext_noop(
                "Check that a worker of the task queue is running: without one, runs wait for ever."
            ),
            name=name,
            seconds=ANSWER_SECONDS,
        )


def _waiting(site: Site) -> Iterator[Finding]:
    since = clock.now() - WAITING
    queued = BackupRun.objects.filter(status=Status.QUEUED, created_at__lt=since).order_by("created_at")
    silent = BackupRun.objects.stale().filter(status=Status.RUNNING)
    if run := queued.first():
        yield findings.failed(
            gettext_noop("A run waits since %(time)s, and no worker has taken it: %(run)s."),
            hint=gettext_noop("Check that the service behind EXECUTOR and its workers are running."),
            time=wording.time(run.created_at),
            run=run,
        )
    elif run := silent.first():
        yield findings.warning(
            gettext_noop("A run has given no heartbeat since %(time)s: %(run)s."),
            hint=gettext_noop("Its process is dead. The next run, or the backup list, closes it."),
            time=wording.time(run.heartbeat_at),
            run=run,
        )
    else:
        yield findings.passed(gettext_noop("No run waits for a worker, and none is stale."))


def _schedules(site: Site) -> Iterator[Finding]:
    hint = gettext_noop(
        "Have “manage.py runschedules” called every minute, or keep “manage.py runschedules --loop” running."
    )
    if not BackupSchedule.objects.filter(enabled=True).exists():
        yield findings.unchecked(gettext_noop("No schedule is enabled."))
        return
    late, last = overdue(), last_pass()
    for each in late:
        own = each.hint.replace("%", "%%") or hint
        yield findings.failed("%(reason)s", hint=own, subject=each.schedule.name, reason=each.reason)
    if last is None:
        yield findings.warning(gettext_noop("“runschedules” has never run."), hint=hint)
    elif clock.now() - last > SELDOM:
        yield findings.warning(
            gettext_noop("“runschedules” last ran %(time)s."),
            hint=hint,
            time=wording.ago(last),
        )
    elif not late:
        yield findings.passed(gettext_noop("“runschedules” last ran %(time)s."), time=wording.ago(last))


def _notify(site: Site) -> Iterator[Finding]:
    if not get_settings().notify:
        yield findings.unchecked(gettext_noop("NOTIFY is not set."))
        return
    if not site.notify:
        yield findings.unchecked(gettext_noop("A test message was not requested."))
        return
    results = send_test()
    if not results:
        yield findings.warning(
            gettext_noop("NOTIFY does not name any recipient."),
            hint=gettext_noop("Add “email”, “urls” or “ping_url” to NOTIFY."),
        )
    for each in results:
        if each.error:
            yield findings.of_error(each.error, subject=each.channel)
        else:
            yield findings.passed(gettext_noop("A test message was sent."), subject=each.channel)


CHECKS = (
    Check(id="media.read", title=gettext_noop("The media files can be read"), look=_media_read),
    Check(id="media.write", title=gettext_noop("The media files can be written"), look=_media_write),
    Check(id="site.temporary", title=gettext_noop("Room for temporary files"), look=_temporary),
    Check(id="site.cache", title=gettext_noop("The cache"), look=_cache),
    Check(id="runs.history", title=gettext_noop("The run history"), look=_history),
    Check(id="runs.executor", title=gettext_noop("The executor works"), look=_executor),
    Check(id="runs.waiting", title=gettext_noop("No run is stuck"), look=_waiting, needs=("runs.history",)),
    Check(id="schedules.run", title=gettext_noop("Schedules run"), look=_schedules, needs=("runs.history",)),
    Check(id="notify.test", title=gettext_noop("Messages arrive"), look=_notify),
)
