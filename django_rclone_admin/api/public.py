"""The list of everything that the api exports."""

from ..connectors.registry import all_databases, databases_without_connector
from ..core.catalog import StoredObject
from ..core.check_marks import LEVELS
from ..core.file_lists import Difference, MediaFile
from ..core.records import Record
from ..core.retention import Decision
from ..core.states import State
from ..doctor import PARTS, Line, Part, examine, verdict
from ..health.coverage import has_media_files
from ..health.crontab import cron_line
from ..health.levels import Level
from ..health.verdict import DatabaseHealth, Health
from ..jobs.at_work import stop_all
from ..jobs.comparing import OpenedDifference
from ..jobs.job import Progress
from ..jobs.lock import RunInProgress
from ..jobs.media_kept import Kept
from ..jobs.plan import RestorePlan
from ..jobs.queued import carry_out_queued
from ..jobs.restore_media import MediaPlan
from ..jobs.shutdown import Abandoned, stoppable
from ..models.runs import API, Origin
from ..remote import has_media
from .backups import (
    backup_database,
    delete_backups,
    list_backups,
    list_databases,
    pin_backup,
    read_backup,
    refresh,
    start_backup_database,
)
from .checks import (
    choose_for_check,
    find_for_check,
    list_checks,
    start_verify_backup,
    verify_backup,
)
from .judgements import health, is_monitor, last_health
from .media import (
    backup_media,
    compare_media,
    keeps_replaced_media,
    list_media,
    list_media_files,
    open_media_file,
    open_media_files,
    plan_restore_media,
    plan_undo_restore_media,
    prune_media,
    restore_media,
    start_backup_media,
    start_prune_media,
    start_restore_media,
    start_undo_restore_media,
    undo_restore_media,
)
from .opened_backups import (
    close_backup,
    close_expired_backups,
    compare_opened_backup,
    get_opened_backup,
    keep_open,
    list_opened_backups,
    makes_safety_backup,
    open_backup,
    open_shell,
    opened,
    put_live,
    start_open_backup,
    start_put_live,
    why_not_live,
)
from .restores import (
    holds_sessions,
    is_tenant,
    is_undo,
    is_undoable,
    may_restore,
    plan_restore,
    restore_database,
    start_restore_database,
    start_undo_restore,
    undo_restore,
    undone_run,
)
from .retention import RetentionPreview, preview_retention, prune, retention_rules, start_prune
from .runs import cancel, has_history, has_lost_its_process, reap_stale

__all__ = [
    "API",
    "LEVELS",
    "PARTS",
    "Abandoned",
    "DatabaseHealth",
    "Decision",
    "Difference",
    "Health",
    "Kept",
    "Level",
    "Line",
    "MediaFile",
    "MediaPlan",
    "OpenedDifference",
    "Origin",
    "Part",
    "Progress",
    "Record",
    "RestorePlan",
    "RetentionPreview",
    "RunInProgress",
    "State",
    "StoredObject",
    "all_databases",
    "backup_database",
    "backup_media",
    "cancel",
    "carry_out_queued",
    "choose_for_check",
    "close_backup",
    "close_expired_backups",
    "compare_media",
    "compare_opened_backup",
    "cron_line",
    "databases_without_connector",
    "delete_backups",
    "examine",
    "find_for_check",
    "get_opened_backup",
    "has_history",
    "has_lost_its_process",
    "has_media",
    "has_media_files",
    "health",
    "holds_sessions",
    "is_monitor",
    "is_tenant",
    "is_undo",
    "is_undoable",
    "keep_open",
    "keeps_replaced_media",
    "last_health",
    "list_backups",
    "list_checks",
    "list_databases",
    "list_media",
    "list_media_files",
    "list_opened_backups",
    "makes_safety_backup",
    "may_restore",
    "open_backup",
    "open_media_file",
    "open_media_files",
    "open_shell",
    "opened",
    "pin_backup",
    "plan_restore",
    "plan_restore_media",
    "plan_undo_restore_media",
    "preview_retention",
    "prune",
    "prune_media",
    "put_live",
    "read_backup",
    "reap_stale",
    "refresh",
    "restore_database",
    "restore_media",
    "retention_rules",
    "start_backup_database",
    "start_backup_media",
    "start_open_backup",
    "start_prune",
    "start_prune_media",
    "start_put_live",
    "start_restore_database",
    "start_restore_media",
    "start_undo_restore",
    "start_undo_restore_media",
    "start_verify_backup",
    "stop_all",
    "stoppable",
    "undo_restore",
    "undo_restore_media",
    "undone_run",
    "verdict",
    "verify_backup",
    "why_not_live",
]
