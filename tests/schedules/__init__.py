"""Schedules: their times, who takes them, and how they are carried out."""
