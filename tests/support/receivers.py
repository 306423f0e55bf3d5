"""Who is told: a mail server, a monitor that is pinged, and services that never answer. All on loopback."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import django
from aiosmtpd.controller import Controller

from tests.support.servers import free_port


def mail_settings(port: int, timeout: int | None = None) -> dict[str, Any]:
    """Return the settings of a site that sends by the mail server on a port, as this release of Django has them."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION < (6, 1):
        sender = {"EMAIL_BACKEND": backend, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port}
        return {**sender, "EMAIL_TIMEOUT": timeout, "ADMINS": [("Ann", "ann@example.com")]}
    mailer = {"BACKEND": backend, "OPTIONS": {"host": "127.0.0.1", "port": port, "timeout": timeout}}
    return {"MAILERS": {"default": mailer}, "ADMINS": ["ann@example.com"]}


@dataclass(kw_only=True)
class MailServer:
    """A mail server, and what it has accepted."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    answer: str = "250 OK"
    """What it says to a mail. It keeps only those that it accepts."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content))
        return self.answer

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a site that sends by it."""
        return mail_settings(self.port)

    @property
    def subjects(self) -> list[str]:
        return [" ".join(str(_decoded(each["Subject"])).split()) for each in self.mails]

    @property
    def bodies(self) -> list[str]:
        return [each.get_payload(decode=True).decode() for each in self.mails]


def _decoded(text: str) -> str:
    from email.header import decode_header, make_header

    return str(make_header(decode_header(text)))


@contextlib.contextmanager
def mail_server() -> Iterator[MailServer]:
    """Run a mail server."""
    server = MailServer()
    controller = Controller(server, hostname="127.0.0.1", port=free_port())
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()


@dataclass(kw_only=True)
class Monitor:
    """A web server, and what it was asked."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    """Their paths with the query."""
    bodies: list[bytes] = field(default_factory=list)
    status: int = 200
    location: str = ""
    """Where it sends on who asks, the first time."""


@contextlib.contextmanager
def monitor() -> Iterator[Monitor]:
    """Run a monitor that is pinged."""
    found = Monitor()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            found.bodies.append(self.rfile.read(length))
            found.requests.append(self.path)
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
                found.location, found.status = "", 200
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 (its name)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def silent_service() -> Iterator[int]:
    """Open a port that accepts connections and never says a word; give its number. The end hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in accepted:
            each.close()
