"""The connectors of MariaDB and MySQL."""

from .connector import MysqlDumpConnector

__all__ = ["MysqlDumpConnector"]
