"""Tests of the pages in the admin."""
