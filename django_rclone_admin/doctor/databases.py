"""Checks of the databases: reachable, and the checks of their connectors."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import Error, connections

from ..conf import get_settings
from ..connectors.base import Connector
from ..connectors.registry import all_databases, databases_without_connector, get_connector, is_database
from ..core import findings
from ..core.engines import engine_name
from ..core.findings import Finding
from ..exceptions import gettext_noop
from .check import Check, Site, each_database


def _covered(site: Site) -> Iterator[Finding]:
    for alias in databases_without_connector():
        yield findings.warning(
            gettext_noop("The database “%(database)s” is not backed up: its engine has no connector."),
            hint=gettext_noop(
                "Name one in CONNECTORS or CONNECTOR_MAPPING, or list the others in DATABASES."
            ),
            subject=alias,
            database=alias,
        )
    backed_up = all_databases()
    if unknown := [each for each in backed_up if not is_database(each)]:
        yield findings.failed(
            gettext_noop(
                "DATABASES in DJANGO_RCLONE names databases that this site does not have: %(databases)s."
            ),
            hint=gettext_noop("Correct the name."),
            databases=", ".join(unknown),
        )
        return
    for alias in backed_up:
        get_connector(alias)
    yield findings.passed(
        gettext_noop("“All databases” means: %(databases)s."), databases=", ".join(backed_up) or "–"
    )


def _reached(site: Site, connector: Connector) -> Finding:
    connection = connections[connector.alias]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        connection.close()
        site.unreachable.add(connector.alias)
        return findings.failed(
            gettext_noop("The database can't be reached: %(reason)s"),
            hint=connector.unreachable_hint,
            reason=" ".join(str(error).split()),
        )
    version = ".".join(map(str, connection.get_database_version()))
    name = engine_name(connector.engine, version)
    return findings.passed(gettext_noop("%(engine)s %(version)s answers."), engine=name, version=version)


def _programs(site: Site, connector: Connector) -> Finding:
    return connector.examine_programs()


def _rights(site: Site, connector: Connector) -> Finding:
    return connector.examine_rights(get_settings().strategy(connector.alias))


def _contents(site: Site, connector: Connector) -> Finding:
    return connector.examine_contents(get_settings().strategy(connector.alias))


CHECKS = (
    Check(id="database.covered", title=gettext_noop("Every database is backed up"), look=_covered),
    Check(id="database.reached", title=gettext_noop("The database answers"), look=each_database(_reached)),
    Check(id="database.programs", title=gettext_noop("Client programs"), look=each_database(_programs)),
    Check(id="database.rights", title=gettext_noop("Rights for restores"), look=each_database(_rights)),
    Check(
        id="database.contents", title=gettext_noop("What would not come back"), look=each_database(_contents)
    ),
)
