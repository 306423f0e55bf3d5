"""The files of a media backup in the admin: browsed, searched, downloaded one by one."""

import io
import os
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from time import thread_time
from typing import Any
from urllib.parse import quote
from zipfile import ZipFile

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.test import AsyncClient, Client

from django_rclone_admin import api, cached_file_lists
from django_rclone_admin.models import BackupRun
from tests.admin.test_dashboard_pages import get, logged, url
from tests.support.backups import DAY, Backups
from tests.support.html import read_page
from tests.support.matrix import sampled

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])
with_commits = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)

SCRIPT = "<script>alert(1)<script>.jpg"
NAMES = (
    "a b.jpg",
    "Größe/日本 🙂.png",
    "-rf",
    "[1]*?{}.txt",
    "a#b?c=d&e%2f.txt",
    "new\nline",
    SCRIPT,
    "deep/1/2/3/x",
)


def file_url(path: str, name: str) -> str:
    """Return the address that a file is downloaded from."""
    return f"{url('backup_file', path)}?file={quote(name, safe='')}"


def taken(media: Path) -> str:
    """Back the media up, and return the path of the backup."""
    return api.backup_media().path


@pytest.fixture
def media(settings: Any, tmp_path: Path, backups: Backups) -> Path:
    """The media folder of this process's site, with odd names in it."""
    folder = Path(settings.MEDIA_ROOT)
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"first {name}")
        os.utime(path, (1_700_000_000 + number * 86400,) * 2)
    return folder


# -- browsed ------------------------------------------------------------------------------------------------------------


def assert_all_are_listed(admin_client: Client, path: str) -> None:
    """The files of the media folder are shown, with their sizes and times."""
    assert url("backup_files", path) in get(admin_client, url("backup_change", path)).links()
    page = get(admin_client, url("backup_files", path))
    assert "8 files" in page.text
    # As rclone writes it
    for name in {*NAMES} - {"new\nline", "deep/1/2/3/x", "Größe/日本 🙂.png"} | {"new␊line"}:
        assert " ".join(name.split()) in page.text
    assert f"a b.jpg {len('first a b.jpg')} bytes 14 Nov 2023" in page.text
    assert "deep/ 1 file" in page.text
    assert "deep/1/2/3/x" in get(admin_client, url("backup_files", path), q="deep").text
    assert " x " in get(admin_client, url("backup_files", path), dir="deep/1/2/3/").text


def test_the_list_is_searched_sorted_and_paged(admin_client, backups):
    files = {
        f"{'even' if number % 2 == 0 else 'odd'}/{number:04}.jpg": bytes(number) for number in range(250)
    }
    path = backups.put_media(DAY, files)
    page = get(admin_client, url("backup_files", path))
    assert "even/ 125 files 15.1 KB" in page.text
    assert "odd/ 125 files 15.3 KB" in page.text
    page = get(admin_client, url("backup_files", path), dir="even/")
    assert "0000.jpg" in page.text
    assert "0198.jpg" in page.text
    assert "0200.jpg" not in page.text
    assert "0001.jpg" not in page.text
    assert sum("?p=" in link for link in page.links()) == 1
    assert "0200.jpg" in get(admin_client, url("backup_files", path), dir="even/", p="2").text
    page = get(admin_client, url("backup_files", path), q="ODD 24", o="-size")
    assert "5 files (of 250 files" in page.text
    assert page.text.index("odd/0249.jpg") < page.text.index("odd/0241.jpg")
    assert "odd/0249" in get(admin_client, url("backup_files", path), q="jpg", p="3").text
    assert "No path contains" in get(admin_client, url("backup_files", path), q="nothing<b>").text
    for query in (
        {"p": "99"}, {"p": "x"}, {"p": "-1"}, {"p": ""}, {"o": "-time"}, {"o": "nonsense"}, {"q": "%_'\"\\"}, {"o": "--size"},
    ):  # fmt: skip
        get(admin_client, url("backup_files", path), **query)
    empty = backups.put_media(DAY - timedelta(days=1), {})
    api.refresh()
    assert "This backup has no files." in get(admin_client, url("backup_files", empty)).text


def test_a_list_is_read_once(admin_client, backups, tmp_path, monkeypatch):
    monkeypatch.setattr(cached_file_lists, "KEPT", 2)
    cached_file_lists._lists.clear()  # another test may have read the same list
    path = backups.put_media()
    backups.configure(LISTING_CACHE_SECONDS=600)
    backups.count_calls(tmp_path)
    get(admin_client, url("backup_files", path))
    assert backups.calls() == ["lsjson", "lsjson", "cat", "cat"]
    get(admin_client, url("backup_files", path), q="photo")
    assert backups.calls() == []
    for days in range(1, 3):
        get(admin_client, url("backup_files", backups.put_media(DAY - timedelta(days=days))), 404)
    api.refresh()
    for other in backups.paths:
        get(admin_client, url("backup_files", other))
    assert len(cached_file_lists._lists) == 2


def test_long_lists_are_not_remembered(admin_client, backups, monkeypatch):
    monkeypatch.setattr(cached_file_lists, "KEPT_FILES", 25)
    counts = {}
    for number, count in enumerate((10, 10, 10, 30)):
        content = {f"{each}.jpg": b"" for each in range(count)}
        counts[backups.put_media(DAY + timedelta(days=number), content)] = count
    for path, count in counts.items():
        assert f"{count} files" in get(admin_client, url("backup_files", path)).text
        assert sum(map(len, cached_file_lists._lists.values())) <= 25


def test_a_hundred_thousand_files_are_no_burden(admin_client, backups):
    paths = [f"uploads/{number % 300}/picture-{number}.jpg" for number in range(100_000)]
    backups.remote.write("media/x", b"")
    path = backups.put_media(DAY, dict.fromkeys(paths, b""), mirrored=False)
    get(admin_client, url("backup_files", path))
    started = thread_time()
    page = get(admin_client, url("backup_files", path), q="picture-9999", o="size", p="1")
    # 0.15 s of our own work on an idle machine; the list must be neither read nor drawn as a whole.
    assert thread_time() - started < 2
    assert "11 files (of 100,000 files" in page.text
    assert len(read_page(admin_client.get(url("backup_files", path))).elements) < 2000


HOSTILE = (
    {"path": "../x", "size": 1, "time": ""},
    {"path": "/etc/passwd", "size": 1, "time": ""},
    {"path": "a//b", "size": 1, "time": ""},
    {"path": "a", "size": -1, "time": ""},
    {"path": "a", "size": 10**30, "time": ""},
    {"path": "a"},
    ["a"],
)


def test_a_forged_list_is_not_shown(admin_client, backups):
    forged = {
        backups.put_media(DAY + timedelta(hours=hours), lines=[line]): line
        for hours, line in enumerate(HOSTILE)
    }
    for path, line in forged.items():
        response = admin_client.get(url("backup_files", path), follow=True)
        assert response.redirect_chain == [(url("backup_changelist"), 302)], line
        assert "file list" in read_page(response).text, line
    assert admin_client.get(file_url(next(iter(forged)), "../x")).status_code in (302, 404)


TIMES = (
    "",
    "yesterday",
    "2026-01-01T00:00:00",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "9" * 5000,
)
"""What a list may say that is no moment, or none that can be shown."""


def test_times_that_are_none_are_not_shown(admin_client, backups):
    lines = [{"path": f"{number}.jpg", "size": 1, "time": time} for number, time in enumerate(TIMES)]
    text = get(admin_client, url("backup_files", backups.put_media(lines=lines))).text
    for number, time in enumerate(TIMES):
        assert f"{number}.jpg 1 byte –" in text, time


def test_only_media_that_are_whole_have_files(admin_client, backups):
    backups.put_media()
    other, damaged = backups.put(), backups.put_media(DAY - timedelta(days=1))
    unsealed = backups.put_media(DAY - timedelta(days=2), manifest=False)
    backups.remote.write(damaged, b"cut")
    get(admin_client, url("backup_files", "media-versions/nothing"), 404)
    get(admin_client, url("backup_files", other), 404)
    for path in (damaged, unsealed):
        response = admin_client.get(url("backup_files", path), follow=True)
        assert "is not complete" in read_page(response).text
        assert not any("/files/" in link for link in get(admin_client, url("backup_change", path)).links())


# -- downloaded ---------------------------------------------------------------------------------------------------------


def download(client: Client, path: str, name: str) -> bytes:
    response = client.get(file_url(path, name))
    assert response.status_code == 200, name
    content = response.getvalue()
    assert response["Content-Length"] == str(len(content))
    return content


HARDEST = ("[1]*?{}.txt", "Größe/日本 🙂.png", "new\nline", "deep/1/2/3/x")
DOWNLOADED = {"all": (NAMES, NAMES[:-1]), "hardest": (HARDEST, HARDEST[:1])}
"""Of the first backup, and of the second, which has not the last one."""


@with_commits
@pytest.mark.parametrize("names", sampled(DOWNLOADED, "hardest"))
def test_each_version_of_a_file_is_listed_and_downloaded_by_its_backup(admin_client, backups, media, names):
    of_first, of_second = DOWNLOADED[names]
    first = taken(media)
    assert_all_are_listed(admin_client, first)
    for name in NAMES:
        (media / name).write_text(f"second, longer {name}")
    (media / "deep/1/2/3/x").unlink()
    second = taken(media)
    for name in of_first:
        assert download(admin_client, first, name.replace("\n", "␊")).decode() == f"first {name}"
    for name in of_second:
        assert download(admin_client, second, name.replace("\n", "␊")).decode() == f"second, longer {name}"
    assert admin_client.get(file_url(second, "deep/1/2/3/x")).status_code == 404
    header = admin_client.get(file_url(first, "Größe/日本 🙂.png"))["Content-Disposition"]
    assert header == "attachment; filename*=utf-8''%E6%97%A5%E6%9C%AC%20%F0%9F%99%82.png"
    assert logged()[0] == f"Downloaded {of_first[0]}."
    assert BackupRun.objects.count() == 2


def test_what_is_not_in_the_list_cannot_be_downloaded(admin_client, backups):
    path = backups.put_media(DAY, {"a.jpg": b"a photo", "folder/b.jpg": b"another"})
    backups.remote.write("media/secret", b"not in the list")
    backups.remote.write("secret", b"not in our folder")
    backup = backups.put()
    for name in (
        "",
        "secret",
        "../secret",
        "folder",
        "folder/",
        "/a.jpg",
        "A.jpg",
        "a.jpg\0",
        "a.jpg\n",
        "*",
        "./a.jpg",
        path,
    ):
        assert admin_client.get(file_url(path, name)).status_code == 404, name
    assert admin_client.get(url("backup_file", path)).status_code == 404
    assert admin_client.get(file_url(backup, "a.jpg")).status_code == 404
    assert logged() == []
    assert download(admin_client, path, "folder/b.jpg") == b"another"


def test_a_file_that_is_lost_is_said(admin_client, backups):
    path = backups.put_media(DAY, {"gone.jpg": b"a photo", "cut.jpg": b"a photo"})
    backups.remote.remove("media/gone.jpg")
    backups.remote.write("media/cut.jpg", b"cut")
    for name in ("gone.jpg", "cut.jpg"):
        response = admin_client.get(file_url(path, name), follow=True)
        assert "missing on the remote" in read_page(response).text, name


def test_a_remote_that_is_down_is_said(admin_client, backups):
    path = backups.put_media()
    backups.take_down()
    for address in (url("backup_files", path), file_url(path, "photo.jpg")):
        response = admin_client.get(address, follow=True)
        assert "The remote can't be reached" in read_page(response).text


@with_commits
def test_a_file_is_streamed_under_asgi_too(admin_user, backups):
    path = backups.put_media(DAY, {"film.mp4": bytes(3_000_000)})
    client = AsyncClient()
    client.force_login(admin_user)

    async def chunks() -> list[bytes]:
        response = await client.get(file_url(path, "film.mp4"))
        assert response.is_async
        async with aclosing(aiter(response)) as content:
            found = [chunk async for chunk in content]
        response.close()
        return found

    found = async_to_sync(chunks)()
    assert b"".join(found) == bytes(3_000_000)
    assert len(found) > 1


# -- several at once, and pictures -----------------------------------------------------------------------------------------


def choose(client: Client, name: str, path: str, *chosen: str) -> Any:
    return client.post(url(name, path) if path else url(name), {"file": list(chosen)}, follow=True)


def test_a_folder_is_looked_into(admin_client, backups):
    path = backups.put_media(
        DAY, {"a.jpg": b"1", "2025/b.jpg": b"22", "2025/12/c.jpg": b"333", "2026/d": b"", "2025-x": b""}
    )
    page = get(admin_client, url("backup_files", path))
    assert "2025/ 2 files 5 bytes" in page.text
    assert page.text.index("2026/") < page.text.index("2025-x")  # folders first
    page = get(admin_client, url("backup_files", path), dir="2025/")
    assert "All files / 2025 5 bytes" in page.text
    assert "12/ 1 file 3 bytes" in page.text
    assert "b.jpg 2 bytes" in page.text
    assert "a.jpg" not in page.text
    for nothing in ("2025", "nothing/", "../", "2025/b.jpg/"):
        get(admin_client, url("backup_files", path), 404, dir=nothing)


def test_several_files_and_folders_are_downloaded_as_one_archive(admin_client, backups):
    files = {"a.jpg": b"1", "2025/b.jpg": bytes(300_000), "2025/ö 🙂": b"odd", "2026/d": b"not chosen"}
    path = backups.put_media(DAY, files)
    response = choose(admin_client, "backup_archive", path, "a.jpg", "2025/")
    assert (
        response["Content-Disposition"] == f'attachment; filename="{Path(path).name.partition(".")[0]}.zip"'
    )
    with ZipFile(io.BytesIO(response.getvalue())) as archive:
        assert archive.testzip() is None
        found = {each.filename: archive.read(each) for each in archive.infolist()}
    assert found == {name: content for name, content in files.items() if name != "2026/d"}
    assert logged()[0] == "Downloaded 3 files."
    for chosen in ([], ["nothing"], ["20"]):
        response = choose(admin_client, "backup_archive", path, *chosen)
        assert "Choose between 1 and 1000 files" in read_page(response).text
    assert admin_client.get(url("backup_archive", path)).status_code == 405


def test_pictures_come_as_pictures_and_nothing_else_does(admin_client, backups):
    path = backups.put_media(
        DAY, {"a.PNG": b"a picture", "b.svg": b"<script>", "c.html": b"<p>", "d.jpg": bytes(3 << 20)}
    )
    assert (
        f"{url('backup_picture', path)}?file=a.PNG"
        not in get(admin_client, url("backup_files", path)).links()
    )
    page = get(admin_client, url("backup_files", path), pictures="1")
    shown = [
        each.attributes["src"] for each in page.elements if "dra-thumb" in each.attributes.get("class", "")
    ]
    assert shown == [f"{url('backup_picture', path)}?file=a.PNG"]
    response = admin_client.get(shown[0])
    assert response["Content-Type"] == "image/png"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.getvalue() == b"a picture"
    for other in ("b.svg", "c.html", "d.jpg", "", "nothing.png", "../a.png"):
        assert admin_client.get(url("backup_picture", path), {"file": other}).status_code == 404, other
    assert logged() == []


@pytest.mark.parametrize("name", ["backup_picture", "backup_archive", "backup_file"])
def test_who_may_not_download_gets_no_bytes(client, django_user_model, backups, name):
    path = backups.put_media(DAY, {"a.png": b"a picture"})
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_backup"))
    client.force_login(user)
    call = client.post if name == "backup_archive" else client.get
    assert call(url(name, path), {"file": "a.png"}).status_code == 403
    page = get(client, url("backup_files", path), pictures="1")
    assert not any(
        each.tag in ("img", "button")
        and "dra" in each.attributes.get("class", "")
        and each.attributes.get("formaction")
        for each in page.elements
    )
