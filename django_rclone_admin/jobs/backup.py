"""Backs up one database."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import IO

from django.utils.translation import gettext as _

from .. import clock, signals, wording
from ..conf import get_settings
from ..connectors.base import Connector, Contents, Facts
from ..connectors.registry import connector_path, get_connector
from ..core.catalog import latest
from ..core.compression import GZIP, SUFFIXES, ZSTD
from ..core.features import free_bytes
from ..core.files import FileSink, StreamSink
from ..core.manifest import Manifest
from ..core.publishing import Upload
from ..core.store import Stored, pour
from ..core.transfer import Sink
from ..models.runs import Trigger
from . import history
from .facts import ask
from .job import Job
from .manifests import make_manifest
from .migrations import Code, applied
from .sweep import sweep_uploads

LARGE = 1 << 30
"""From this size on, a call of rclone to find the limits beforehand is worthwhile."""


def back_up(job: Job, output: Path | IO[bytes] | None = None, *, has_listed: bool = False) -> str:
    """Dump the run's database to the remote, or to a local file or stream.

    :param has_listed: the caller has just seen that the remote answers, and that it has the folder of the backups.
    """
    run = job.run
    connector = get_connector(run.database, for_safety=run.trigger == Trigger.SAFETY)
    job.send_vetoable(signals.pre_db_backup, database=run.database)
    facts = ask(connector)
    if output is not None:
        return _to_file(job, connector, output)
    code = Code.read()  # before the dump: importing the site's migrations may do anything
    if code.problem:
        job.note(
            _(
                "The site's migrations can't be imported (%(problem)s). The manifest names all that were applied."
            )
            % {"problem": code.problem}
        )
    job.stage(_("Looking at the remote"))
    expected = _expected(job, None if has_listed else job.catalog.rclone.look())
    job.control.bytes_total = expected.raw_size if expected else None
    _say_limits(job, expected)
    left: dict[str, Stored | None] = {}

    def store(_number: int) -> tuple[str, Stored]:
        upload = _upload(job, connector, expected, left)
        job.stage(_("Dumping and uploading"), then=_("Uploading"))
        source = connector.source()
        name, stored = upload.send(source, job.control)
        job.stage(_("Writing the manifest"))
        contents = connector.contents(source)
        for warning in contents.warnings:
            job.note(warning)
        upload.seal(_manifest(job, connector, facts, contents, code, upload, name, stored))
        return name, stored

    name, stored = job.retrying(store)
    _record(job, stored)
    run.path = job.catalog.path(name)
    job.send_robust(signals.post_db_backup, database=run.database, path=run.path)
    return _("Stored %(name)s, %(size)s.") % {"name": name, "size": wording.size(stored.size)}


def _expected(job: Job, names: Collection[str] | None) -> Stored | None:
    """Return the approximate result: that of the last backup, from the history or else from the remote.

    :param names: the names at the top of the remote; ``None`` where the folder of the backups exists.
    """
    if last := history.last_stored(job.run.database):
        return last
    if names is not None and job.catalog.folder.partition("/")[0] not in {"", *names}:
        return None
    objects = job.catalog.objects(manifests=False)
    mine = [each for each in objects if each.database == job.run.database and each.taken_at]
    found = latest(job.catalog.inspect(mine[:3]), job.run.database)
    return Stored.of(found.manifest) if found and found.manifest else None


def _say_limits(job: Job, expected: Stored | None) -> None:
    """Note the limits of a large backup that are known beforehand: the part size, and missing space."""
    if expected is None or expected.size < LARGE:
        return
    sizes = job.catalog.rclone.part_sizes(expected.size)
    if size := sizes.get("RCLONE_S3_CHUNK_SIZE"):
        job.note(
            _("About %(size)s are expected: an upload to S3 goes in parts of %(part)sB.")
            % {"size": wording.size(expected.size), "part": size.replace("Mi", " Mi")}
        )
    free = free_bytes(job.catalog.rclone)
    if free is not None and free < expected.size:
        values = {"size": wording.size(expected.size), "free": wording.size(free)}
        job.note(_("About %(size)s are expected, but the remote has only %(free)s free.") % values)


def _upload(
    job: Job, connector: Connector, expected: Stored | None, left: dict[str, Stored | None]
) -> Upload:
    settings = get_settings()
    return Upload(
        catalog=job.catalog,
        database=job.run.database,
        taken_at=clock.now(),
        extension=connector.extension,
        compression=settings.compression,
        level=settings.compression_level,
        run=str(job.run.pk),
        expected=expected.size if expected else None,
        look=lambda entries: sweep_uploads(job, job.catalog, job.catalog.arrange(entries)),
        left=left,
    )


def _to_file(job: Job, connector: Connector, output: Path | IO[bytes]) -> str:
    """Write the dump to a local file, compressed according to its name, or uncompressed to a stream."""
    compression = None
    sink: Sink = StreamSink(output) if not isinstance(output, Path) else FileSink(output)
    if isinstance(output, Path):
        compression = {SUFFIXES[each]: each for each in (ZSTD, GZIP)}.get(output.suffix)
    job.stage(_("Dumping to a local file"))
    level = get_settings().compression_level if compression == get_settings().compression else None
    stored = pour(connector.source(), sink, compression=compression, level=level, control=job.control)
    _record(job, stored)
    return _("Wrote %(size)s.") % {"size": wording.size(stored.size)}


def _record(job: Job, stored: Stored) -> None:
    job.run.size, job.run.raw_size, job.run.sha256 = stored.size, stored.raw_size, stored.sha256
    job.control.bytes_total = stored.raw_size


def _manifest(
    job: Job,
    connector: Connector,
    facts: Facts,
    contents: Contents,
    code: Code,
    upload: Upload,
    name: str,
    stored: Stored,
) -> Manifest:
    return make_manifest(
        job.run,
        upload,
        name,
        stored,
        engine=connector.engine,
        connector=connector_path(job.run.database) or "",
        server_version=facts.server_version,
        tool_version=contents.tool_version or facts.tool_version,
        migrations=code.leaves(applied(job.run.database)),
        tables=contents.objects.get("tables", facts.tables),
        rows=contents.rows,
        rows_exact=bool(contents.rows),
        contents={kind: names for kind, names in contents.objects.items() if kind != "tables"},
        left_out=contents.left_out,
        warnings=contents.warnings,
    )
