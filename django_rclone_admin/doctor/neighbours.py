"""Checks whether another site writes backups to the same place: their backups would count as this site's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..core import findings
from ..core.check_marks import AHEAD
from ..core.findings import Finding
from ..core.manifest import Manifest
from ..exceptions import gettext_noop
from ..jobs import history
from ..models.runs import BackupRun, is_run_id
from .check import Site

LOOKED_AT = 20
"""How many backups of each folder are looked at, the newest."""


def alone(site: Site) -> Iterator[Finding]:
    """Compare the newest backups with the run history: each backup that is younger must be from one of its runs."""
    first = BackupRun.objects.order_by("created_at").first() if history.has_table() else None
    if first is None:
        yield findings.unchecked(gettext_noop("This site has made no backup yet."))
        return
    found = _newest(site, since=first.created_at + AHEAD)
    known = {str(key) for key in BackupRun.objects.filter(pk__in=found).values_list("pk", flat=True)}
    for each in [manifest for run, manifest in found.items() if run not in known][:1]:
        yield findings.warning(
            gettext_noop(
                "The backup %(name)s, which %(host)s has made, is from no run of this site: another site may use the same place."
            ),
            hint=gettext_noop(
                "Give each site a path of its own in REMOTE: they would restore and delete each other's backups. If this "
                "site has made it, its run was not recorded."
            ),
            name=each.name,
            host=each.host or "?",
        )
        return
    yield findings.passed(gettext_noop("The newest backups are from this site."))


def _newest(site: Site, since: datetime) -> dict[str, Manifest]:
    """Return the manifests of the newest backups that were made since a time, by the run that has made them."""
    found = {}
    for catalog, listed in zip(site.catalogs, site.backups, strict=True):
        young = [each for each in listed if each.taken_at and each.taken_at > since]
        for each in catalog.inspect(young[:LOOKED_AT], thin=True):
            if each.manifest and is_run_id(each.manifest.run):
                found[each.manifest.run] = each.manifest
    return found
