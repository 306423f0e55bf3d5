"""Tests of what knows a database engine: what it holds comes back, or nothing changes."""
