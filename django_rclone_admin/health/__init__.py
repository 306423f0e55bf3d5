"""Is the site safe? Facts are gathered and kept, rules judge them, and every place shows the same judgement."""

from .facts import Day
from .levels import Finding, Level, Rule

__all__ = ["Day", "Finding", "Level", "Rule"]
