"""What a schedule is about: databases, media files, and backups to check. The same for a pass and for “run now”."""

from __future__ import annotations

from .. import api
from ..exceptions import UsageError, gettext_noop
from ..models.runs import Origin, Trigger
from ..models.schedules import Action, BackupSchedule


def action_of(schedule: BackupSchedule) -> Action:
    """Return what a schedule does.

    :raises UsageError: its action or its list of databases is invalid; only a full clean refuses to save them.
    """
    _chosen(schedule)
    try:
        return Action(schedule.action)
    except ValueError:
        raise UsageError(
            gettext_noop("“%(action)s” is not an action of a schedule."),
            hint=gettext_noop("Choose the action again, on the page of the schedule."),
            action=schedule.action,
        ) from None


def _chosen(schedule: BackupSchedule) -> list[str]:
    """Return the databases that are ticked; none stands for all."""
    chosen = schedule.databases
    if not isinstance(chosen, list) or not all(isinstance(each, str) for each in chosen):
        raise UsageError(
            gettext_noop("The list of databases of this schedule can't be read."),
            hint=gettext_noop("Choose the databases again, on the page of the schedule."),
        )
    return chosen


def to_back_up(schedule: BackupSchedule) -> list[str]:
    """Return the aliases that a schedule backs up."""
    return list(dict.fromkeys(_chosen(schedule) or api.all_databases()))


def has_media_to_back_up(schedule: BackupSchedule) -> bool:
    """Whether a schedule backs up media files.

    A site that never had any has nothing to back up; one whose files are gone has a problem.
    """
    return schedule.media and (api.has_media_files() or has_media_to_prune(schedule))


def to_prune(schedule: BackupSchedule) -> list[str]:
    """Return the aliases whose backups a schedule cleans up: as “prunebackups”, also those that are not configured any more."""
    return _chosen(schedule) or sorted(api.list_databases())


def has_media_to_prune(schedule: BackupSchedule) -> bool:
    """Whether a schedule cleans up media backups, and there are some."""
    return schedule.media and api.has_media() and bool(api.list_media())


def level_of(schedule: BackupSchedule) -> str:
    """Return the level of the checks of a schedule."""
    return schedule.level or "structure"


def to_check(schedule: BackupSchedule) -> dict[str, api.StoredObject]:
    """Return of each database the backup that needs a check most; the others have their turn the next times."""
    chosen, found = _chosen(schedule), dict[str, api.StoredObject]()
    for each in api.choose_for_check("due", level=level_of(schedule)):
        is_wanted = schedule.media if each.kind == "media" else not chosen or each.database in chosen
        if is_wanted:
            found.setdefault(each.database, each)
    return found


def origin_of(schedule: BackupSchedule) -> Origin:
    """Return who asks for the runs of a schedule."""
    return Origin(trigger=Trigger.SCHEDULE, requested_by=schedule.name)
