"""PostgreSQL and PostGIS: how they are dumped and restored."""

from .connector import PgDumpConnector

__all__ = ["PgDumpConnector"]
