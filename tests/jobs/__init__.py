"""Tests of runs: their lock, their history, their end, in whatever process carries them out."""
