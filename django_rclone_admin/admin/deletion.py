"""The consequences of deleting backups: freed space, and databases that lose their newest good backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from ..models import Backup
from .pages import Pages, shows_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A database, or the media files, whose newest good backup is deleted."""

    of: str
    then: datetime | None
    """The time of the newest good backup that remains; ``None`` if none remains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The consequences of deleting some backups."""

    size: int
    """Bytes that are freed, not counting media files."""
    has_media: bool
    """Whether file versions are removed as well, whose size is known only afterwards."""
    losses: Sequence[Loss]


def examine(backups: Sequence[Backup]) -> Deletion:
    """Return the consequences of deleting these backups."""
    going = {each.path for each in backups}
    losses = []
    for kind, database in sorted({(each.kind, each.database) for each in backups}):
        # A safety backup is removed automatically after a few days.
        listed = Backup.objects.filter(kind=kind, database=database)
        good = [each for each in listed if each.is_restorable and not each.kept_until]
        good.sort(key=lambda each: (each.taken_at, each.name), reverse=True)
        if good and good[0].path in going:
            stays = next((each.taken_at for each in good if each.path not in going), None)
            losses.append(
                Loss(of=_("the media files") if kind == Backup.Kind.MEDIA else database, then=stays)
            )
    return Deletion(
        size=sum(each.size for each in backups if not each.is_media),
        has_media=any(each.is_media for each in backups),
        losses=losses,
    )


class Deleting(Pages):
    """The admin's delete confirmations, extended with the consequences; a part of the admin of backups."""

    @shows_errors
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().delete_view(request, object_id, extra_context)
        if isinstance(response, TemplateResponse):
            self._explain(response, [response.context_data["object"]])  # type: ignore[index]
        return response

    @admin.action(description=_("Delete selected %(verbose_name_plural)s"), permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        backups = list(queryset)
        response: HttpResponse | None = delete_selected(self, request, queryset)
        if isinstance(response, TemplateResponse):
            self._explain(response, backups)
        return response

    def _explain(self, response: TemplateResponse, backups: Sequence[Backup]) -> None:
        assert response.context_data is not None
        response.context_data["deletion"] = examine(backups)
