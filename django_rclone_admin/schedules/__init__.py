"""Schedules: which are due, which process claims one, and how it is carried out."""
