"""Queries a database for facts before work on it, and builds the error for an unreachable database."""

from __future__ import annotations

from django.db import DatabaseError, connections

from ..connectors.base import Connector, Facts
from ..exceptions import ProgramFailed, gettext_noop


def ask(connector: Connector) -> Facts:
    """Return the facts about a database.

    :raises ProgramFailed: it can't be reached.
    """
    try:
        return connector.facts()
    except DatabaseError as error:
        raise unreachable(connector.alias, error) from error


def unreachable(alias: str, error: Exception) -> ProgramFailed:
    """Return the error for a database that does not answer."""
    connections[alias].close()
    return ProgramFailed(
        gettext_noop("The database “%(database)s” can't be reached: %(reason)s"),
        hint=gettext_noop(
            "Nothing was changed. Check that the database server is running and that DATABASES is right."
        ),
        database=alias,
        reason=" ".join(str(error).split()),
    )
