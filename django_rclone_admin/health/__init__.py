"""The health of the site: facts are gathered and stored, rules evaluate them, and every place shows the same result."""

from .facts import Day
from .levels import Finding, Level, Rule

__all__ = ["Day", "Finding", "Level", "Rule"]
