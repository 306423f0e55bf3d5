"""Connectors: each describes how to dump and restore one database engine, and starts no program by itself."""
