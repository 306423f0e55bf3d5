"""Take the pictures of the dashboard in the documentation: `make screenshots`, or `python -m tests.screenshots FOLDER`.

A shop with a month of history is made in a temporary folder. The backups are objects of plausible sizes with real
manifests; nothing is in them, for nothing is restored.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.backups import compressed, file_lines
from tests.support.remotes import find_rclone

REPOSITORY = Path(__file__).resolve().parents[1]
IMAGES = REPOSITORY / "docs" / "images"
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)
WIDE, NARROW = {"width": 1360, "height": 1000}, {"width": 360, "height": 1500}
BACKUPS = "/admin/django_rclone_admin/backup/"
RUNS = "/admin/django_rclone_admin/backuprun/"


def main() -> None:
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        make_shop(home)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS.split())
        with serving(home, LANGUAGE_CODE="he") as address:
            page = sign_in(browser, address, "light", WIDE)
            take_list(page, address, images / "list-rtl.png")
        with serving(home) as address:
            take_all(browser, address, images)
        browser.close()


def take_all(browser: Browser, address: str, images: Path) -> None:
    for theme in ("light", "dark"):
        page = sign_in(browser, address, theme, WIDE)
        take_list(page, address, images / f"list-{theme}.png")
        detail = page.locator('#result_list tbody th a[href*="default-"]').first.get_attribute("href")
        assert detail is not None
        take(page, address + detail.partition("?")[0], images / f"backup-{theme}.png")
        page.get_by_role("link", name="Restore", exact=True).click()
        page.wait_for_selector(".dra-plan")
        page.screenshot(path=images / f"restore-{theme}.png")
        take(page, f"{address}{BACKUPS}run/", images / f"choose-{theme}.png")
        take(page, f"{address}{RUNS}", images / f"runs-{theme}.png")
        page.goto(f"{address}{RUNS}?status__exact=failed")
        page.locator("#result_list tbody th a").first.click()
        page.wait_for_selector(".dra-run.dra-failed")
        page.screenshot(path=images / f"failed-{theme}.png")
        take_media(page, address, images, theme)
    page = sign_in(browser, address, "light", NARROW)
    take_list(page, address, images / "list-narrow.png")
    take_media(page, address, images, "narrow")
    # Last, for these runs are cancelled, and the others should not show that.
    for theme in ("light", "dark"):
        take_running(sign_in(browser, address, theme, WIDE), address, images / f"running-{theme}.png")


def take(page: Page, url: str, file: Path) -> None:
    page.goto(url)
    page.screenshot(path=file)


def take_list(page: Page, address: str, file: Path) -> None:
    page.goto(f"{address}{BACKUPS}")
    page.wait_for_selector(".dra-card")
    page.screenshot(path=file)


def take_media(page: Page, address: str, images: Path, suffix: str) -> None:
    """Take the files of a media backup of last week, and the page before its restore."""
    page.goto(f"{address}{BACKUPS}?kind__exact=media")
    page.locator("#result_list tbody th a").nth(6).click()
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_role("link", name="products/", exact=True).click()
    page.get_by_role("link", name="Show pictures").click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=images / f"files-{suffix}.png")
    page.locator(".dra-trail a").last.click()
    page.get_by_role("link", name="Restore", exact=True).first.click()
    page.wait_for_selector(".dra-changes")
    page.screenshot(path=images / f"restore-media-{suffix}.png")


def take_running(page: Page, address: str, file: Path) -> None:
    """Start a backup that the slow upload keeps busy, take its page, and cancel it."""
    page.goto(f"{address}{BACKUPS}run/")
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_label("default", exact=True).check()
    page.get_by_role("button", name="Back up now").click()
    page.wait_for_selector(", ".join(f'progress[value="{percent}"]' for percent in range(30, 90)))
    page.screenshot(path=file)
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector(".dra-run.dra-cancelled")


def sign_in(browser: Browser, address: str, theme: str, viewport: dict[str, int]) -> Page:
    page = browser.new_context(viewport=viewport, color_scheme=theme, reduced_motion="reduce").new_page()
    page.goto(f"{address}/admin/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    page.press("#id_password", "Enter")
    page.wait_for_selector("#content-main")
    return page


# -- the shop -------------------------------------------------------------------------------------------------------


def make_shop(home: Path) -> None:
    """Make the databases, the media, and a month of backups with everything that can be seen in a list."""
    for arguments in (["migrate"], ["migrate", "--database", "analytics"]):
        manage(home, *arguments, "--verbosity", "0")
    manage(home, "seedshop", "--superuser")
    broken = {"DJANGO_RCLONE": {"REMOTE": "nowhere:backups"}}
    manage(home, "dbbackup", settings=broken, check=False)
    manage(home, "dbbackup", "--all")
    real = {each["database"]: each for each in json.loads(manage(home, "listbackups", "--json"))}
    folder = home / "backups" / "db"
    for object_ in real.values():
        manifest = json.loads((folder / f"{object_['name']}.manifest.json").read_text())
        for days in range(1, 29):
            fake_backup(folder, manifest, days, size=object_["size"] * (97 - days + days % 3) // 97)
    names = sorted(path.name for path in folder.glob("default-*.zst"))
    (folder / f"{names[-3]}.keep").touch()
    (folder / f"{names[-8]}.manifest.json").unlink()
    for suffix in ("", ".manifest.json"):
        (folder / f"{names[-13]}{suffix}").unlink()
    fake_media(home)
    manage(home, "shell", "-c", HISTORY)
    manage(home, "runschedules")
    manage(home, "verifybackups", "--latest", "--level=restore")


def fake_media(home: Path) -> None:
    """Back the media up, copy that backup for each day of a month, and change a few files since then."""
    taken = json.loads(manage(home, "mediabackup", "--json"))
    manifest = json.loads((home / "backups" / f"{taken['path']}.manifest.json").read_text())
    folder, media = home / "backups" / "media-versions", home / "media"
    files = sorted(path for path in media.rglob("*") if path.is_file())
    for days in range(1, 29):
        lines = [
            {
                "path": str(path.relative_to(media)),
                "size": path.stat().st_size,
                "time": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(),
            }
            for path in files[: -3 * days]
        ]
        text = file_lines(lines)
        stored, size = compressed(text), sum(path.stat().st_size for path in files[: -3 * days])
        values = {"files": len(lines), "files_size": size, "sha256": hashlib.sha256(stored).hexdigest()}
        name = fake_backup(
            folder, manifest | values, days, size=len(stored), raw_size=len(text), extension="jsonl.zst"
        )
        (folder / name).write_bytes(stored)
    first, second, third, *_others = files
    first.unlink()
    second.write_bytes(third.read_bytes())
    (home / "media" / "holiday.jpg").write_bytes(third.read_bytes())
    together = {"group": taken["id"], "label": "before the move"}
    for path in (*folder.glob("*.json"), *(home / "backups" / "db").glob("*.json")):
        values = json.loads(path.read_text())
        if values["run"]:  # those that were really made just now
            path.write_text(json.dumps(values | together) + "\n")


HISTORY = """
from datetime import timedelta
from django.utils import timezone
from django_rclone_admin.models import Backup, BackupRun, BackupSchedule, Kind, Status, Trigger
recorded = set(BackupRun.objects.values_list("path", flat=True))
BackupRun.objects.bulk_create(
    BackupRun(
        kind=Kind.MEDIA_BACKUP if each.is_media else Kind.DB_BACKUP, database="" if each.is_media else each.database,
        status=Status.SUCCEEDED, path=each.path, trigger=Trigger.COMMAND, host=each.host, size=each.size,
        created_at=each.taken_at, started_at=each.taken_at, raw_size=None if each.is_media else each.raw_size,
        finished_at=each.taken_at + timedelta(seconds=1 + each.size / 400_000),
    )
    for each in Backup.objects.all() if each.path not in recorded
)
failed = BackupRun.objects.get(status=Status.FAILED)
failed.created_at = failed.started_at = timezone.now().replace(hour=2, minute=0, second=0) - timedelta(days=11)
failed.finished_at = failed.started_at + timedelta(seconds=1)
failed.trigger, failed.requested_by = Trigger.COMMAND, ""
failed.save()
BackupSchedule.objects.create(name="Every night", cron="0 2 * * *", time_zone="UTC", media=True)
"""
"""Has the history tell of the same month as the remote."""


def fake_backup(
    folder: Path,
    manifest: dict[str, object],
    days: int,
    *,
    size: int,
    raw_size: int = 0,
    extension: str = "sqlite3.zst",
) -> str:
    """Write a backup of that size with its manifest, and return its name."""
    now = datetime.now(UTC)
    last_night = now.replace(hour=2, minute=0, second=0, microsecond=0)
    if last_night > now:
        last_night -= timedelta(days=1)
    taken_at = last_night - timedelta(days=days - 1)
    name = f"{manifest['database']}-{taken_at:%Y-%m-%d-%H%M%S}.{extension}"
    with (folder / name).open("wb") as file:
        file.truncate(size)
    times = {key: taken_at.isoformat() for key in ("taken_at", "finished_at")}
    values = {**manifest, **times, "name": name, "size": size, "raw_size": raw_size or size * 3}
    values |= {"trigger": "command", "label": "", "group": "", "run": ""}
    (folder / f"{name}.manifest.json").write_text(json.dumps(values) + "\n")
    return name


def manage(home: Path, *arguments: str, settings: dict[str, object] | None = None, check: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=environment(home, settings or {}),
        capture_output=True,
        text=True,
        check=check,
    )
    return done.stdout


def environment(home: Path, settings: dict[str, object]) -> dict[str, str]:
    return {**os.environ, "SHOP_HOME": str(home), "SHOP_SETTINGS": json.dumps(settings)}


@contextmanager
def serving(home: Path, **settings: object) -> Iterator[str]:
    """Run the shop on a free port, with a remote that has a name, and an upload that is slow enough to be seen."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    remote = {
        "REMOTE": "offsite:shop",
        "RCLONE_BINARY": find_rclone(),
        "RCLONE_ENV": {
            "RCLONE_CONFIG_OFFSITE_TYPE": "combine",
            "RCLONE_CONFIG_OFFSITE_UPSTREAMS": f"shop={home}/backups",
        },
        "RCLONE_FLAGS": ["--bwlimit=500k", "--buffer-size=0"],
        "COMPRESSION": None,
    }
    server = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
        cwd=REPOSITORY,
        env=environment(home, {"DJANGO_RCLONE": remote, **settings}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/admin/login/")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url).close()  # noqa: S310  (our own address)
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
