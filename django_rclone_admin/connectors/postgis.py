"""The documented home of the PostGIS connector."""

from .postgresql.postgis import PgDumpGisConnector

__all__ = ["PgDumpGisConnector"]
