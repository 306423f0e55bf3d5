"""The setting ``NOTIFY``: which events are announced, and where. Imports neither the settings nor Django."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self, TypeGuard
from urllib.parse import urlsplit

from .core.naming import MEDIA
from .suggestions import suggestion


class Event(StrEnum):
    """The events that can be announced."""

    FAILED = "failed"
    """A run failed."""
    UNHEALTHY = "unhealthy"
    """A health rule has found a problem."""
    RECOVERED = "recovered"
    """An announced problem is over."""
    CHECK_FAILED = "check_failed"
    """A check of a backup failed."""
    SUCCESS = "success"
    """A backup was made."""
    DIGEST = "digest"
    """A daily summary."""


USUAL = (Event.FAILED, Event.UNHEALTHY, Event.RECOVERED, Event.CHECK_FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyOptions:
    """The keys of ``NOTIFY``. ``repr`` hides the values, because addresses may contain secrets."""

    events: tuple[str, ...] = tuple(USUAL)
    email: bool | tuple[str, ...] = False
    """``True`` for the people in ``ADMINS``, or a list of addresses."""
    urls: tuple[str, ...] = field(default=(), repr=False)
    """Of Apprise."""
    ping_url: str | Mapping[str, str] = field(default="", repr=False)
    """Requested at the beginning and the end of each backup; or one address for each database and ``media``."""
    sentry: bool | None = None
    """Whether to send Sentry check-ins, if its SDK is set up; by default, if any other channel is set."""

    @classmethod
    def of(cls, notify: Mapping[str, Any]) -> Self:
        """Return the options of a ``NOTIFY`` dictionary."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in notify.items()
        }
        return cls(**values)

    @property
    def is_set(self) -> bool:
        """Whether any channel is set."""
        return bool(self.email or self.urls or self.ping_url or self.sentry)

    def ping_url_of(self, part: str) -> str:
        """Return the ping address of a database or of the media files; empty if not set."""
        return self.ping_url if isinstance(self.ping_url, str) else self.ping_url.get(part, "")


def problems_of_notify(notify: Mapping[str, Any], aliases: Iterable[str]) -> list[tuple[str, str]]:
    """Return the problems of ``NOTIFY``, as pairs of a message and a hint. They never show an address.

    :param aliases: the aliases of ``DATABASES``.
    """
    found = []
    for key, value in notify.items():
        if key == "events":
            found += _problems_of_events(value)
        elif key == "email":
            if not isinstance(value, bool) and not _are_texts(value):
                found.append(_wrong(key, "It must be True, for ADMINS, or a list of addresses."))
        elif key == "urls":
            if not _are_texts(value):
                found.append(_wrong(key, "It must be a list of addresses in Apprise's format."))
        elif key == "ping_url":
            found += _problems_of_ping(value, {*aliases, MEDIA})
        elif key == "sentry":
            if value is not None and not isinstance(value, bool):
                found.append(_wrong(key, "It must be True or False, or None."))
        else:
            known = ["events", "email", "urls", "ping_url", "sentry"]
            found.append((f"NOTIFY has an unknown key “{key}”.", suggestion(key, known, what="keys")))
    return found


def _wrong(key: str, hint: str) -> tuple[str, str]:
    return f"NOTIFY[“{key}”] has the wrong type.", hint


def _are_texts(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, list | tuple) and all(isinstance(each, str) and each for each in value)


def _problems_of_events(value: object) -> list[tuple[str, str]]:
    if not _are_texts(value):
        return [_wrong("events", f"It must be a list of these: {', '.join(Event)}.")]
    return [
        (f"NOTIFY[“events”] names an unknown event “{each}”.", suggestion(each, list(Event), what="events"))
        for each in value
        if each not in list(Event)
    ]


def _problems_of_ping(value: object, parts: set[str]) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        unknown = [each for each in value if each not in parts]
        found = [
            (
                f"NOTIFY[“ping_url”] names an unknown database “{each}”.",
                suggestion(each, sorted(parts), what="databases"),
            )
            for each in unknown
        ]
        return found + [
            each for address in value.values() for each in _problems_of_ping(address or None, parts)
        ]
    if value == "":
        return []
    if not isinstance(value, str) or not _is_web_address(value):
        hint = "It must be an address that begins with https:// or http://, or a dictionary of databases to addresses."
        return [("NOTIFY[“ping_url”] is not a web address.", hint)]
    return []


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
