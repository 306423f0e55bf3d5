"""Tests of what monitors and people are told of the health of the site."""
