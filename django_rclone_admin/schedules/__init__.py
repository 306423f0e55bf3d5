"""Schedules: which are due, which process claims one, and how it is carried out."""

from .due import Overdue, last_pass, overdue

__all__ = ["Overdue", "last_pass", "overdue"]
