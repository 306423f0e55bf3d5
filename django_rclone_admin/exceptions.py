"""The errors of this package. Each has one sentence for a person and a hint on what to do.

This module imports no Django, so that the core can raise these errors. A message is a template plus parameters: the
English text is ``str(error)``, and :mod:`django_rclone_admin.wording` translates the template.
"""

from __future__ import annotations

from typing import Any


def gettext_noop(message: str) -> str:
    """Mark a message for translation where Django must not be imported."""
    return message


NOTHING_CHANGED = gettext_noop("Nothing was changed.")


def restate(hint: str, claim: str, changed: str) -> str:
    """Return a hint whose first sentence, a claim, is replaced by what is true.

    :param claim: “Nothing was changed.”: the code that raised the error could not know of earlier changes.
    :param changed: what the work had changed before, as a sentence; an empty string leaves the hint unchanged.
    """
    return f"{changed} {hint.removeprefix(claim).lstrip()}".rstrip() if changed else hint


class BackupError(Exception):
    """The base class of all errors of this package.

    :param template: one sentence, with ``%(name)s`` placeholders.
    :param hint: what the operator can do about it; may use the same placeholders.
    :param params: values of the placeholders; they must never contain a secret.
    """

    exit_code = 1
    default_hint = ""
    changed = ""
    """What the work had changed before it failed, as a sentence; it replaces “Nothing was changed” in the hint."""

    def __init__(self, template: str, /, *, hint: str = "", **params: Any) -> None:
        self.template = template
        self.hint_template = hint or self.default_hint
        self.params = params
        super().__init__(template % params if params else template)

    @property
    def hint(self) -> str:
        """The hint in English, or an empty string."""
        hint = self.hint_template % self.params if self.params else self.hint_template
        return restate(hint, NOTHING_CHANGED, self.changed)


class UsageError(BackupError):
    """The call or the configuration is wrong; nothing was tried."""

    exit_code = 2


class BackupNotFound(BackupError):
    """The backup is not in the backup list."""

    default_hint = gettext_noop("“manage.py listbackups --all” lists the backups.")


class BackupDamaged(BackupError):
    """The stored bytes differ from those that were written."""

    default_hint = gettext_noop(
        "Nothing was changed. Choose another backup: “manage.py listbackups” shows the state of each."
    )


class WrongFormat(BackupError):
    """The bytes are not in a format that the connector can restore."""

    default_hint = gettext_noop(
        "Nothing was changed. Check that this backup was made from a database of the same engine."
    )


class EmptyDump(BackupError):
    """The dump program succeeded without output."""

    default_hint = gettext_noop("Nothing was stored. Run the dump program by hand to see what it says.")


class CheckFailed(BackupError):
    """A backup failed a check."""

    default_hint = gettext_noop("Check the backup again later, or make a new one.")


class NotChecked(BackupError):
    """A check could not be carried out; it says nothing about the backup."""

    default_hint = gettext_noop("A lower level may be possible: see “manage.py verifybackups --help”.")


class RestoreRefused(BackupError):
    """The restore would not do what the caller expects, so it was not started."""


class ProgramMissing(BackupError):
    """A required program is not installed or not on the path."""


class NoPrivateFolder(BackupError):
    """The folder for temporary files is missing or not writable."""

    default_hint = gettext_noop("Set TMPDIR to a folder that this account may write to, with room to spare.")


class ProgramFailed(BackupError):
    """A program ended with an error; the message contains the end of its error output."""


class OutcomeUnknown(ProgramFailed):
    """It is unknown whether the last step, which replaces the live data, was carried out."""

    default_hint = gettext_noop(
        "The restore may have been committed. Check the data before you run it again."
    )


class HalfDone(ProgramFailed):
    """The last step was carried out in part; the message and the hint say which part."""


class RemoteError(BackupError):
    """rclone could not carry out a call on the remote."""

    default_hint = gettext_noop(
        "Try the same with rclone itself, such as “rclone lsd REMOTE”, to see what it says."
    )


class RemoteUnknown(RemoteError):
    """rclone's configuration does not define a remote of that name."""

    default_hint = gettext_noop(
        "Check DJANGO_RCLONE['REMOTE'], and that RCLONE_CONFIG or RCLONE_ENV defines that remote."
    )


class RemoteMisconfigured(RemoteError):
    """The settings or rclone's configuration describe no remote that rclone could use."""

    default_hint = gettext_noop(
        "Check the file in RCLONE_CONFIG, or rclone's own, and that the account of the site may read it."
    )


class RemotePlaceTaken(RemoteError):
    """A file is where a folder is needed: at ``REMOTE``, or below it."""

    default_hint = gettext_noop("Correct REMOTE, which has to name a folder, or move that file away.")


class RemoteUnreachable(RemoteError):
    """The remote's address does not answer, or not in time."""

    default_hint = gettext_noop("Check the network and the remote's address, then try again.")


class RemoteBusy(RemoteError):
    """The remote answers that it is temporarily unable to do this."""

    default_hint = gettext_noop("The storage itself reports this. Try again later.")


class RemoteDenied(RemoteError):
    """The remote refuses our credentials or lacks a permission."""

    default_hint = gettext_noop(
        "Check the remote's user, keys and permissions in the rclone configuration; of a local folder, its owner and permissions."
    )


class RemoteUndecryptable(RemoteDenied):
    """The passphrase does not match the stored data: it is wrong, or the stored bytes have changed."""


class RemoteFull(RemoteError):
    """The remote is full."""

    default_hint = gettext_noop("Free some space, or lower the retention and run “manage.py prunebackups”.")


class LocalFileError(BackupError):
    """A file or folder of this machine can't be read or written."""

    default_hint = gettext_noop("Check its owner and permissions, and the free space of its disk.")


class Stopped(BackupError):
    """The work was stopped from outside; it changed nothing."""

    default_hint = NOTHING_CHANGED


class Cancelled(Stopped):
    """A person or program requested the stop."""


class Interrupted(Stopped):
    """This process is ending."""


class LockLost(Interrupted):
    """Another process has closed the run, and may have started another one."""

    default_hint = gettext_noop(
        "It changed nothing after that. The run history says which run came after it."
    )

    def __init__(self) -> None:
        super().__init__(
            gettext_noop(
                "The run gave no heartbeat for too long, so another process closed it, and it stopped."
            )
        )


class Stalled(BackupError):
    """No byte moved for the stall timeout."""

    default_hint = gettext_noop(
        "Nothing was changed. A lock or a dead connection can cause this; STALL_TIMEOUT sets the limit."
    )
