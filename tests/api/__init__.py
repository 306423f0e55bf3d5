"""Tests of what a project calls: the list of backups, signals, health."""
