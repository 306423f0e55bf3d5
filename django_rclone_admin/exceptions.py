"""Everything that can go wrong, each with one sentence for a person and a hint on what to do.

No Django here, so that the core can raise these. A message is a template plus parameters: the English text is
``str(error)``, and the Django side translates the template (see :mod:`django_rclone_admin.wording`).
"""

from __future__ import annotations

from typing import Any


def gettext_noop(message: str) -> str:
    """Mark a message for translation where Django must not be imported."""
    return message


NOTHING_CHANGED = gettext_noop("Nothing was changed.")


def restate(hint: str, claim: str, changed: str) -> str:
    """Return a hint with what is true in the place of the claim that it begins with.

    :param claim: “Nothing was changed.”: all that whoever raised the error could know.
    :param changed: what the work had changed before, as a sentence; an empty string leaves the hint as it is.
    """
    return f"{changed} {hint.removeprefix(claim).lstrip()}".rstrip() if changed else hint


class BackupError(Exception):
    """The base of all our errors.

    :param template: one sentence, with ``%(name)s`` placeholders.
    :param hint: what the operator can do about it; may use the same placeholders.
    :param params: the values; they must never hold a secret.
    """

    exit_code = 1
    default_hint = ""
    changed = ""
    """What the work had changed before it failed, as a sentence; then the hint can't say that nothing was changed."""

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
    """No such backup in the listing."""

    default_hint = gettext_noop("See what there is with “manage.py listbackups --all”.")


class BackupDamaged(BackupError):
    """The stored bytes are not those that were written."""

    default_hint = gettext_noop(
        "Nothing was changed. Choose another backup: “manage.py listbackups” shows the state of each."
    )


class WrongFormat(BackupError):
    """The bytes are not in a format that the connector can restore."""

    default_hint = gettext_noop(
        "Nothing was changed. Check that this backup was made from a database of the same engine."
    )


class EmptyDump(BackupError):
    """The dump program succeeded and wrote nothing."""

    default_hint = gettext_noop("Nothing was stored. Run the dump program by hand to see what it says.")


class CheckFailed(BackupError):
    """A backup did not pass a check."""

    default_hint = gettext_noop("Check the backup again later, or make a new one.")


class NotChecked(BackupError):
    """A check could not be carried out; nothing was found out about the backup."""

    default_hint = gettext_noop("A lower level may be possible: see “manage.py verifybackups --help”.")


class RestoreRefused(BackupError):
    """The restore would not do what the caller expects, so it was not begun."""


class ProgramMissing(BackupError):
    """A program that we need is not installed or not on the path."""


class NoPrivateFolder(BackupError):
    """There is no folder for temporary files, or it can't be written to."""

    default_hint = gettext_noop("Set TMPDIR to a folder that this account may write to, with room to spare.")


class ProgramFailed(BackupError):
    """A program ended with an error; the message has its last words."""


class OutcomeUnknown(ProgramFailed):
    """Nobody can tell whether the last step, which replaces the live data, was carried out."""

    default_hint = gettext_noop(
        "The restore may have been committed. Check the data before you run it again."
    )


class HalfDone(ProgramFailed):
    """The last step was carried out in part; the message and the hint say which."""


class RemoteError(BackupError):
    """rclone could not do what was asked of the remote."""

    default_hint = gettext_noop(
        "Try the same with rclone itself, such as “rclone lsd REMOTE”, to see what it says."
    )


class RemoteUnknown(RemoteError):
    """rclone's configuration has no remote of that name."""

    default_hint = gettext_noop(
        "Check DJANGO_RCLONE['REMOTE'], and that RCLONE_CONFIG or RCLONE_ENV defines that remote."
    )


class RemoteUnreachable(RemoteError):
    """Nothing answers at the remote's address, or not in time."""

    default_hint = gettext_noop("Check the network and the remote's address, then try again.")


class RemoteBusy(RemoteError):
    """The remote answers, and says that it can't do it now."""

    default_hint = gettext_noop("The storage itself reports this. Try again later.")


class RemoteDenied(RemoteError):
    """The remote refuses our credentials or lacks a permission."""

    default_hint = gettext_noop("Check the remote's user, keys and permissions in the rclone configuration.")


class RemoteUndecryptable(RemoteDenied):
    """The password does not fit what is stored: it is wrong, or the stored bytes have changed."""


class RemoteFull(RemoteError):
    """The remote has no space left."""

    default_hint = gettext_noop("Free some space, or lower the retention and run “manage.py prunebackups”.")


class LocalFileError(BackupError):
    """A file or folder of this machine can't be read or written."""

    default_hint = gettext_noop("Check its owner and permissions, and the free space of its disk.")


class Stopped(BackupError):
    """The work was stopped from outside before its end; nothing was changed by it."""

    default_hint = NOTHING_CHANGED


class Cancelled(Stopped):
    """Somebody asked for it."""


class Interrupted(Stopped):
    """Our process is going down."""


class LockLost(Interrupted):
    """Another process has closed the run, and may have begun another one in its place."""

    default_hint = gettext_noop(
        "It changed nothing after that. The run history says which run came after it."
    )

    def __init__(self) -> None:
        super().__init__(
            gettext_noop(
                "The run had given no heartbeat for too long, so another process closed it, and it stopped."
            )
        )


class Stalled(BackupError):
    """No byte moved for the stall timeout."""

    default_hint = gettext_noop(
        "Nothing was changed. A lock or a dead connection can cause this; STALL_TIMEOUT sets the limit."
    )
