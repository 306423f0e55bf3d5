"""Tests of ``core``, which imports no Django: streams, the remote, backups and their names."""
