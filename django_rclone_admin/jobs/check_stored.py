"""Checks the stored bytes of a database backup and its structure: the levels that need no server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.utils.translation import gettext as _

from ..connectors.base import Connector
from ..connectors.examiners import Examiner, Nowhere
from ..connectors.registry import get_connector, is_database
from ..core.check_marks import Level
from ..core.compression import Counter, Decompressor, Meter, Stage
from ..core.manifest import Manifest
from ..core.transfer import CommandSource, Sink, transfer
from ..exceptions import (
    BackupDamaged,
    NotChecked,
    ProgramMissing,
    RemoteUndecryptable,
    WrongFormat,
    gettext_noop,
)
from .checking import Check
from .examined_load import ExaminedLoad

SHOWN = 10
"""How many names a message contains."""


def check_stored(check: Check, read: Callable[[Examination], None] | None = None) -> None:
    """Read every stored byte and, if the level requires it, let the connector read the dump.

    :param read: carries out the examination, and opens the backup from the same download.
    """
    refuse_unreadable_manifest(check)
    if check.wanted is Level.CHECKSUM:
        if check.backup.manifest is None:
            raise _no_manifest()
        check_bytes(check)
        return
    try:
        _examine(check, _connector(check), read or Examination.read)
    except (NotChecked, ProgramMissing):
        check_bytes(check)
        check.level = Level.STRUCTURE
        raise


def refuse_unreadable_manifest(check: Check) -> None:
    """Refuse a backup whose manifest can't be read, because the expected bytes are unknown.

    :raises BackupDamaged: in that case.
    """
    if check.backup.has_manifest and check.backup.manifest is None:
        raise BackupDamaged(gettext_noop("The manifest of the backup can't be read."))
    if check.backup.manifest is None:
        check.notes.append("There is no manifest to compare it with.")


def check_bytes(check: Check) -> None:
    """Compare the size and the SHA-256 of the stored bytes with the manifest.

    A mismatch is read twice, because the transfer may have failed.

    :raises BackupDamaged: the bytes differ, or the backup was removed.
    """
    check.level = Level.CHECKSUM
    for is_last in (False, True):
        check.job.stage(_("Reading the stored bytes"))
        try:
            _read(check, Nowhere(), [])
        except BackupDamaged:
            if is_last:
                raise
        else:
            break
    if check.backup.manifest:
        check.passed()


def _examine(check: Check, connector: Connector, read: Callable[[Examination], None]) -> None:
    """Let the connector read the dump; if it reports a problem, first check whether the bytes are unchanged.

    :raises BackupDamaged: the bytes have changed; or they have not, and the dump is defective.
    """
    examination = Examination(check, connector)
    for is_last in (False, True):
        try:
            if is_last:
                examination.read()
            else:
                read(examination)
        except (BackupDamaged, WrongFormat):
            if check.level is Level.STRUCTURE:  # its bytes are unchanged, and its contents were compared
                raise
            check_bytes(check)
            if is_last:
                check.level = Level.STRUCTURE
                raise
        else:
            return


class Examination:
    """Lets a connector read a dump, and compares the result with the manifest."""

    def __init__(self, check: Check, connector: Connector) -> None:
        self._check, self._connector = check, connector

    def read(self, choose: Callable[[bytes], Sink] | None = None) -> None:
        """Download the backup once for the examiner and, if there is one, for a loader.

        The levels “checksum” and “structure” have passed before the loader commits.

        :param choose: returns the loader for a dump that begins with these bytes.
        :raises BackupDamaged, WrongFormat: the dump is defective, or its bytes have changed.
        :raises BackupError, DatabaseError: the loader failed. If that was the only problem, the levels have passed.
        """
        check = self._check
        if choose is None:
            check.job.stage(_("Reading the backup"), then=_("Checking what was read"))
        loads: list[ExaminedLoad] = []
        raw = Counter()

        def both(head: bytes) -> Sink:
            tables = check.backup.manifest.tables if check.backup.manifest else []
            load = ExaminedLoad(
                partial(self._connector.examiner, head, check.job.control, tables),
                partial(choose, head) if choose else Nowhere,
                check.job.control,
                examined=self._compare,
            )
            loads.append(load)
            return load

        _read(check, both, [Decompressor(), raw])
        check.job.run.raw_size = raw.size
        loads[0].raise_error()

    def _compare(self, examiner: Examiner) -> None:
        check = self._check
        if check.backup.manifest:
            check.passed()
        check.level = Level.STRUCTURE
        _note_tables(check, examiner)
        _compare(check)
        check.passed()


def _read(check: Check, sink: object, stages: list[Stage]) -> None:
    """Stream the stored bytes into a sink; they must match the manifest."""
    backup, control = check.backup, check.job.control
    manifest = backup.manifest
    size = manifest.size if manifest else backup.size
    meter = Meter(size=size, sha256=manifest.sha256 if manifest else None)
    control.bytes_done, control.bytes_total = 0, backup.size
    source = CommandSource(check.job.catalog.rclone.download(backup.path))
    try:
        transfer(source, sink, stages=[meter, *stages], control=control)  # type: ignore[arg-type]
    except RemoteUndecryptable as error:
        if manifest is None:
            raise
        # The manifest could be read, so the passphrase is right.
        raise BackupDamaged(
            gettext_noop("The stored bytes have changed: they can no longer be decrypted."),
        ) from error
    finally:
        check.size, check.sha256 = meter.size, meter.sha256


def _connector(check: Check) -> Connector:
    """Return the connector that can read the backup.

    :raises NotChecked: this site has none for it.
    """
    backup = check.backup
    if not is_database(backup.database):
        raise NotChecked(
            gettext_noop("There is no database “%(database)s” here, so its backup can't be read."),
            hint=gettext_noop("Configure the database in DATABASES."),
            database=backup.database,
        )
    connector = get_connector(backup.database)
    if backup.manifest and backup.manifest.engine != connector.engine:
        raise NotChecked(
            gettext_noop("The backup comes from %(source)s, but “%(database)s” is %(vendor)s."),
            hint=gettext_noop("Check it where a database of its engine is configured under that alias."),
            source=backup.manifest.engine,
            database=backup.database,
            vendor=connector.vendor_name,
        )
    return connector


def _note_tables(check: Check, examiner: Examiner) -> None:
    manifest = check.backup.manifest
    expected = manifest.rows if manifest else {}
    names = {*examiner.rows, *(manifest.tables if manifest else ())}
    check.tables = {
        name: {"expected": expected.get(name), "found": examiner.rows.get(name)} for name in sorted(names)
    }
    check.rows = dict(examiner.rows)
    if manifest:
        check.versions |= {"dumped from": manifest.server_version} if manifest.server_version else {}


def _compare(check: Check) -> None:
    """Compare the result with the manifest.

    :raises BackupDamaged: the tables or rows differ.
    """
    manifest = check.backup.manifest
    if not (check.rows or (manifest and (manifest.tables or manifest.contents))):
        raise BackupDamaged(gettext_noop("The backup does not contain any table."))
    if manifest is None:
        return
    if lacking := sorted({*manifest.tables} - check.rows.keys()):
        raise BackupDamaged(
            gettext_noop("Tables of the manifest that the backup lacks: %(names)s."),
            names=shown(lacking),
        )
    refuse_other_rows(_expected(manifest), check.rows)


def _expected(manifest: Manifest) -> dict[str, int]:
    return manifest.rows if manifest.rows_exact else {}


def refuse_other_rows(expected: dict[str, int], found: dict[str, int | None]) -> None:
    """Compare the rows of tables, where both sides were counted.

    :raises BackupDamaged: some numbers differ.
    """
    wrong = [
        f"{name} ({rows} instead of {expected[name]})"
        for name, rows in sorted(found.items())
        if name in expected and rows is not None and rows != expected[name]
    ]
    if wrong:
        raise BackupDamaged(
            gettext_noop("Tables with another number of rows: %(names)s."),
            names=shown(wrong),
        )


def shown(names: list[str]) -> str:
    """Return as many of these names as a message contains."""
    return ", ".join(names[:SHOWN]) + ("…" if len(names) > SHOWN else "")


def _no_manifest() -> NotChecked:
    return NotChecked(
        gettext_noop("Without a manifest, the expected bytes are unknown."),
        hint=gettext_noop("Check it up to the level “structure”: the whole backup is read then."),
    )
