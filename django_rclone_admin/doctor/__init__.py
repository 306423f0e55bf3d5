"""The doctor: would backups of this site work, and would they come back? Each answer is one line."""

from .examination import PARTS, Line, Part, examine, verdict

__all__ = ["PARTS", "Line", "Part", "examine", "verdict"]
