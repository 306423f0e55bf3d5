"""The details on the page of a run: known values that are not shown elsewhere on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _

from .. import wording
from ..models import Backup, BackupRun
from .pages import moment


def source_of(run: BackupRun) -> str:
    """Return what a run is of: a database, or the media files."""
    return _("media files") if run.database in ("", Backup.Kind.MEDIA) else run.database


def facts(run: BackupRun, *, backup: str) -> list[tuple[Any, Any]]:
    """Return the names and values of the known facts of a run.

    :param backup: the URL of its backup's page; empty for a user who may not see it.
    """
    return [(name, value) for name, value in _facts(run, backup) if value not in ("", None)]


def _facts(run: BackupRun, backup: str) -> Iterator[tuple[Any, Any]]:
    yield _("What"), run.get_kind_display()
    yield _("Of"), source_of(run)
    if run.path:
        link = format_html('<a href="{}" class="dra-name">{}</a>', backup, run.path)
        yield _("Backup"), link if backup else run.path
    yield _("Label"), run.label
    yield _("Started by"), run.requested_by
    yield _("Started from"), run.get_trigger_display()
    yield _("Created"), moment(run.created_at)
    yield _("Started"), moment(run.started_at) if run.started_at else ""
    yield _("Finished"), moment(run.finished_at) if run.finished_at else ""
    yield _("Duration"), wording.duration(run.duration) if run.started_at else ""
    yield _("Host"), run.host
    yield _("Process"), run.pid
    yield _("Size"), "" if run.size is None else wording.size(run.size)
    yield _("Size before compression"), "" if run.raw_size is None else wording.size(run.raw_size)
    yield "SHA-256", format_html('<code class="dra-name">{}</code>', run.sha256) if run.sha256 else ""
