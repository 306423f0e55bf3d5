"""The channels: e-mail, Apprise and the dead-man ping. Each call may hang; :mod:`.bounded` limits its time.

The text of an error may contain an address with a secret, so only the kind of an error is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from django.conf import settings as django_settings
from django.core.mail import EmailMessage, mail_admins

from ..exceptions import BackupError, UsageError, gettext_noop

PING_SECONDS = 5
"""For each step of a ping."""
SUBJECT_CHARACTERS = 180


class ChannelError(BackupError):
    """A message could not be sent."""

    default_hint = gettext_noop("Check NOTIFY, and that the service answers.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to people."""

    subject: str
    body: str

    @property
    def title(self) -> str:
        """The subject on one short line: a line break would start another header."""
        line = " ".join(self.subject.split())
        return line if len(line) <= SUBJECT_CHARACTERS else f"{line[: SUBJECT_CHARACTERS - 1]}…"


def send_email(message: Message, recipients: Sequence[str] | None) -> None:
    """Send an e-mail, with the subject prefix and the sender that Django uses for ``ADMINS``.

    :param recipients: addresses, or ``None`` for ``ADMINS``.
    :raises BackupError: the mail server did not accept it.
    """
    if recipients is None and not django_settings.ADMINS:
        raise UsageError(
            gettext_noop("E-mail has no recipients: ADMINS is empty."),
            hint=gettext_noop("Name people in ADMINS, or addresses in NOTIFY[“email”]."),
        )
    try:
        if recipients is None:
            mail_admins(message.title, message.body)
            return
        subject = f"{django_settings.EMAIL_SUBJECT_PREFIX}{message.title}"
        EmailMessage(subject, message.body, django_settings.SERVER_EMAIL, list(recipients)).send()
    except Exception as error:  # noqa: BLE001  (each service raises its own errors)
        raise ChannelError(
            gettext_noop("The e-mail could not be sent: %(error)s."), error=type(error).__name__
        ) from None


def send_apprise(message: Message, urls: Sequence[str]) -> None:
    """Send a message through Apprise.

    :raises BackupError: Apprise is not installed, or one of its services failed.
    """
    try:
        import apprise  # an extra, and slow to import
    except ImportError:
        raise UsageError(
            gettext_noop("Apprise is not installed."),
            hint=gettext_noop("Install it with “pip install django-rclone-admin[notify]”."),
        ) from None
    try:
        services = apprise.Apprise()
        are_known = [services.add(each) for each in urls]
        was_sent = services.notify(title=message.title, body=message.body)
    except Exception as error:  # noqa: BLE001  (each service raises its own errors)
        raise ChannelError(
            gettext_noop("Apprise could not send the message: %(error)s."), error=type(error).__name__
        ) from None
    if not all(are_known) or not was_sent:
        raise ChannelError(gettext_noop("Apprise could not send the message to all of NOTIFY[“urls”]."))


def ping(address: str, run_id: str, outcome: str = "") -> None:
    """Request the address of a dead-man's switch.

    :param run_id: sent as ``rid``, so that the monitor can distinguish runs.
    :param outcome: ``start``, ``fail``, or empty for a success.
    :raises ChannelError: the monitor did not answer, or reported an error.
    """
    import urllib.error
    import urllib.request  # with all that speaks HTTP: few sites have a monitor

    parts = urlsplit(address)
    path = f"{parts.path.rstrip('/')}/{outcome}" if outcome else parts.path
    query = "&".join(filter(None, (parts.query, urlencode({"rid": run_id}))))
    request = urllib.request.Request(  # noqa: S310  (the settings check allows only http and https)
        urlunsplit((parts.scheme, parts.netloc, path, query, "")),
        headers={"User-Agent": "django-rclone-admin"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PING_SECONDS) as answer:  # noqa: S310  (as above)
            answer.read(1000)
    except urllib.error.HTTPError as error:
        error.close()
        raise ChannelError(
            gettext_noop("The monitor answered with status %(status)d."), status=error.code
        ) from None
    except Exception as error:  # noqa: BLE001  (each service raises its own errors)
        raise ChannelError(
            gettext_noop("The monitor could not be pinged: %(error)s."), error=type(error).__name__
        ) from None
