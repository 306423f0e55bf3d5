"""Schedules: which are due, who takes one, and how it is carried out."""

from .due import Overdue, last_pass, overdue

__all__ = ["Overdue", "last_pass", "overdue"]
