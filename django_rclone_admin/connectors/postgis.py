"""The documented import path of the PostGIS connector."""

from .postgresql.postgis import PgDumpGisConnector

__all__ = ["PgDumpGisConnector"]
