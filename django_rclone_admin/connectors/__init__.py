"""Connectors: each knows one database engine, and starts nothing by itself."""
