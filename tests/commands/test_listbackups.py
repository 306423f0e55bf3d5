"""``listbackups``: everything that is on the remote, and what can be said of it."""

import json
import re

import pytest

from tests.support.backups import antedate
from tests.support.commands import document, done

BACKUP_FIELDS = {"name", "path", "kind", "database", "taken_at", "size", "state", "pinned"}


@pytest.mark.backed_up
def test_list_of_backups(shop):
    names = {
        "default": shop.backup.removeprefix("db/"),
        "analytics": antedate(shop, "2026-01-15", "analytics"),
    }
    for name, content in {
        "default-2024-01-15-120000.sqlite3": b"PRAGMA x;",
        "default-2024-01-15-120000.sqlite3.keep": b"",
        "default-2024-01-16-120000.sqlite3": b"",
        "default-2024-01-17-120000.sqlite3.partial-7": b"half",
        "readme.txt": b"hello",
    }.items():
        shop.remote.write(f"db/{name}", content)

    listed = document(shop, "listbackups")
    assert all(each.keys() == BACKUP_FIELDS for each in listed)
    shown = {(each["name"], each["database"], each["state"], each["pinned"]) for each in listed}
    legacy = {
        ("default-2024-01-15-120000.sqlite3", "default", "legacy", True),
        ("default-2024-01-16-120000.sqlite3", "default", "damaged", False),
    }
    assert shown == {(name, alias, "complete", False) for alias, name in names.items()} | legacy
    assert [each["taken_at"] for each in listed] == sorted(
        (each["taken_at"] for each in listed), reverse=True
    )
    assert {each["kind"] for each in listed} == {"database"}

    of_one = document(shop, "listbackups", "--database", "analytics")
    assert [each["name"] for each in of_one] == [names["analytics"]]
    more = {each["name"]: each["state"] for each in document(shop, "listbackups", "--all")}
    assert more == {name: state for name, _alias, state, _pinned in shown} | {
        "default-2024-01-17-120000.sqlite3.partial-7": "incomplete",
        "readme.txt": "foreign",
    }

    header, *lines = done(shop, "listbackups", "--all").splitlines()
    assert header.split() == ["Name", "Database", "Taken", "(UTC)", "Size", "State", "Label"]
    assert len(lines) == 6
    assert re.search(
        r"2024-01-15-120000\.sqlite3 +default +2024-01-15 12:00:00 +9 bytes +legacy \(pinned\)$", lines[3]
    )


@pytest.mark.backed_up
def test_list_shows_labels_and_marks_safety_backups(shop):
    manifest = f"db/{antedate(shop, '2026-01-15')}.manifest.json"
    values = json.loads(shop.remote.read(manifest)) | {"trigger": "safety", "label": "before the restore"}
    shop.remote.write(manifest, json.dumps(values).encode())
    done(shop, "dbbackup", "--label", "before\n\x1b[31mthe sale")
    header, labelled, _first, safety = done(shop, "listbackups").splitlines()
    assert re.search(r"complete \(safety backup\) +before the restore$", safety)
    assert re.search(r"complete +before �\[31mthe sale$", labelled)
    assert header.index("Label") == labelled.index("before �") == safety.index("before the")
    assert header.index("Taken") == labelled.index("20", labelled.index(" default "))


@pytest.mark.in_turns("zone", "hour")
@pytest.mark.parametrize("zone, hour", [("Asia/Kolkata", "17"), ("America/New_York", "07")])
def test_list_states_its_time_zone(shop, zone, hour):
    shop.remote.write("db/default-2024-01-15-120000.sqlite3", b"PRAGMA x;")
    shop.remote.write("media-versions/media-2024-01-15-120000.jsonl.zst", b"no list")
    shop.settings["TIME_ZONE"] = zone
    for arguments in (), ("--media",):
        header, line = done(shop, "listbackups", *arguments).splitlines()
        assert f"Taken ({zone})" in header
        assert f" 2024-01-15 {hour}:" in line
    assert document(shop, "listbackups")[0]["taken_at"] == "2024-01-15T12:00:00+00:00"
