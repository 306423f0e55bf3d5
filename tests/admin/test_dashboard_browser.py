"""The dashboard in a real browser, under a content security policy that allows nothing inline."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.browser import TIMEOUT, Visitor, launch, serving, with_superuser
from tests.support.faults import add_noise
from tests.support.keyboard import walk
from tests.support.matrix import sampled
from tests.support.site import Shop
from tests.support.waiting import patience, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIST = "/admin/django_rclone_admin/backup/"
RUNS = "/admin/django_rclone_admin/backuprun/"
OPENED = "/admin/django_rclone_admin/openedbackup/"
SCHEDULES = "/admin/django_rclone_admin/backupschedule/"

# Without its read-ahead, rclone takes no byte before its time.
SLOW = ["--bwlimit=600k", "--buffer-size=0"]
VERY_SLOW = ["--bwlimit=20k", "--buffer-size=0"]

# Looks at the page while the run goes on, in the page itself: a look from outside may come too late.
WATCH_BAR = """
window.isStillTheSamePage = true;
window.seen = [];
new MutationObserver(() => {
  const bar = document.querySelector(".dra-run progress[value]");
  if (bar && window.seen.at(-1) !== bar.value) window.seen.push(bar.value);
}).observe(document.body, {childList: true, subtree: true});
"""


CUT = """() => [document.documentElement, ...document.querySelectorAll("#content .results, #content .paginator")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.outerHTML.slice(0, 80))"""
"""What is wider than its place."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the module: its event loop must not run while other tests use the database."""
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_site(make_shop: Callable[..., Shop], browser: Browser) -> Iterator[Callable[..., Any]]:
    """Open a shop with its site: ``shop, visit = open_site("postgresql", SAFETY_BACKUP=False)``.

    ``visit(**options)`` opens a browser window that is signed in; whatever is wrong in it fails the test. With a name,
    somebody signs in there by the form.
    """
    visitors: list[Visitor] = []
    logs: list[Path] = []
    with ExitStack() as servers:

        def open_(database: str = "sqlite", **django_rclone: object) -> tuple[Shop, Callable[..., Visitor]]:
            shop = make_shop(database, prepare=with_superuser, **{"COMPRESSION": None, **django_rclone})
            started: list[str] = []

            def visit(page: str = LIST, name: str = "", **options: Any) -> Visitor:
                if not started:
                    address, log = servers.enter_context(serving(shop))
                    started.append(address)
                    logs.append(log)
                visitor = Visitor(browser, started[0], **options)
                visitors.append(visitor)
                if name:
                    visitor.sign_in(name, page)
                else:
                    visitor.add_session(shop)
                    visitor.page.goto(page)
                return visitor

            return shop, visit

        yield open_
        for visitor in visitors:
            visitor.context.close()
    for log in logs:
        assert "Traceback" not in log.read_text()
    assert [trouble for visitor in visitors for trouble in visitor.troubles] == []


def backed_up(shop: Shop, *arguments: str) -> str:
    result = shop.manage("dbbackup", "--json", *arguments)
    assert result.code == 0, result.err
    return str(result.json["path"]).removeprefix("db/")


def run_of(page: Page, status: str) -> Locator:
    return page.locator(f".dra-run.dra-{status}")


def choose(page: Page, name: str, action: str) -> None:
    """Tick a backup in the list and carry out an action on it."""
    page.get_by_role("row").filter(has_text=name).get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option(label=action)
    page.get_by_role(
        "button",
        name="Run" if page.get_by_role("button", name="Run", exact=True).count() else "Go",
        exact=True,
    ).click()


# -- what it is for -----------------------------------------------------------------------------------------------------


def tick_only(page: Page, label: str) -> None:
    """Leave one box ticked of what can be backed up."""
    for box in page.locator(".dra-choices input[type=checkbox]").all():
        box.uncheck()
    page.get_by_label(label, exact=True).check()


@pytest.mark.in_turns("database")
@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_a_backup_is_watched_and_restored(open_site, database):
    shop, visit = open_site(database, RCLONE_FLAGS=SLOW)
    add_noise(shop, 40_000)  # many times what the pipes hold
    shop.settings["DJANGO_RCLONE"]["RCLONE_FLAGS"] = []
    backed_up(shop)
    shop.settings["DJANGO_RCLONE"]["RCLONE_FLAGS"] = SLOW
    page = visit().page
    expect(page.locator(".dra-card").filter(has_text="default")).to_contain_text("protected")
    page.get_by_role("link", name="Choose…").click()
    tick_only(page, "default")
    page.get_by_label("Label").fill("before the move")
    page.get_by_role("button", name="Back up now").click()

    page.wait_for_selector(".dra-run.dra-running progress")
    page.evaluate(WATCH_BAR)
    # By the limit of the bandwidth, the larger dump of PostgreSQL takes some twenty seconds.
    expect(run_of(page, "succeeded")).to_be_visible(timeout=3 * TIMEOUT)
    seen = page.evaluate("window.isStillTheSamePage && window.seen")
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert page.locator(".dra-run progress").count() == 0
    before = shop.rows(ignore=["django_session", "django_admin_log"])

    shop.execute("DELETE FROM shop_orderline")
    shop.execute("UPDATE shop_product SET price = 0")
    page.goto(LIST)
    choose(page, "before the move", "Restore selected")
    expect(page.get_by_role("heading", name="Restore default?")).to_be_visible()
    page.get_by_label("Type “default” to confirm").fill("analytics")
    page.get_by_role("button", name="Restore default").click()
    expect(page.locator(".errorlist")).to_contain_text("Type “default” to confirm.")
    page.get_by_label("Type “default” to confirm").fill("default")
    page.get_by_role("button", name="Restore default").click()
    page.wait_for_url(f"**{RUNS}**")
    page.evaluate("window.isStillTheSamePage = true")
    expect(run_of(page, "succeeded")).to_be_visible(timeout=6 * TIMEOUT)  # a safety backup, and the download
    assert page.evaluate("window.isStillTheSamePage")
    assert shop.rows(ignore=["django_session", "django_admin_log"]) == before
    expect(page.get_by_role("link", name="Undo this restore")).to_be_visible()


def test_the_list_shows_what_its_button_started(open_site):
    shop, visit = open_site("sqlite", RCLONE_FLAGS=SLOW)
    add_noise(shop)
    page = visit().page
    expect(page.locator(".dra-card").filter(has_text="default")).to_contain_text("at risk")
    page.get_by_role("button", name="Back up everything").click()
    expect(page.locator(".dra-run")).to_have_count(3)
    page.evaluate("window.isStillTheSamePage = true")
    # Each ends where it stands, and the panel above is drawn anew.
    expect(run_of(page, "succeeded")).to_have_count(3)
    expect(page.locator(".dra-card").filter(has_text="default")).to_contain_text("protected")
    assert page.evaluate("window.isStillTheSamePage")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)


@pytest.mark.in_turns("database")
@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_a_long_backup_is_cancelled_at_once(open_site, database):
    shop, visit = open_site(database, RCLONE_FLAGS=VERY_SLOW)
    add_noise(shop)
    page = visit(f"{LIST}run/").page
    tick_only(page, "default")
    page.get_by_role("button", name="Back up now").click()
    expect(run_of(page, "running")).to_be_visible()
    wait_for(lambda: any("partial" in name for name in shop.names()))
    page.get_by_role("button", name="Cancel").focus()
    page.evaluate("document.querySelector('.dra-run').dataset.polled = 'not yet'")
    page.wait_for_selector(".dra-run.dra-running:not([data-polled])")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(run_of(page, "cancelled")).to_be_visible(timeout=5_000 * patience())
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert shop.names() == []


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until a control has the focus, which has to be seen."""
    for _press in range(60):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            break
    expect(target).to_be_focused()
    outline = target.evaluate(
        "element => { const s = getComputedStyle(element); return s.outlineStyle + s.boxShadow; }"
    )
    background = target.evaluate("element => getComputedStyle(element).backgroundColor")
    assert outline != "nonenone" or background, target


def test_a_restore_by_keyboard_that_replaces_the_sessions_says_so_and_leads_back(open_site):
    _shop, visit = open_site("sqlite", backed_up=True, SAFETY_BACKUP=False)
    visitor = visit(name="admin")  # with a session that the backup does not have
    page = visitor.page
    tab_to(page, page.get_by_role("button", name="Back up everything"))
    tab_to(page, page.get_by_role("link", name="Choose…"))
    tab_to(page, page.get_by_role("button", name="Refresh"))
    tab_to(page, page.locator("#result_list tbody th a"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Restore", exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Type “default” to confirm"))
    page.keyboard.type("default")
    tab_to(page, page.get_by_role("button", name="Restore default"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{RUNS}**")
    expect(page.get_by_role("alert")).to_contain_text("The restore succeeded. Log in again.")
    expect(page.get_by_role("heading", name="Restore of default succeeded")).to_be_visible()
    page.reload()  # nor is that a login page without a word
    expect(page.get_by_role("alert")).to_contain_text("The restore succeeded. Log in again.")
    page.get_by_role("link", name="Log in", exact=True).first.click()
    visitor.fill_in_login()
    expect(run_of(page, "succeeded")).to_be_visible()
    expect(page.get_by_role("heading", name="Restore of default succeeded")).to_be_visible()
    assert RUNS in page.url


def test_somebody_signed_out_while_watching_is_told_and_led_back(open_site):
    shop, visit = open_site("sqlite", RCLONE_FLAGS=SLOW)
    add_noise(shop)
    visitor = visit(f"{LIST}run/")
    page = visitor.page
    tick_only(page, "default")
    page.get_by_role("button", name="Back up now").click()
    expect(run_of(page, "running")).to_be_visible()
    shop.execute("DELETE FROM django_session")
    expect(page.get_by_role("alert")).to_contain_text("You have been logged out.")
    expect(page.get_by_role("alert")).to_contain_text("The run succeeded. Log in again.")
    page.get_by_role("link", name="Log in").click()
    visitor.fill_in_login()
    expect(run_of(page, "succeeded")).to_be_visible()


@pytest.mark.soak  # what the pages say then is also in test_dashboard_pages, without a browser
def test_a_remote_that_is_down_is_said_on_the_page(open_site):
    _shop, visit = open_site("sqlite", REMOTE=':webdav,url="http://127.0.0.1:9":backups')
    page = visit().page
    expect(page.locator(".dra-headline.dra-critical")).to_contain_text("The remote does not answer.")
    expect(page.get_by_text("The remote can't be reached")).to_have_count(1)
    expect(page.get_by_role("heading", name="The list can't be loaded.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.get_by_role("link", name="Choose…").click()
    tick_only(page, "analytics")
    page.get_by_role("button", name="Back up now").click()
    expect(run_of(page, "failed")).to_contain_text("The remote can't be reached")
    expect(run_of(page, "failed")).to_contain_text("Check the network")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


# -- media --------------------------------------------------------------------------------------------------------------


@pytest.mark.in_turns("java_script_enabled")
@pytest.mark.parametrize("java_script_enabled", [True, False], ids=["script", "no-script"])
def test_media_are_backed_up_looked_through_and_restored(open_site, java_script_enabled):
    shop, visit = open_site("sqlite")
    media = shop.home / "media"
    before = {path: path.read_bytes() for path in media.rglob("*") if path.is_file()}
    first, second, *_others = sorted(before)
    page = visit(f"{LIST}run/", java_script_enabled=java_script_enabled).page
    for database in ("analytics", "default"):
        page.get_by_label(database, exact=True).uncheck()
    page.get_by_label("Label").fill("before the move")
    page.get_by_role("button", name="Back up now").click()
    wait_for(lambda: shop.execute("SELECT 1 FROM django_rclone_admin_backuprun WHERE lock IS NULL"))
    page.goto(LIST)
    if java_script_enabled:
        card = page.locator(".dra-card").filter(has_text="media files")
        expect(card).to_contain_text("protected")
        expect(card).to_contain_text(f"{len(before)} files")
    first.unlink()
    second.write_bytes(b"changed")
    (media / "since then.txt").write_text("new")

    page.get_by_role("row").filter(has_text="media files").locator("th a").click()
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_label("Path").fill(second.name)
    page.get_by_role("button", name="Search").click()
    row = page.get_by_role("row").filter(has_text=second.name)
    with page.expect_download() as downloading:
        row.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename == second.name
    assert downloading.value.path().read_bytes() == before[second]
    row.get_by_role("link", name="Restore").click()
    confirm(page, "Restore this file", "Replaced: 1 file", java_script_enabled=java_script_enabled)
    assert second.read_bytes() == before[second]
    assert not first.exists()

    page.goto(LIST)
    choose(page, "media files", "Restore selected")
    expect(page.get_by_role("heading", name="Restore the media files?")).to_be_visible()
    confirm(page, "Restore the media files", "Added: 1 file", java_script_enabled=java_script_enabled)
    assert {path: path.read_bytes() for path in media.rglob("*") if path.is_file()} == before


def confirm(page: Page, button: str, change: str, *, java_script_enabled: bool) -> None:
    """See what will change, which a page without JavaScript has to be asked for, type the word, and see it happen."""
    if not java_script_enabled:
        page.get_by_role("button", name="Show what will change").click()
    expect(page.locator("#difference")).to_contain_text(change)
    exact = page.get_by_label("Also remove")
    if exact.count():
        exact.check()
    page.get_by_label("Type “media” to confirm").fill("media")
    page.get_by_role("button", name=button).click()
    page.wait_for_url(f"**{RUNS}**")
    wait_for(lambda: (java_script_enabled or page.reload()) and run_of(page, "succeeded").count())


# -- for everybody ------------------------------------------------------------------------------------------------------


def test_everything_works_without_javascript(open_site):
    shop, visit = open_site("sqlite", RCLONE_FLAGS=SLOW, SAFETY_BACKUP=False)
    add_noise(shop, 12_000)
    page = visit(java_script_enabled=False).page
    page.get_by_role("link", name="Show the health").click()
    expect(page.get_by_text("There is no backup.").first).to_be_visible()
    page.goto(f"{LIST}run/")
    tick_only(page, "default")
    page.get_by_role("button", name="Back up now").click()
    expect(run_of(page, "running")).to_be_visible()
    address = page.url

    def has_ended() -> bool:
        with page.expect_navigation():
            page.get_by_role("link", name="Reload to see how it goes").click()
        return run_of(page, "running").count() == 0

    wait_for(has_ended)
    assert (
        page.url.partition("?")[0] == address
    )  # with a key, with which it is read even by somebody who is logged out by then
    expect(run_of(page, "succeeded")).to_be_visible()
    before = shop.rows(ignore=["django_session", "django_admin_log"])
    shop.execute("DELETE FROM shop_orderline")
    page.goto(LIST)
    choose(page, "default", "Restore selected")
    page.get_by_label("Type “default” to confirm").fill("default")
    page.get_by_role("button", name="Restore default").click()
    wait_for(lambda: page.reload() and run_of(page, "succeeded").count())
    assert shop.rows(ignore=["django_session", "django_admin_log"]) == before


@pytest.mark.soak  # which buttons a page has for whom is also in test_dashboard_permissions, without a browser
def test_who_may_only_look_sees_no_buttons(open_site):
    shop, visit = open_site("sqlite")
    name = backed_up(shop)
    code = """
from django.contrib.auth.models import Permission, User
looker = User.objects.create_user("looker", password="admin", is_staff=True)
looker.user_permissions.set(Permission.objects.filter(codename__in=["view_backup", "view_backuprun"]))
"""
    assert shop.manage("shell", "-c", code).code == 0
    page = visit(name="looker").page
    for address in (LIST, f"{LIST}db_2F{name}/change/", RUNS):
        page.goto(address)
        for button in (
            "Back up everything",
            "Choose…",
            "Restore",
            "Pin",
            "Delete",
            "Download",
            "Cancel",
            "Go",
        ):
            assert page.get_by_role("button", name=button, exact=True).count() == 0, (address, button)
            assert page.get_by_role("link", name=button, exact=True).count() == 0, (address, button)
    expect(page.get_by_text("1 run")).to_be_visible()


SETTLED = """() => Promise.allSettled(
  document.getAnimations().filter((each) => each instanceof CSSTransition).map((each) => each.finished))"""
"""Waits until no colour changes any more."""


COLOURFUL = (
    ".dra-run.dra-running progress",
    ".dra-run.dra-failed",
    ".dra-card",
    ".dra-changes",
    ".dra-record",
    ".dra-then-and-now",
    ".dra-plan",
    ".dra-headline",
)
"""What is on the pages that have all our colours between them."""


def violations(page: Page, **options: Any) -> dict[str, list[str]]:
    """Return what axe finds seriously wrong with a page: places by the rule."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    options = {"resultTypes": ["violations"], **options}
    response = page.evaluate("options => axe.run('#content', options)", options)
    return {
        each["id"]: [node["html"][:200] + " " + node["failureSummary"] for node in each["nodes"]][:3]
        for each in response["violations"]
        if each["impact"] in ("serious", "critical")
    }


@pytest.mark.parametrize("looks_at_all", sampled([False, True], False), ids=["hardest", "all"])
def test_axe_and_the_keyboard_find_nothing_wrong_on_any_page(open_site, looks_at_all):
    """In the dark scheme; the light one differs in its colours alone, of which few pages have all.

    Pages that are made of parts of other pages, or are Django's own, are for the soak.
    """
    shop, visit = open_site("sqlite", backed_up=True, RCLONE_FLAGS=VERY_SLOW)
    fast = {"RCLONE_FLAGS": []}
    slow = dict(shop.settings["DJANGO_RCLONE"])
    shop.settings["DJANGO_RCLONE"] = slow | fast | {"REMOTE": "nowhere:"}
    assert shop.manage("dbbackup").code == 1
    shop.settings["DJANGO_RCLONE"] = slow | fast
    pinned, name = shop.backup.removeprefix("db/"), backed_up(shop, "--database=analytics")
    damaged = re.sub(r"\d{4}", "2001", pinned, count=1)
    shop.remote.write(f"db/{damaged}", b"cut")
    shop.remote.write(f"db/{damaged}.manifest.json", shop.remote.read(f"db/{pinned}.manifest.json"))
    shop.remote.write(f"db/{pinned}.keep", b"")
    assert shop.manage("dbrestore", "--noinput", "--no-safety-backup", "--database=analytics").code == 0
    for picture in sorted((shop.home / "media" / "products").iterdir())[3:]:
        picture.unlink()  # each that is shown is fetched from the remote
    media = shop.manage("mediabackup", "--json").json["path"]
    (shop.home / "media" / "since then.txt").write_text("new")
    assert shop.manage("verifybackups", name).code == 0
    opened = shop.manage("openbackup", name, "--json").json["id"]
    shop.settings["DJANGO_RCLONE"] = slow
    add_noise(shop)
    runs = dict(shop.execute("SELECT status, id FROM django_rclone_admin_backuprun ORDER BY created_at DESC"))
    # The injected library is not ours to allow: this one window has no policy.
    page = visit(bypass_csp=True).page
    found = {}

    def narrow(address: str) -> None:
        """Look at the page on a telephone."""
        page.set_viewport_size({"width": 360, "height": 800})
        assert page.evaluate(CUT) == [], address
        page.set_viewport_size({"width": 1280, "height": 720})

    def look(address: str, ready: str = "#content-main") -> None:
        page.emulate_media(color_scheme="dark")
        page.goto(address)
        page.wait_for_selector(ready)
        wrong = violations(page) | walk(page)
        found.update({(address, kind): names for kind, names in wrong.items()})
        if address in (LIST, RUNS, SCHEDULES):
            narrow(address)
        if not (looks_at_all or ready in COLOURFUL):
            return
        page.emulate_media(color_scheme="light")
        page.evaluate(SETTLED)
        pale = violations(page, runOnly=["color-contrast"])
        found.update({(address, f"{kind} in the light scheme"): names for kind, names in pale.items()})

    page.goto(f"{LIST}run/")
    tick_only(page, "default")
    page.get_by_role("button", name="Back up now").click()
    expect(run_of(page, "running")).to_be_visible()
    running = page.url
    look(running, ".dra-run.dra-running progress")
    look(LIST, ".dra-card")
    # With the admin's own sidebar open, in a window of 1280 px.
    assert (
        page.evaluate("(box => box.scrollWidth - box.clientWidth)(document.querySelector('.results'))") <= 0
    )
    page.emulate_media(media="print")
    assert (
        page.locator(":is(.dra-button, .dra-actions, #changelist-search, #nav-sidebar):visible").count() == 0
    )
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate("getComputedStyle(document.querySelector('.dra-card')).color") == "rgb(34, 34, 34)"
    page.emulate_media(media="screen")
    look(f"{LIST}run/")
    look(f"{LIST}db_2F{name}/change/")
    look(f"{LIST}restore/?path=db/{name}")
    look(f"{LIST}{media.replace('/', '_2F')}/files/?dir=products/&pictures=1", ".dra-thumb")
    look(f"{LIST}restore/?path={media}", ".dra-changes")
    look(f"{LIST}db_2F{name}/checks/", ".dra-record")
    look(f"{LIST}retention/?last=2", ".dra-files table")
    look(f"{OPENED}{opened}/change/", ".dra-then-and-now")
    look(f"{OPENED}{opened}/live/", ".dra-plan")
    page.goto(OPENED)
    narrow(OPENED)
    look(SCHEDULES, ".dra-headline")
    look(f"{SCHEDULES}add/", "#dra-times li")
    look(RUNS)
    look(f"{RUNS}{runs['failed']}/change/", ".dra-run.dra-failed")
    look(f"{LIST}doctor/")
    if looks_at_all:
        look(f"{LIST}?q=nothing")
        look(f"{LIST}db_2F{damaged}/change/")
        look(f"{LIST}db_2F{pinned}/delete/", "#content form")
        look(f"{LIST}db_2F{pinned}/history/", "#content")
        look(f"{LIST}{media.replace('/', '_2F')}/change/")
        look(f"{LIST}{media.replace('/', '_2F')}/files/", ".dra-files table")
        look(f"{RUNS}{runs['succeeded']}/change/", ".dra-run.dra-succeeded")
    page.goto(running)
    key = str(run_of(page, "running").get_attribute("hx-get")).partition("?")[2]
    page.get_by_role("button", name="Cancel").click()
    expect(run_of(page, "cancelled")).to_be_visible()
    shop.execute("DELETE FROM django_session")
    look(f"{running}?{key}", "#content [role=alert]")
    assert found == {}
