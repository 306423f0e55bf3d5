"""The connectors of PostgreSQL and PostGIS."""

from .connector import PgDumpConnector

__all__ = ["PgDumpConnector"]
