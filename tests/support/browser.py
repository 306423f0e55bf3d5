"""A real browser, and the shop's real site in a process of its own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

from tests.support import leaks
from tests.support.commands import done
from tests.support.servers import missing
from tests.support.site import Shop
from tests.support.waiting import wait_for
from tests.support.web import SiteServer

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT = 20_000
"""Milliseconds that anything on a page may take."""

REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("policy violated:", event.violatedDirective, event.blockedURI, event.sourceFile, event.lineNumber));
"""

SESSION = "session"
"""Name of the file in the home of a shop that has the key of a session of ``admin``."""

LOG_IN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.get(username="admin"))
print(client.cookies["sessionid"].value)
"""


def with_superuser(shop: Shop) -> None:
    """Let ``admin`` sign in to a shop, and be signed in there with what ``SESSION`` has; a step of ``make_shop``."""
    done(shop, "seedshop", "--superuser")
    (shop.home / SESSION).write_text(done(shop, "shell", "--verbosity=0", "-c", LOG_IN).strip())


def launch(playwright: Playwright) -> Browser:
    """Start Chromium: the one of the system, else Playwright's own."""
    program = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
    if not Path(program).exists():
        missing("Chromium is not installed")
    return playwright.chromium.launch(executable_path=program, args=list(FLAGS))


class Visitor:
    """Somebody who looks at the site, and to whom nothing may go wrong unnoticed."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.address = address
        self.troubles: list[str] = []
        """What the console complained about."""
        self.context: BrowserContext = browser.new_context(
            base_url=address, reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(TIMEOUT)
        self.context.add_init_script(REPORT_VIOLATIONS)
        self.context.on("console", self._listen)
        self.context.on("weberror", lambda error: self.troubles.append(f"uncaught: {error.error}"))
        self.page: Page = self.context.new_page()

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text} ({message.location})")

    def add_session(self, shop: Shop) -> None:
        """Have somebody come back who has signed in before; see ``with_superuser``."""
        key = (shop.home / SESSION).read_text()
        self.context.add_cookies([{"name": "sessionid", "value": key, "url": self.address}])

    def sign_in(self, name: str = "admin", page: str = "/admin/django_rclone_admin/backup/") -> None:
        """Sign in and go to a page."""
        self.page.goto(f"/admin/login/?next={page}")
        self.fill_in_login(name)

    def fill_in_login(self, name: str = "admin") -> None:
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", "admin")
        self.page.press("#id_password", "Enter")
        self.page.wait_for_selector("#user-tools")


@contextmanager
def serving(shop: Shop) -> Iterator[tuple[str, Path]]:
    """Run the shop's site; give its address and its log."""
    with SiteServer(shop) as server:
        yield server.address, server.log
        # What a page that was left has asked for is still at work.
        wait_for(lambda: not leaks.descendants(server.process.pid), 10)
