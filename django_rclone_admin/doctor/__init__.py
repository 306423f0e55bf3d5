"""The doctor: examines whether backups and restores of this site would work. Each result is one line."""

from .examination import PARTS, Line, Part, examine, verdict

__all__ = ["PARTS", "Line", "Part", "examine", "verdict"]
