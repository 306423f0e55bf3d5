"""The public functions: commands, admin, schedules and integrators all call these.

Each ``verb_noun`` does its work before it returns, and raises :class:`~django_rclone_admin.exceptions.BackupError` if
it fails; each ``start_verb_noun`` queues the run with the executor and returns it at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .public import *  # noqa: F403

HOMES = {
    "connectors.registry": "all_databases databases_without_connector",
    "core.catalog": "StoredObject",
    "core.check_marks": "LEVELS",
    "core.file_lists": "Difference MediaFile",
    "core.records": "Record",
    "core.retention": "Decision",
    "core.states": "State",
    "doctor": "Line PARTS Part examine verdict",
    "health.coverage": "has_media_files",
    "health.crontab": "cron_line",
    "health.levels": "Level",
    "health.verdict": "DatabaseHealth Health",
    "jobs.at_work": "stop_all",
    "jobs.comparing": "OpenedDifference",
    "jobs.job": "Progress",
    "jobs.lock": "RunInProgress",
    "jobs.media_kept": "Kept",
    "jobs.plan": "RestorePlan",
    "jobs.queued": "carry_out_queued",
    "jobs.restore_media": "MediaPlan",
    "jobs.shutdown": "Abandoned stoppable",
    "models.runs": "API Origin",
    "remote": "has_media",
    "api.backups": "backup_database delete_backups list_backups list_databases pin_backup read_backup refresh start_backup_database",
    "api.checks": "choose_for_check find_for_check list_checks start_verify_backup verify_backup",
    "api.judgements": "health is_monitor last_health",
    "api.media": "backup_media compare_media keeps_replaced_media list_media list_media_files open_media_file open_media_files plan_restore_media plan_undo_restore_media prune_media restore_media start_backup_media start_prune_media start_restore_media start_undo_restore_media undo_restore_media",
    "api.opened_backups": "close_backup close_expired_backups compare_opened_backup get_opened_backup keep_open list_opened_backups makes_safety_backup open_backup open_shell opened put_live start_open_backup start_put_live why_not_live",
    "api.restores": "holds_sessions is_tenant is_undo is_undoable may_restore plan_restore restore_database start_restore_database start_undo_restore undo_restore undone_run",
    "api.retention": "RetentionPreview preview_retention prune retention_rules start_prune",
    "api.runs": "cancel has_history has_lost_its_process reap_stale",
}
"""The names by the module that defines them. It is imported when one of them is first used, so that no process pays for
the others. Type checkers read the same names in the module :mod:`.public`."""
_HOME_OF = {name: module for module, names in HOMES.items() for name in names.split()}
__all__ = [*_HOME_OF]  # noqa: PLE0604  (the names are texts)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    return getattr(import_module(f"..{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
