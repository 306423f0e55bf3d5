"""Plans a restore: what it will do, and whether it is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .. import clock
from ..conf import get_settings
from ..connectors.base import Connector, Facts
from ..connectors.registry import get_connector
from ..core.catalog import StoredObject
from ..core.check_marks import CheckMark
from ..core.engines import engine_name
from ..core.states import State
from ..exceptions import BackupDamaged, BackupNotFound, RestoreRefused, UsageError, gettext_noop
from .facts import ask
from .migrations import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """The facts that a person should know before a restore."""

    backup: StoredObject
    target: str
    """The alias of the database that will be overwritten."""
    vendor: str
    facts: Facts
    """Facts about the current target."""
    strategy: str
    is_atomic: bool
    """Whether a failure leaves everything unchanged."""
    safety_backup: bool
    vanishing: list[str] = field(default_factory=list)
    """Existing tables that the backup lacks."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names by kind of the objects that the options of the site excluded from the backup."""
    warnings: list[str] = field(default_factory=list)
    """English sentences: the warnings of the backup about its restore."""
    unknown_migrations: list[str] = field(default_factory=list)
    """Applied in the backup, missing in the code: ``app.name``."""
    missing_migrations: list[str] = field(default_factory=list)
    """In the code, not applied in the backup: ``app.name``."""
    uncompared: str = ""
    """A sentence that says why the migrations were not compared; empty where they were."""
    proof: CheckMark | None = None
    """The highest level of checks that it has passed."""

    @property
    def notes(self) -> list[str]:
        """All sentences about this restore."""
        return [*self.warnings, self.uncompared] if self.uncompared else self.warnings

    @property
    def verified_at(self) -> datetime | None:
        """The time of that check."""
        return self.proof.at if self.proof else None

    @property
    def age(self) -> timedelta:
        """The age of the backup: data written in this time will be lost."""
        assert self.backup.taken_at is not None
        taken_at = self.backup.manifest.taken_at if self.backup.manifest else self.backup.taken_at
        return max(clock.now() - taken_at, timedelta(0))


def make_plan(
    backup: StoredObject,
    target: str,
    *,
    is_elsewhere: bool = False,
    strategy: str | None = None,
    safety_backup: bool | None = None,
) -> RestorePlan:
    """Read the backup and the database that it would replace.

    :param is_elsewhere: the caller wants to restore the backup of another database into ``target``.
    :raises RestoreRefused: the backup is of another database or another engine.
    :raises BackupDamaged: the backup is damaged.
    :raises ProgramFailed: the target can't be reached.
    """
    settings = get_settings()
    connector = get_connector(target)
    connector.check_restore_options()
    refuse(backup, connector, is_elsewhere=is_elsewhere)
    facts = ask(connector)
    refuse_old_server(backup, connector, facts)
    manifest = backup.manifest
    code = Code.read() if manifest else Code()
    unknown, missing = code.compare(manifest.migrations) if manifest else ([], [])
    chosen = choose_strategy(target, strategy)
    wanted = settings.safety_backup if safety_backup is None else safety_backup
    return RestorePlan(
        backup=backup,
        target=target,
        vendor=connector.vendor_name,
        facts=facts,
        strategy=chosen,
        is_atomic=connector.is_atomic(chosen),
        safety_backup=wanted and bool(facts.tables),
        vanishing=sorted(set(facts.tables) - set(manifest.tables)) if manifest else [],
        left_out=manifest.left_out if manifest else {},
        warnings=manifest.warnings if manifest else [],
        unknown_migrations=unknown,
        missing_migrations=missing,
        uncompared=code.uncompared,
        proof=backup.proof,
    )


def refuse(backup: StoredObject, connector: Connector, *, is_elsewhere: bool) -> None:
    """Refuse a restore from an unexpected database, or without enough space."""
    target = connector.alias
    refuse_incomplete(backup)
    if backup.database != target and not is_elsewhere:
        raise RestoreRefused(
            gettext_noop("%(name)s is a backup of “%(source)s”, not of “%(target)s”."),
            hint=gettext_noop(
                "Restore it with “--database %(source)s”, or add “--to %(target)s” if that is intended."
            ),
            name=backup.name,
            source=backup.database,
            target=target,
        )
    refuse_other_engine(backup, connector)
    if backup.manifest:
        connector.check_room(backup.manifest.raw_size)


def refuse_incomplete(backup: StoredObject) -> None:
    """Refuse a damaged backup, or an object that is not a backup."""
    if backup.state is State.DAMAGED:
        raise BackupDamaged(
            gettext_noop("The backup %(name)s is damaged and was not restored."), name=backup.name
        )
    if backup.state not in (State.COMPLETE, State.LEGACY):
        raise BackupNotFound(gettext_noop("%(name)s is not a complete backup."), name=backup.name)


def refuse_other_engine(backup: StoredObject, connector: Connector) -> None:
    """Refuse a backup of another engine.

    :raises RestoreRefused: the engines differ.
    """
    if backup.manifest and backup.manifest.engine != connector.engine:
        raise RestoreRefused(
            gettext_noop("%(name)s comes from %(source)s and can't be restored into %(target)s."),
            hint=gettext_noop("Nothing was changed. Choose a database of the same engine with “--to”."),
            name=backup.name,
            source=engine_name(backup.manifest.engine, backup.manifest.server_version),
            target=connector.vendor_name,
        )


def refuse_old_server(backup: StoredObject, connector: Connector, facts: Facts) -> None:
    """Refuse to load a dump into a server older than the dumped one, where the engine does not support that.

    :raises RestoreRefused: the server is older.
    """
    dumped = backup.manifest.server_version if backup.manifest else ""
    if not connector.needs_server_of_dump or not dumped or not facts.server_version:
        return
    if _major(dumped) > _major(facts.server_version):
        raise RestoreRefused(
            gettext_noop(
                "%(name)s comes from %(vendor)s %(dumped)s, but the server of “%(target)s” is %(server)s."
            ),
            hint=gettext_noop(
                "Nothing was changed. Upgrade the server, or restore into a newer one with “--to”."
            ),
            name=backup.name,
            vendor=engine_name(connector.engine, dumped),
            dumped=dumped,
            target=connector.alias,
            server=facts.server_version,
        )


def _major(version: str) -> int:
    number = version.split(".", maxsplit=1)[0]
    return int(number) if number.isdigit() else 0


def choose_strategy(database: str, wanted: str | None) -> str:
    """Return the strategy of a restore.

    :raises UsageError: the connector does not support it.
    """
    available = get_connector(database).strategies
    strategy = wanted or get_settings().strategy(database) or available[0]
    if strategy not in available:
        raise UsageError(
            gettext_noop("The strategy “%(strategy)s” is not available for “%(database)s”."),
            hint=gettext_noop("Available: %(available)s."),
            strategy=strategy,
            database=database,
            available=", ".join(available),
        )
    return strategy
