"""How a restore is to be done, besides which backup: carried from “Try again” through the confirmation to the new run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.http import HttpRequest

from ..models import BackupRun


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreChoices:
    """The arguments of a restore of a database; ``None`` leaves it to the settings."""

    to: str | None = None
    """The database to restore into, where it is not the backup's own."""
    strategy: str | None = None
    safety_backup: bool | None = None

    @classmethod
    def of_run(cls, run: BackupRun) -> Self:
        """Return those of an earlier run."""
        options: Mapping[str, Any] = run.options
        return cls(
            to=run.database if options.get("elsewhere") else None,
            strategy=options.get("strategy"),
            # What is not there has its default, which is to make one.
            safety_backup=options.get("safety_backup", True),
        )

    @classmethod
    def of_request(cls, request: HttpRequest) -> Self:
        """Return those of the address, or of the form that came from there."""
        given = request.POST if request.method == "POST" else request.GET
        safety = {"yes": True, "no": False}.get(given.get("safety_backup", ""))
        return cls(to=given.get("to") or None, strategy=given.get("strategy") or None, safety_backup=safety)

    @property
    def arguments(self) -> dict[str, Any]:
        """As the api takes them."""
        return {"to": self.to, "strategy": self.strategy, "safety_backup": self.safety_backup}

    @property
    def fields(self) -> dict[str, str]:
        """As an address or a form carries them."""
        safety = None if self.safety_backup is None else "yes" if self.safety_backup else "no"
        found = {"to": self.to, "strategy": self.strategy, "safety_backup": safety}
        return {name: value for name, value in found.items() if value}
