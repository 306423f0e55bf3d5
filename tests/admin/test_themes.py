"""Every page under the admin themes that people use: it answers, complains of nothing, and every action can be reached."""

from pathlib import Path
from urllib.parse import quote

import pytest
from django.contrib.admin.utils import quote as as_key
from playwright.sync_api import sync_playwright

from tests.site import settings as site_settings
from tests.support.browser import Visitor, launch, serving
from tests.support.commands import document, done

pytestmark = [pytest.mark.browser, pytest.mark.soak]

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
LOG_IN = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
user = User.objects.get(username="admin")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print(session.session_key)
"""
"""Each theme has a login page of its own."""
ADMIN = "/admin/django_rclone_admin/"
SMALL = """() => [...document.querySelectorAll(".dra-button")].map((each) => {
  const box = each.getBoundingClientRect(), style = getComputedStyle(each);
  return {text: each.textContent.trim(), width: box.width, height: box.height, right: box.right, shown: style.visibility};
}).filter((each) => each.width < 44 || each.height < 24 || each.shown !== "visible" || each.right > innerWidth + 1)"""
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


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.mark.parametrize("theme", THEMES)
def test_every_page_works_under_the_theme(make_shop, browser, theme):
    shop = make_shop("sqlite")
    apps = [*THEMES[theme], *site_settings.INSTALLED_APPS, *AFTER.get(theme, [])]
    # Themes bring scripts and styles inline, which the shop's own policy forbids.
    shop.settings |= {
        "INSTALLED_APPS": apps,
        "SHOP_CONTENT_SECURITY_POLICY": "",
        "X_FRAME_OPTIONS": "SAMEORIGIN",
    }
    shop.settings["PASSWORD_HASHERS"] = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    done(shop, "migrate", "--verbosity=0")
    done(shop, "seedshop", "--superuser")
    database = document(shop, "dbbackup", "--label=before")["path"]
    (Path(shop.settings.get("MEDIA_ROOT") or shop.home / "media") / "a.txt").write_text("a")
    media = document(shop, "mediabackup")["path"]
    run = document(shop, "dbrestore", "--noinput")["id"]
    session = done(shop, "shell", "-c", LOG_IN).strip().splitlines()[-1]
    pages = {
        "list": f"{ADMIN}backup/",
        "choose": f"{ADMIN}backup/run/",
        "restore": f"{ADMIN}backup/restore/?path={quote(database)}",
        "restore media": f"{ADMIN}backup/restore/?path={quote(media)}",
        "backup": f"{ADMIN}backup/{as_key(database)}/change/",
        "runs": f"{ADMIN}backuprun/",
        "run": f"{ADMIN}backuprun/{run}/change/",
        "undo": f"{ADMIN}backuprun/{run}/undo/",
    }
    with serving(shop) as (address, _log):
        for width in (1280, 360):
            visitor = Visitor(browser, address, viewport={"width": width, "height": 900})
            page = visitor.page
            visitor.context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
            for name, place in pages.items():
                response = page.goto(place)
                assert response is not None
                assert response.status == 200, (theme, name)
                page.wait_for_load_state("load")
                assert page.locator(".dra-button").count() > 0, (theme, name)
                assert page.evaluate(SMALL) == [], (theme, name, width)
                assert page.evaluate(CONTRAST) == [], (theme, name, width)
                if name in ("restore", "undo", "backup"):
                    assert page.evaluate(RED), (theme, name)
            ours = [each for each in visitor.troubles if "django_rclone_admin" in each or "dra-" in each]
            errors = [each for each in ours if each.startswith(("error", "uncaught"))]
            assert errors == [], (theme, width)
            visitor.context.close()
