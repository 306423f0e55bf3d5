"""The channels: e-mail, Apprise and the dead-man ping. Each call may hang; :mod:`.bounded` limits its time.

The text of an error may contain an address with a secret, so only the kind of an error is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from django.conf import settings as django_settings
from django.core import mail

from ..exceptions import BackupError, UsageError, gettext_noop

PING_SECONDS = 5
"""For each step of a ping."""
MAIL_SECONDS = 15
"""For each step of an e-mail, where the project has set no limit of its own. Without one, a server that has gone silent
would keep this process from ever sending mail again."""
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
    addresses = _administrators() if recipients is None else list(recipients)
    if recipients is None and not addresses:
        raise UsageError(
            gettext_noop("E-mail has no recipients: ADMINS is empty."),
            hint=gettext_noop("Name people in ADMINS, or addresses in NOTIFY[“email”]."),
        )
    try:
        subject = f"{django_settings.EMAIL_SUBJECT_PREFIX}{message.title}"
        letter = mail.EmailMessage(subject, message.body, django_settings.SERVER_EMAIL, addresses)
        with _mailer() as mailer:  # Django 4.2 leaves the connection open when the server refuses
            mailer.send_messages([letter])
    except Exception as error:  # noqa: BLE001  (each service raises errors of its own)
        code = getattr(error, "smtp_code", "")  # what the server says beside it may show addresses
        raise ChannelError(
            gettext_noop("The e-mail could not be sent: %(error)s."),
            error=f"{type(error).__name__} {code}".strip(),
        ) from None


def _administrators() -> list[str]:
    """Return the addresses in ``ADMINS``: pairs of a name and an address, or addresses alone, as newer releases have them."""
    return [each if isinstance(each, str) else each[1] for each in django_settings.ADMINS]


def _mailer() -> Any:
    """Return what sends the project's e-mail, which waits for a limited time."""
    mailers: Any = getattr(mail, "mailers", None)  # from Django 6.1 on
    mailer: Any = mail.get_connection() if mailers is None else mailers.default
    if getattr(mailer, "timeout", MAIL_SECONDS) is None:
        mailer.timeout = MAIL_SECONDS
    return mailer


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

    from .own_host import OwnHost

    parts = urlsplit(address)
    path = f"{parts.path.rstrip('/')}/{outcome}" if outcome else parts.path
    query = "&".join(filter(None, (parts.query, urlencode({"rid": run_id}))))
    request = urllib.request.Request(  # noqa: S310  (the settings check allows only http and https)
        urlunsplit((parts.scheme, parts.netloc, path, query, "")),
        headers={"User-Agent": "django-rclone-admin"},
    )
    try:
        with urllib.request.build_opener(OwnHost).open(request, timeout=PING_SECONDS) as answer:
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
