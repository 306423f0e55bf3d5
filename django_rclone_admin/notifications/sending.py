"""Sends a message through every channel in ``NOTIFY``, each with a time limit."""

from __future__ import annotations

import functools
import logging
import uuid
from dataclasses import dataclass

from .. import wording
from ..exceptions import BackupError, gettext_noop
from . import words
from .bounded import Call, call_all
from .channels import ChannelError, Message, ping, send_apprise, send_email
from .chosen import options

logger = logging.getLogger("django_rclone_admin")

SECONDS = 20
"""Time limit for all channels together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of sending a message through one channel."""

    channel: str
    """``email``, ``apprise`` or ``ping``."""
    is_sent: bool
    sentence: str = ""
    """Why it was not sent. It contains no address."""
    hint: str = ""
    error: BackupError | None = None
    """The same, untranslated."""


def send(message: Message) -> list[Result]:
    """Send a message to people; return the result of each channel."""
    return _results(call_all(_to_people(message), seconds=SECONDS))


def send_test() -> list[Result]:
    """Send a test message through every channel, and ping the monitors; return one result for each."""
    calls = _to_people(words.test_message())
    chosen, run_id = options(), str(uuid.uuid4())
    addresses = {"": chosen.ping_url} if isinstance(chosen.ping_url, str) else chosen.ping_url
    for part, address in addresses.items():
        if address:
            calls[f"ping {part}".strip()] = functools.partial(ping, address, run_id)
    return _results(call_all(calls, seconds=SECONDS))


def _to_people(message: Message) -> dict[str, Call]:
    chosen, calls = options(), dict[str, Call]()
    if chosen.email:
        recipients = None if isinstance(chosen.email, bool) else chosen.email
        calls["email"] = functools.partial(send_email, message, recipients)
    if chosen.urls:
        calls["apprise"] = functools.partial(send_apprise, message, chosen.urls)
    return calls


def _results(outcomes: dict[str, object]) -> list[Result]:
    found = []
    for channel, outcome in outcomes.items():
        if isinstance(outcome, BaseException):
            error = outcome if isinstance(outcome, BackupError) else _unexpected(outcome)
            sentence, hint = wording.describe(error)
            logger.warning("A message could not be sent by %s: %s", channel, sentence)
            found.append(Result(channel=channel, is_sent=False, sentence=sentence, hint=hint, error=error))
        else:
            found.append(Result(channel=channel, is_sent=True))
    return found


def _unexpected(error: BaseException) -> ChannelError:
    """Return an error that names only the kind of another one, whose text may contain an address."""
    return ChannelError(gettext_noop("The message could not be sent: %(error)s."), error=type(error).__name__)
