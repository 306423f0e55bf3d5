"""The settings: one dictionary, ``DJANGO_RCLONE``, read lazily into one frozen dataclass."""

import dataclasses
import functools
import os
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .core.check_marks import FOLDER as CHECKS
from .core.flags import find_problem
from .core.naming import Naming
from .core.retention import RetentionPolicy
from .exceptions import UsageError, gettext_noop
from .impossible_values import problems as impossible_values
from .own_checks import Limits, OwnCheck
from .own_checks import problems as problems_of_checks
from .suggestions import suggestion

NAME = "DJANGO_RCLONE"

Compression = Literal["zstd", "gzip"]
Strategy = Literal["in_place", "swap"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Each field is a key of ``DJANGO_RCLONE``, in lower case. ``repr`` hides the values, because some are secret."""

    remote: str
    """rclone remote and base path, never parsed by us."""
    rclone_binary: str = "rclone"
    rclone_config: str | None = None
    rclone_flags: list[str] = field(default_factory=list)
    rclone_env: dict[str, str] = field(default_factory=dict)
    db_backup_dir: str = "db"
    db_filename_template: str = "{database}-{datetime}.{ext}"
    db_date_format: str = "%Y-%m-%d-%H%M%S"
    db_cleanup_keep: int = 10
    retention: dict[str, float] = field(default_factory=dict)
    media_backup_dir: str = "media"
    media_versions_dir: str = "media-versions"
    media_source: str | None = None
    media_exclude: list[str] = field(default_factory=list)
    media_max_delete_percent: int = 50
    databases: list[str] | None = None
    connectors: dict[str, str] = field(default_factory=dict)
    connector_mapping: dict[str, str] = field(default_factory=dict)
    connector_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    compression: Compression | None = "zstd"
    compression_level: int | None = None
    restore_strategy: Strategy | dict[str, Strategy] = "in_place"
    safety_backup: bool = True
    executor: str = "django_rclone_admin.executors.ThreadExecutor"
    stale_after: float = 60
    """Seconds."""
    stall_timeout: float = 900
    """Seconds."""
    listing_cache_seconds: float = 30
    admin_restore: bool = True
    open_hours: float = 24
    open_on: dict[str, str] = field(default_factory=dict)
    verify_checks: dict[str, list[OwnCheck] | Limits] = field(
        default_factory=dict,
        metadata={"type": "a dictionary of aliases to lists of dotted paths and dictionaries of models"},
    )
    backup_before_migrate: bool = False
    health: dict[str, Any] = field(default_factory=dict)
    notify: dict[str, Any] = field(default_factory=dict)

    @property
    def policy(self) -> RetentionPolicy:
        """The retention policy.

        :raises UsageError: the policy could keep nothing.
        """
        # Checked separately: other rules in RETENTION would hide a 0 here.
        RetentionPolicy(last=self.db_cleanup_keep)
        return RetentionPolicy(**{"last": self.db_cleanup_keep, **self.retention})  # type: ignore[arg-type]

    @property
    def naming(self) -> Naming:
        """The naming of backups.

        :raises UsageError: the template can't be parsed back.
        """
        return Naming(self.db_filename_template, self.db_date_format)

    @property
    def folders(self) -> tuple[str, str, str]:
        """The folders of media files, of their versions and of databases; empty or ending in a slash.

        :raises UsageError: the folders overlap, so that a media backup would treat other backups as media files.
        """
        media, versions, databases = (
            f"{folder.strip('/')}/".lstrip("/")
            for folder in (self.media_backup_dir, self.media_versions_dir, self.db_backup_dir)
        )
        nested = (
            media.startswith(versions)
            or versions.startswith(media)
            or databases.startswith((media, versions))
        )
        # A media backup would move the check records into its versions folder.
        takes_records = any(each.startswith(f"{CHECKS}/") for each in (media, versions))
        if nested or takes_records:
            raise UsageError(
                gettext_noop("These backup folders are nested."),
                hint=gettext_noop(
                    "Give MEDIA_BACKUP_DIR, MEDIA_VERSIONS_DIR and DB_BACKUP_DIR folders of their own. “checks” is taken."
                ),
            )
        return media, versions, databases

    def strategy(self, database: str) -> Strategy | None:
        """Return the configured restore strategy of a database, or ``None`` for the connector's default."""
        if isinstance(self.restore_strategy, dict):
            return self.restore_strategy.get(database)
        return None if self.restore_strategy == "in_place" else self.restore_strategy


LEVELS = {"zstd": (-7, 22), "gzip": (0, 9), None: (-7, 22)}
"""The lowest and the highest level of each compression; without compression, the level is ignored."""

FIELDS = {item.name.upper(): item for item in dataclasses.fields(Settings)}
"""The fields by their keys. Their types are those of Python: every start of a site compares the values with them."""
PATHS = ("REMOTE", "RCLONE_BINARY", "RCLONE_CONFIG", "MEDIA_SOURCE")
"""Keys whose value may also be a path object, such as ``BASE_DIR / "backups"``."""
POLICY_KEYS = {item.name for item in dataclasses.fields(RetentionPolicy)}


def problems(values: object) -> list[tuple[str, str]]:
    """Return the problems of a settings dictionary, as pairs of a message and a hint."""
    if not isinstance(values, dict):
        return [
            (f"{NAME} must be a dictionary.", f'Add {NAME} = {{"REMOTE": "remote:path"}} to the settings.')
        ]
    values, found = _with_text(values), []
    for key, value in values.items():
        item = FIELDS.get(key)
        if item is None:
            hint = suggestion(key, FIELDS, what="keys")
            found.append((f"{NAME} has an unknown key “{key}”.", hint))
        elif not _fits(value, item.type):
            wanted = item.metadata.get("type") or _describe(item.type)
            found.append((f"{NAME}[“{key}”] has the wrong type.", f"It must be {wanted}."))
    remote = values.get("REMOTE")
    if not remote or (isinstance(remote, str) and not remote.strip()):
        found.append(
            (
                f"{NAME}[“REMOTE”] is missing.",
                "Set it to an rclone remote and path, such as “s3:bucket/site”.",
            )
        )
    return found or _problems_of_values(values)


def _with_text(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with text in place of path objects."""
    return {
        key: os.fspath(value) if key in PATHS and isinstance(value, os.PathLike) else value
        for key, value in values.items()
    }


def _problems_of_values(values: dict[str, Any]) -> list[tuple[str, str]]:
    found = list(impossible_values(values))
    for key in values.get("RETENTION", {}):
        if key not in POLICY_KEYS:
            hint = suggestion(key, sorted(POLICY_KEYS), what="rules")
            found.append((f"{NAME}[“RETENTION”] has an unknown rule “{key}”.", hint))
    # Every start of a site checks the settings, and most sites set neither.
    if health := values.get("HEALTH"):
        from .health.limits import problems_of_health

        found += problems_of_health(health, django_settings.DATABASES)
    if notify := values.get("NOTIFY"):
        from .notify_options import problems_of_notify

        found += problems_of_notify(notify, django_settings.DATABASES)
    if found:
        return found
    candidate = _build(values)
    level, lowest, highest = candidate.compression_level, *LEVELS[candidate.compression]
    if level is not None and not lowest <= level <= highest:
        found.append(
            (f"{NAME}[“COMPRESSION_LEVEL”] is out of range.", f"Use a number from {lowest} to {highest}.")
        )
    for check in ("policy", "naming", "folders"):
        try:
            getattr(candidate, check)
        except UsageError as error:
            found.append((str(error), error.hint))
    found += [(f"{NAME}: {sentence}", hint) for sentence, hint in problems_of_checks(candidate.verify_checks)]
    if problem := find_problem(candidate.rclone_flags, candidate.rclone_env):
        found.append((str(problem), problem.hint))
    return found


def _fits(value: object, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is Literal:
        # Lazy text is equal to the text that it will be, and can't take its place.
        return any(isinstance(value, type(each)) and value == each for each in arguments)
    if origin is list:
        return isinstance(value, list | tuple) and all(_fits(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, arguments[0]) and _fits(each, arguments[1]) for key, each in value.items()
        )
    if hint is Any:
        return True
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(each) for each in arguments)
    if origin is Literal:
        return " or ".join(f"“{each}”" for each in arguments)
    if origin is dict and arguments[1] is Any:
        return "a dictionary"
    if origin in (list, dict):
        return {list: "a list of {}", dict: "a dictionary of {} to {}"}[origin].format(
            *map(_describe, arguments)
        )
    names = {str: "text", int: "a whole number", float: "a number", bool: "True or False", type(None): "None"}
    return names.get(hint, "any value")


def _build(values: dict[str, Any]) -> Settings:
    return Settings(**{FIELDS[key].name: value for key, value in _with_text(values).items()})


@functools.cache
def get_settings() -> Settings:
    """Return the settings.

    :raises ImproperlyConfigured: with every problem that the system check reports.
    """
    values = getattr(django_settings, NAME, None)
    if found := problems(values):
        raise ImproperlyConfigured(" ".join(f"{sentence} {hint}" for sentence, hint in found))
    assert isinstance(values, dict)
    return _build(values)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in (NAME, "DATABASES", "MEDIA_ROOT"):
        get_settings.cache_clear()


setting_changed.connect(_forget)
