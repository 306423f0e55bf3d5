"""PostgreSQL with PostGIS: only a superuser can create the extension, and it owns the table of spatial systems."""

from __future__ import annotations

from typing import Any, ClassVar

from ...core.programs import run
from ...exceptions import ProgramFailed, gettext_noop
from ..options import OPTIONS
from .connector import PgDumpConnector
from .libpq import quote
from .server import Server

SECONDS = 300
"""Time limit for the creation of extensions."""

TABLES = """
SELECT format('%%I.%%I', nspname, relname), format('%%I', nspname)
FROM pg_catalog.pg_extension CROSS JOIN LATERAL unnest(extconfig) AS config (id)
JOIN pg_catalog.pg_class AS class ON class.oid = config.id
JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
WHERE starts_with(extname, 'postgis') AND relkind = 'r'
"""
"""The tables of PostGIS that the site may add rows to, such as spatial reference systems and topologies."""

EXTENSIONS = """
SELECT extname, nspname FROM pg_catalog.pg_extension
JOIN pg_catalog.pg_namespace AS space ON space.oid = extnamespace
JOIN pg_catalog.pg_available_extension_versions AS available ON name = extname AND version = extversion
WHERE superuser AND extname <> 'plpgsql' ORDER BY pg_extension.oid
"""


class PgDumpGisConnector(PgDumpConnector):
    """Creates missing extensions as ``ADMIN_USER``, before the restore and outside its transaction."""

    known_options: ClassVar[frozenset[str]] = OPTIONS | {"ADMIN_USER", "ADMIN_PASSWORD"}

    @property
    def may_have_extensions(self) -> bool:  # type: ignore[override]
        return bool(self.options.get("ADMIN_USER"))

    @property
    def secrets(self) -> frozenset[str]:
        password = self.options.get("ADMIN_PASSWORD")
        return super().secrets | ({str(password)} if password else set())

    def prepare(self, database: str) -> None:
        """Create, as the administrator, the live database's extensions in another database, or PostGIS in the live
        one."""
        admin = self.options.get("ADMIN_USER")
        if not admin:
            return
        live = self.database_name
        wanted = self._ask(live, EXTENSIONS) or [("postgis", "public")]
        present = {name for name, _schema in self._ask(database, EXTENSIONS)}
        statements = []
        for name, schema in wanted:
            if name not in present:
                statements += [
                    f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}",
                    f"CREATE EXTENSION IF NOT EXISTS {quote(name)} SCHEMA {quote(schema)}"
                    if name != "postgis_topology"
                    else f"CREATE EXTENSION IF NOT EXISTS {quote(name)}",
                ]
        if statements:
            self._administer(database, statements)
        role = self._ask(live, "SELECT current_user")[0][0]
        grants = []
        for table, schema in self._ask(database, TABLES):
            grants += [
                f"GRANT USAGE ON SCHEMA {schema} TO {quote(role)}",
                f"GRANT SELECT, INSERT, DELETE ON {table} TO {quote(role)}",
            ]
        self._administer(database, grants)

    def _ask(self, database: str, query: str, *values: str) -> list[tuple[Any, ...]]:
        with Server(self.alias).cursor(database) as cursor:
            cursor.execute(query, values)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def _administer(self, database: str, statements: list[str]) -> None:
        """Execute statements as the administrator.

        :raises ProgramFailed: a statement failed.
        """
        settings = {
            **self.live,
            "USER": str(self.options["ADMIN_USER"]),
            "PASSWORD": str(self.options.get("ADMIN_PASSWORD") or ""),
        }
        arguments = [f"--command={statement}" for statement in statements]
        done = run(self.psql(database, *arguments, settings=settings), timeout=SECONDS)
        if done.status:
            raise ProgramFailed(
                gettext_noop("The extensions of the database could not be created: %(reason)s"),
                hint=gettext_noop(
                    "Nothing was changed. Check ADMIN_USER and ADMIN_PASSWORD in CONNECTOR_OPTIONS."
                ),
                reason=" ".join(done.errors.split())[:500],
            )
