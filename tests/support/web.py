"""The shop's real site, in the web servers that people run, and somebody who is signed in there."""

from http.cookiejar import CookieJar
from pathlib import Path
from subprocess import Popen
from typing import Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

from django.contrib.auth.hashers import make_password

from django_rclone_admin.executors import ThreadExecutor
from tests.support import leaks
from tests.support.servers import free_port
from tests.support.site import REPOSITORY, Shop
from tests.support.waiting import wait_for

WSGI, ASGI = "django.core.wsgi:get_wsgi_application()", "django.core.asgi:get_asgi_application"

GUNICORN = ("gunicorn", "--bind={address}", "--workers=1", "--pythonpath={repository}", WSGI)
UVICORN = ("uvicorn", "--host={host}", "--port={port}", "--app-dir={repository}", "--factory", ASGI)
SERVERS = {
    "runserver": ("django", "runserver", "--noreload", "{address}"),
    "gunicorn-sync": (*GUNICORN, "--worker-class=sync"),
    "gunicorn-gthread": (*GUNICORN, "--worker-class=gthread", "--threads=4"),
    "uvicorn": UVICORN,
    "uvicorn-workers": (*UVICORN, "--workers=2"),
}
"""Module that is run, and its arguments."""

RECYCLE = {
    "gunicorn-sync": "--max-requests=10",
    "gunicorn-gthread": "--max-requests=10",
    "uvicorn": "--limit-max-requests=10",
    "uvicorn-workers": "--limit-max-requests=10",
}
"""What makes a worker end after ten requests."""


class WebServer:
    """One server of the shop's site: one of ``SERVERS``."""

    def __init__(self, shop: Shop, kind: str, *arguments: str) -> None:
        self.shop, self.kind = shop, kind
        host, port = "127.0.0.1", free_port()
        self.address = f"http://{host}:{port}"
        self.log = shop.home / f"{kind}-{port}.log"
        places = {"host": host, "port": port, "address": f"{host}:{port}", "repository": REPOSITORY}
        command = [each.format(**places) for each in SERVERS[kind]]
        self.process = self.start(*command, *arguments)

    def start(self, *command: str) -> Popen[bytes]:
        """Start the program of the server as people do."""
        return self.shop.serve("-m", *command, log=self.log)

    def __enter__(self) -> Self:
        wait_for(lambda: self.is_over or self.is_whole())
        assert not self.is_over, self.log.read_text()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the server, which may have ended; what it was asked to do has to end with it."""
        self.shop.end(self.process)

    def answers(self) -> bool:
        """Whether the site can be used."""
        try:
            with urlopen(f"{self.address}/admin/login/", timeout=10):  # noqa: S310  (our own address)
                return True
        except (URLError, OSError):
            return False

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def is_whole(self) -> bool:
        """Whether the site can be used, and every process of it has begun."""
        workers, log = self.workers(), self.log.read_text()
        started = all(f"{pid}" in log for pid in workers - {self.process.pid})
        return bool(workers) and started and self.answers()

    def workers(self) -> set[int]:
        """Return the ids of the processes that answer requests."""
        children = leaks.children_of(self.process.pid)
        if self.kind == "uvicorn-workers":  # and something that keeps books on shared memory
            return {pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}
        return children if self.kind.startswith("gunicorn") else {self.process.pid}


class SiteServer(WebServer):
    """The shop's site where no test asks how a server starts: sooner, by a fork."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop, "runserver")

    def start(self, *command: str) -> Popen[bytes]:
        return self.shop.serve_site(command[-1], self.log)


class Member:
    """Somebody of the staff, signed in by the forms of the site."""

    def __init__(self, server: WebServer, name: str = "admin") -> None:
        self.server = server
        self.cookies = CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.cookies))
        self.read("/admin/login/")
        self.post("/admin/login/?next=/admin/jsi18n/", username=name, password=name)

    def read(self, page: str) -> str:
        """Return a page, with a connection of its own."""
        with self.opener.open(self.server.address + page, timeout=30) as response:
            text: str = response.read().decode()
        return text

    def post(self, page: str, **fields: str) -> str:
        """Fill in a form."""
        token = next(each.value for each in self.cookies if each.name == "csrftoken")
        data = urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        with self.opener.open(self.server.address + page, data, timeout=30) as response:
            text: str = response.read().decode()
        return text


def add_admin(shop: Shop) -> None:
    """Let ``admin`` sign in to the shop with the password ``admin``."""
    password = make_password("admin")
    columns = (
        "username, password, is_superuser, is_staff, is_active, date_joined, first_name, last_name, email"
    )
    values = f"'admin', '{password}', TRUE, TRUE, TRUE, '2026-01-01 00:00:00', '', '', ''"
    shop.execute(f"INSERT INTO auth_user ({columns}) VALUES ({values})")


class OneThread(ThreadExecutor):
    """The default executor where it has a single thread, so that every second run has to wait."""

    workers = 1
