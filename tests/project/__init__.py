"""Tests of the project itself: its structure, settings, documentation and packages."""
