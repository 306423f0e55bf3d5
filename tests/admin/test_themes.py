"""Every page under the admin themes that people use: it answers, complains of nothing, and every action can be reached."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from tests.site import settings as site_settings
from tests.support.backups import put_media
from tests.support.browser import Visitor, launch, serving, with_superuser
from tests.support.commands import done
from tests.support.matrix import sampled
from tests.support.remotes import local
from tests.support.walk import DJANGOS, WALK

THEMES = {
    "unfold": ["unfold"],
    "jazzmin": ["jazzmin"],
    "grappelli": ["grappelli"],
    "simpleui": ["simpleui"],
    "admin-interface": ["admin_interface", "colorfield"],
    "baton": ["baton"],
}
AFTER = {"baton": ["baton.autodiscover"]}
"""Apps that have to come last."""
ANSWERS_NARROW = {"unfold", "jazzmin", "admin-interface", "baton"}
"""Themes whose own pages fit a telephone; the others are wider than it, with or without us."""
OURS = {"include": [[".dra-page"], [".dra-above"], ["#result_list"]]}
"""Where axe looks: at what is ours on a page."""
ADDRESSES = "import json; from tests.support.walk import addresses; print(json.dumps(addresses()))"
SMALL = """() => [...document.querySelectorAll(".dra-button")].map((each) => {
  // A form that is wider than the window scrolls to its first field.
  const box = each.getBoundingClientRect(), style = getComputedStyle(each), left = box.left + scrollX, right = box.right + scrollX;
  return {text: each.textContent.trim(), width: box.width, height: box.height, left, right, shown: style.visibility};
}).filter((each) => each.width < 44 || each.height < 24 || each.shown !== "visible" || each.left < 4 || each.right > innerWidth - 4)"""
CONTRAST = """() => [...document.querySelectorAll(".dra-button")].map((each) => {
  const style = getComputedStyle(each);
  const light = (color) => {
    const parts = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const linear = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const [low, high] = [light(style.color), light(style.backgroundColor)].sort((one, other) => one - other);
  return {text: each.textContent.trim(), ratio: (high + 0.05) / (low + 0.05)};
}).filter((each) => each.ratio < 4.5)"""
RED = """() => {
  const parts = getComputedStyle(document.querySelector(".dra-danger")).backgroundColor.match(/\\d+/g).map(Number);
  return parts[0] > 2 * parts[1] && parts[0] > 2 * parts[2];
}"""


WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
"""By how much the page is wider than the window."""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def furnished(shops, rclone_binary, tmp_path_factory):
    """A shop with a backup of everything and a restore that can be undone.

    It has a session, as each theme has a login page of its own.
    """
    folder = tmp_path_factory.mktemp("themes")
    remote = local(folder / "remote", rclone_binary)
    shop = shops.open(folder / "shop", "sqlite", remote, with_superuser)
    shop.remote = remote
    shop.settings["DJANGO_RCLONE"] = {"RCLONE_BINARY": rclone_binary, **shop.remote.settings}
    put_media(remote, {"photo.jpg": b"a photo"})
    done(shop, "dbrestore", "--noinput")
    done(shop, "openbackup")
    yield shop
    shops.clear(shop, "sqlite")


# Grappelli changes most: nearly all templates of the admin.
@pytest.fixture(params=sampled(THEMES, "grappelli"))
def themed(request, furnished):
    """The shop under one theme, and the name of the theme."""
    before = dict(furnished.settings)
    apps = [*THEMES[request.param], *site_settings.INSTALLED_APPS, *AFTER.get(request.param, [])]
    # Themes bring scripts and styles inline, which the shop's own policy forbids, and warn of what they will not need.
    furnished.settings |= {
        "INSTALLED_APPS": apps,
        "ROOT_URLCONF": "tests.support.themed_urls",
        "SHOP_CONTENT_SECURITY_POLICY": "",
        "X_FRAME_OPTIONS": "SAMEORIGIN",
    }
    furnished.environment["PYTHONWARNINGS"] = "ignore"
    if request.param == "admin-interface":
        done(furnished, "migrate", "--verbosity=0")
    yield furnished, request.param
    furnished.settings = before


def test_every_page_answers_under_the_theme(themed):
    shop, _theme = themed
    assert json.loads(done(shop, "shell", "--verbosity=0", "-c", WALK)) == {}


@pytest.mark.browser
@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_have_contrast_under_the_theme(themed, browser, scheme):
    shop, theme = themed
    if theme not in ("unfold", "jazzmin", "grappelli"):
        pytest.skip("the theme's own text has less")
    shop.settings["JAZZMIN_UI_TWEAKS"] = {"default_theme_mode": "auto"}
    pages = done(shop, "shell", "--verbosity=0", "-c", ADDRESSES)
    pale, axe = {}, Axe()
    with serving(shop) as (address, _log):
        visitor = Visitor(browser, address, viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        visitor.add_session(shop)
        for name, place in json.loads(pages).items():
            if name in DJANGOS:
                continue
            visitor.page.goto(place)
            visitor.page.wait_for_load_state("networkidle")
            results = axe.run(visitor.page, context=OURS, options={"runOnly": ["color-contrast"]})
            for each in results.response["violations"]:
                pale[name] = [node["html"][:100] + node["failureSummary"] for node in each["nodes"]][:3]
        visitor.context.close()
    assert pale == {}


@pytest.mark.browser
@pytest.mark.soak
def test_every_action_can_be_reached_under_the_theme(themed, browser):
    shop, theme = themed
    pages = done(shop, "shell", "--verbosity=0", "-c", ADDRESSES)
    with serving(shop) as (address, _log):
        for width in (1280, 360):
            visitor = Visitor(browser, address, viewport={"width": width, "height": 900})
            visitor.add_session(shop)
            for name, place in json.loads(pages).items():
                if name not in (*DJANGOS, "health"):
                    look(visitor.page, place, (theme, name, width))
            ours = [each for each in visitor.troubles if "django_rclone_admin" in each or "dra-" in each]
            errors = [each for each in ours if each.startswith(("error", "uncaught"))]
            assert errors == [], (theme, width)
            visitor.context.close()


def look(page, place, where):
    """Look at one page."""
    theme, name, width = where
    response = page.goto(place)
    assert response is not None
    assert response.status == 200, where
    page.wait_for_load_state("load")
    assert page.locator(".dra-button").count() > 0, where
    assert page.evaluate(SMALL) == [], where
    assert page.evaluate(CONTRAST) == [], where
    if name in ("restore", "restore media", "undo", "backup", "put live"):
        assert page.evaluate(RED), where
    if width > 1000 or theme in ANSWERS_NARROW:
        assert page.evaluate(WIDER) <= 0, where
