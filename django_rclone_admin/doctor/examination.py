"""Executes the checks one after another. Each fails independently, and none ends in a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from django.db import Error
from django.utils.translation import gettext

from .. import wording
from ..conf import get_settings
from ..core import findings
from ..core.command import redact
from ..core.findings import Finding, Outcome
from ..exceptions import BackupError, gettext_noop
from ..health.levels import Level, worst
from .check import Check, Site
from .databases import CHECKS as DATABASES
from .remote import CHECKS as REMOTE
from .site import CHECKS as SITE

logger = logging.getLogger("django_rclone_admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A group of checks, which may depend on each other."""

    id: str
    title: str
    checks: tuple[Check, ...]


PARTS = (
    Part(id="remote", title=gettext_noop("rclone and the remote"), checks=REMOTE),
    Part(id="databases", title=gettext_noop("Databases"), checks=DATABASES),
    Part(id="site", title=gettext_noop("The site"), checks=SITE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The result of one check, translated."""

    id: str
    title: str
    """The subject of the check, in a few words."""
    subject: str
    """The examined part where a check covers several: the alias of a database, a folder of the remote."""
    outcome: str
    """One of :class:`~django_rclone_admin.core.findings.Outcome`."""
    sentence: str
    hint: str
    is_gap: bool
    """Whether it was skipped although it should have run."""

    @property
    def slug(self) -> str:
        """The outcome, for style sheets."""
        return Outcome(self.outcome).slug

    @property
    def word(self) -> str:
        """The outcome, translated."""
        return gettext(self.outcome)

    def as_dict(self) -> dict[str, object]:
        """Return the fields for the JSON output."""
        return asdict(self)


def verdict(lines: Iterable[Line]) -> Level:
    """Return the overall level. A check that was skipped although it should have run is at least a warning."""
    levels = {Outcome.FAILED.value: Level.CRITICAL, Outcome.WARNING.value: Level.WARNING}
    found = [Level.UNKNOWN if each.is_gap else levels.get(each.outcome, Level.OK) for each in lines]
    return worst(found, default=Level.UNKNOWN)


def examine(part: str = "", *, notify: bool = False) -> Iterator[Line]:
    """Execute all checks, or those of one part, and give each line as soon as it is known.

    It writes a probe to the remote, and removes it.

    :param notify: send a test message.
    :raises ImproperlyConfigured: the settings are wrong.
    """
    get_settings()
    site = Site(notify=notify)
    secrets = site.secrets
    for each in PARTS:
        if part in ("", each.id):
            for check, finding in _results(each, site):
                yield _line(check, finding, secrets)


def _results(part: Part, site: Site) -> Iterator[tuple[Check, Finding]]:
    failed: set[str] = set()
    for check in part.checks:
        if missing := [each for each in check.needs if each in failed]:
            failed.add(check.id)
            yield (
                check,
                findings.unchecked(
                    gettext_noop("The check “%(check)s” has to pass first."), check=missing[0], is_gap=True
                ),
            )
            continue
        for finding in _made(check, site):
            if finding.outcome is Outcome.FAILED or finding.is_gap:
                failed.add(check.id)
            yield check, finding


def _made(check: Check, site: Site) -> Iterator[Finding]:
    """Execute a check, and turn any error into a finding."""
    try:
        yield from check.look(site)
    except BackupError as error:
        yield findings.of_error(error)
    except Error as error:  # databases are checked separately, so this is the history's
        yield findings.failed(
            gettext_noop("The database of the run history does not answer: %(reason)s"),
            hint=gettext_noop("Check that the database server is running and that DATABASES is right."),
            reason=" ".join(str(error).split()),
        )
    except Exception as error:
        logger.debug("The check %s failed unexpectedly.", check.id, exc_info=True)
        yield findings.unchecked(
            gettext_noop("This could not be checked: an unexpected %(kind)s."),
            hint=gettext_noop("The log of “django_rclone_admin” has the details, at the level DEBUG."),
            kind=type(error).__name__,
            is_gap=True,
        )


def _line(check: Check, finding: Finding, secrets: frozenset[str]) -> Line:
    error = BackupError(finding.template, hint=finding.hint, **finding.params)
    sentence, hint = wording.describe(error)
    return Line(
        id=check.id,
        title=gettext(check.title),
        subject=finding.subject,
        outcome=str(finding.outcome),
        sentence=redact(sentence, secrets),
        hint=redact(hint, secrets),
        is_gap=finding.is_gap,
    )
