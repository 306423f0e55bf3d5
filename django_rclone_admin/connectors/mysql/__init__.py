"""MariaDB and MySQL: how they are dumped and restored."""

from .connector import MysqlDumpConnector

__all__ = ["MysqlDumpConnector"]
