"""A small real shop: the project that tests, demo and benchmarks back up and restore."""

import contextlib

with contextlib.suppress(ImportError):
    import pymysql

    # Needs no compiler. Django asks for the version of mysqlclient, whose interface this has.
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()
