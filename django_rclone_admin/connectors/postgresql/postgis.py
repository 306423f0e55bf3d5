"""PostgreSQL with PostGIS, whose extension only a superuser can create, and whose table of spatial systems is its own."""

from __future__ import annotations

from typing import Any, ClassVar

from ...core.command import Command
from ...core.programs import run
from ...exceptions import ProgramFailed, gettext_noop
from ..base import OPTIONS
from .connector import PgDumpConnector
from .libpq import quote
from .server import Server

SECONDS = 300
"""How long the creation of extensions may take."""

SYSTEMS = """
SELECT format('%%I.%%I', nspname, relname), condition
FROM pg_catalog.pg_extension AS extension
CROSS JOIN LATERAL unnest(extconfig, extcondition) AS config (id, condition)
JOIN pg_catalog.pg_class AS class ON class.oid = config.id
JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
WHERE extname = 'postgis' AND relname = 'spatial_ref_sys'
"""
"""The table of spatial reference systems, and the condition by which PostGIS tells the site's own rows from its own."""

EXTENSIONS = """
SELECT extname, nspname FROM pg_catalog.pg_extension
JOIN pg_catalog.pg_namespace AS space ON space.oid = extnamespace
JOIN pg_catalog.pg_available_extension_versions AS available ON name = extname AND version = extversion
WHERE superuser AND extname <> 'plpgsql' ORDER BY pg_extension.oid
"""


class PgDumpGisConnector(PgDumpConnector):
    """Creates what extensions the target lacks as ``ADMIN_USER``, before the restore and outside its transaction."""

    known_options: ClassVar[frozenset[str]] = OPTIONS | {"ADMIN_USER", "ADMIN_PASSWORD"}

    @property
    def may_have_extensions(self) -> bool:  # type: ignore[override]
        return bool(self.options.get("ADMIN_USER"))

    @property
    def secrets(self) -> frozenset[str]:
        password = self.options.get("ADMIN_PASSWORD")
        return super().secrets | ({str(password)} if password else set())

    def dump_command(self) -> Command:
        command = super().dump_command()
        if self._own_systems():
            return command
        # Loading it would need a right on a table that is not ours, though there is nothing to load.
        argv = (*command.argv, "--exclude-table-data=*.spatial_ref_sys")
        return Command(
            argv=argv,
            env=command.env,
            name=command.name,
            secrets=command.secrets,
            explain=command.explain,
            missing_hint=command.missing_hint,
        )

    def prepare(self, database: str) -> None:
        """Create, as the administrator, the extensions of the live database in another one, or PostGIS in itself."""
        admin = self.options.get("ADMIN_USER")
        if not admin:
            return
        live = self.live["NAME"]
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
        systems = [table for table, _condition in self._ask(database, SYSTEMS)]
        self._administer(database, [f"GRANT INSERT, DELETE ON {table} TO {quote(role)}" for table in systems])

    def empty_more(self) -> bytes:
        may_delete = "SELECT has_table_privilege(%s, 'DELETE')"
        found = self._ask(self.live["NAME"], SYSTEMS)
        return b"".join(
            f"DELETE FROM {table} {condition or ''};\n".encode()
            for table, condition in found
            if self._ask(self.live["NAME"], may_delete, table)[0][0]
        )

    def _own_systems(self) -> bool:
        """Whether the site has added spatial reference systems of its own."""
        live = self.live["NAME"]
        return any(
            self._ask(live, f"SELECT EXISTS (SELECT FROM {table} {condition or ''})")[0][0]
            for table, condition in self._ask(live, SYSTEMS)
        )

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
            "NAME": database,
            "USER": str(self.options["ADMIN_USER"]),
            "PASSWORD": str(self.options.get("ADMIN_PASSWORD", "")),
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
