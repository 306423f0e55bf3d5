"""What people choose: the level of a check, and the options of a restore, which “Try again” passes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from ..models import BackupRun

LEVELS = (
    ("checksum", gettext_lazy("every stored byte")),
    ("structure", gettext_lazy("the structure of the whole backup")),
    ("restore", gettext_lazy("a test restore")),
    ("site", gettext_lazy("a test restore, read with Django")),
)
"""The levels of a check, as they are offered."""
MEDIA_LEVELS = (
    ("checksum", gettext_lazy("the file list")),
    ("structure", gettext_lazy("that every file is there")),
    ("restore", gettext_lazy("every byte of every file")),
)
"""The same for a media backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreChoices:
    """The arguments of a database restore; ``None`` means the default of the settings."""

    to: str | None = None
    """The database to restore into, if it differs from that of the backup."""
    strategy: str | None = None
    safety_backup: bool | None = None

    @classmethod
    def of_run(cls, run: BackupRun) -> Self:
        """Return the choices of an earlier run."""
        options: Mapping[str, Any] = run.options
        return cls(
            to=run.database if options.get("elsewhere") else None,
            strategy=options.get("strategy"),
            # A missing value means the default, which is to make one.
            safety_backup=options.get("safety_backup", True),
        )

    @classmethod
    def of_request(cls, request: HttpRequest) -> Self:
        """Return the choices in the URL, or in the form that was shown for it."""
        given = request.POST if request.method == "POST" else request.GET
        safety = {"yes": True, "no": False}.get(given.get("safety_backup", ""))
        return cls(to=given.get("to") or None, strategy=given.get("strategy") or None, safety_backup=safety)

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments for the api."""
        return {"to": self.to, "strategy": self.strategy, "safety_backup": self.safety_backup}

    @property
    def fields(self) -> dict[str, str]:
        """Return the values for a URL or a form."""
        safety = None if self.safety_backup is None else "yes" if self.safety_backup else "no"
        found = {"to": self.to, "strategy": self.strategy, "safety_backup": safety}
        return {name: value for name, value in found.items() if value}
