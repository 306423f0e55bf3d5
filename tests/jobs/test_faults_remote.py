"""Whatever goes wrong between us and the remote: no misleading object there, and not a row changed here."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from signal import SIGKILL

import pytest

from django_rclone_admin import api
from django_rclone_admin.core import patience, retry
from django_rclone_admin.core.compression import Decompressor
from django_rclone_admin.exceptions import RemoteError, RemoteUnreachable
from tests.support import programs
from tests.support.commands import document
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.programs import DOWNLOAD, UPLOAD
from tests.support.servers import missing
from tests.support.site import Shop
from tests.support.storage import BROKEN

MANIFEST = r"\brcat\b.*manifest"
"""rclone writes a manifest."""

RENAME = r"\bmoveto\b"

ENGINES = ("sqlite", "postgresql")
on_both_engines = pytest.mark.parametrize("shop", ENGINES, indirect=True)
half_way = pytest.mark.parametrize(
    "noisy, status",
    # One that fails is tried again: test_retries has those.
    sampled(product(ENGINES, [-SIGKILL, 1, 0]), (ENGINES[0], -SIGKILL), (ENGINES[1], 0)),
    indirect=["noisy"],
)
"""How rclone ends in the middle of its work: killed, with a failure, or as if all were well."""

DEFAULT_COMPRESSION = "zstd"
FORMATS = [
    pytest.param({"database": "sqlite", "COMPRESSION": "zstd"}, id="sqlite-zstd"),
    # As the tests of the compression itself.
    pytest.param({"database": "sqlite", "COMPRESSION": "gzip"}, id="sqlite-gzip", marks=pytest.mark.soak),
    pytest.param({"database": "sqlite", "COMPRESSION": None}, id="sqlite"),
    pytest.param(
        {
            "database": "sqlite",
            "COMPRESSION": None,
            "CONNECTORS": {"default": "django_rclone_admin.connectors.sqlite.SqliteConnector"},
        },
        id="sqlite-text",
    ),
    pytest.param(
        {"database": "postgresql", "COMPRESSION": "zstd"}, id="postgresql-zstd", marks=pytest.mark.soak
    ),
    pytest.param({"database": "postgresql", "COMPRESSION": None}, id="postgresql"),
]


@pytest.fixture
def noisy(request: pytest.FixtureRequest, make_shop: Callable[..., Shop]) -> Shop:
    """A shop that is larger than any pipe or chunk, with a backup, on SQLite or another database."""
    return make_shop(getattr(request, "param", "sqlite"), backed_up=True, prepare=add_noise)


def use_rclone(shop: Shop, program: Path) -> None:
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)


def set_option(shop: Shop, **values: object) -> None:
    shop.settings["DJANGO_RCLONE"].update(values)


def backed_up(shop: Shop) -> str:
    """Back the shop up, unless it has a backup, change it, and return the name of that: a restore would be seen."""
    path: str = shop.backup or document(shop, "dbbackup")["path"]
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.execute("DELETE FROM shop_orderline")
    return path.removeprefix("db/")


def decompress(shop: Shop) -> None:
    """Have the backup of a shop be as if made without a compression, and all others be made so."""
    set_option(shop, COMPRESSION=None)
    stage, old = Decompressor(), shop.backup
    content = b"".join(stage.feed(shop.remote.read(old))) + stage.finish()
    shop.backup = old.removesuffix(".zst")
    manifest = json.loads(shop.remote.read(f"{old}.manifest.json"))
    manifest |= {"name": shop.backup.removeprefix("db/"), "size": len(content), "compression": None}
    manifest |= {"sha256": hashlib.sha256(content).hexdigest()}
    shop.remote.write(shop.backup, content)
    shop.remote.write(f"{shop.backup}.manifest.json", json.dumps(manifest).encode())
    shop.remote.remove(old)
    shop.remote.remove(f"{old}.manifest.json")


def restore(shop: Shop, *arguments: str):
    return shop.manage("dbrestore", "--noinput", "--no-safety-backup", *arguments)


# -- rclone -------------------------------------------------------------------------------------------------------------


@half_way
def test_backup_leaves_nothing_when_rclone_ends_half_way(noisy, tmp_path, rclone_binary, status):
    use_rclone(
        noisy,
        programs.cut_input(
            tmp_path / "bin", "rclone", rclone_binary, after=500_000, status=status, when=UPLOAD
        ),
    )
    with nothing_changes(noisy):
        # One that lies may have ended with the rest still in the pipe.
        assert_failed(noisy.manage("dbbackup"), "^rclone" if status else "^rclone|^The remote shows")


@half_way
def test_restore_changes_nothing_when_rclone_ends_half_way(noisy, tmp_path, rclone_binary, status):
    backed_up(noisy)
    use_rclone(
        noisy,
        programs.cut_output(
            tmp_path / "bin", "rclone", rclone_binary, after=500_000, status=status, when=DOWNLOAD
        ),
    )
    with nothing_changes(noisy):
        assert_failed(restore(noisy), "^rclone" if status else "bytes, but 500000 arrived")


@pytest.mark.backed_up
@pytest.mark.in_turns("shop")
@on_both_engines
def test_restore_changes_nothing_when_a_bit_flips_on_the_way(shop, tmp_path, rclone_binary):
    decompress(shop)
    name = backed_up(shop)
    middle = len(shop.remote.read(f"db/{name}")) // 2
    use_rclone(
        shop,
        programs.flip_output(tmp_path / "bin", "rclone", rclone_binary, at=middle, when=DOWNLOAD),
    )
    with nothing_changes(shop):
        assert_failed(restore(shop), "SHA-256 does not match")


@pytest.mark.parametrize(
    "fault", sampled(BROKEN, "unknown", "s3-refused", "sftp-silent", "webdav-credentials")
)
def test_commands_fail_soon_without_a_remote_that_answers(make_shop, broken_remote, fault):
    remote = broken_remote(fault)
    flags = ["--low-level-retries=1", "--timeout=1s", "--contimeout=1s"] if fault.endswith("silent") else []
    shop = make_shop("sqlite", remote, RCLONE_FLAGS=flags)
    expected = {
        "unknown": "is not configured in rclone",
        "refused": "can't be reached",
        "silent": "can't be reached",
        "credentials": "denied access",
    }[fault.rpartition("-")[2]]
    rows = shop.rows()
    # rclone takes seconds to give S3 up, whatever is asked of it.
    commands = ("dbbackup",), ("dbrestore", "--noinput")
    for command in commands[:1] if remote.kind == "s3" else commands:
        assert_failed(shop.manage(*command), expected)
    assert shop.rows() == rows
    assert list(remote.root.rglob("*")) == []


@pytest.mark.backed_up
@pytest.mark.parametrize("binary", ["/nonexistent/rclone", __file__], ids=["missing", "not-a-program"])
def test_commands_name_a_missing_rclone(shop, binary):
    backed_up(shop)
    use_rclone(shop, Path(binary))
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), "The program rclone was not found")
        assert_failed(restore(shop), "The program rclone was not found")


@pytest.mark.soak  # as test_remote_that_fails_leaves_nothing
@pytest.mark.parametrize("step", [RENAME, MANIFEST], ids=["rename", "manifest"])
def test_backup_that_fails_at_its_end_leaves_nothing(shop, tmp_path, rclone_binary, step):
    use_rclone(
        shop,
        programs.fail(tmp_path / "bin", "rclone", rclone_binary, message="quota exceeded", when=step),
    )
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), "The remote is full: quota exceeded")


@pytest.fixture
def soon(monkeypatch):
    """Have it looked for again soon, and tried again once: longer pauses are for a storage that is late or gone."""
    monkeypatch.setattr(patience, "WAITS", (0.01, 0.01))
    monkeypatch.setattr(retry, "WAITS", (0.01,))


@pytest.mark.django_db
def test_rename_that_does_nothing_is_noticed(backups, soon, tmp_path):
    program = programs.fail(
        tmp_path / "bin", "rclone", backups.remote.binary, message="all well", status=0, when=RENAME
    )
    backups.configure(RCLONE_BINARY=str(program))
    with pytest.raises(RemoteError, match="did not rename the upload"):
        api.backup_database()
    assert backups.remote.names() == []


@pytest.mark.django_db
def test_rename_that_was_done_and_then_fails_leaves_nothing(backups, soon, tmp_path):
    """Neither the first attempt nor the second."""
    body = f"""
if re.search({RENAME!r}, " ".join(arguments)):
    start().wait()
    sys.exit("connection reset by peer")
"""
    program = programs.wrapper(tmp_path / "bin", "rclone", backups.remote.binary, body)
    backups.configure(RCLONE_BINARY=str(program))
    with pytest.raises(RemoteUnreachable, match="can't be reached: connection reset by peer"):
        api.backup_database()
    assert backups.remote.names() == []


# -- space --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system with room for one megabyte in the home of a shop."""
    mounted = []

    def mount(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            missing(f"a small file system can't be mounted: {done.stderr}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.in_turns("noisy")
@pytest.mark.parametrize("noisy", ENGINES, indirect=True)
def test_backup_to_a_full_disk_leaves_nothing(noisy, tiny_disk):
    disk = tiny_disk("disk")
    set_option(noisy, REMOTE=str(disk))
    with nothing_changes(noisy):
        assert_failed(noisy.manage("dbbackup"), "^The remote is full: .*no space left on device")
    assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_full_temporary_folder_changes_nothing(noisy, tiny_disk):
    backed_up(noisy)
    noisy.environment["TMPDIR"] = str(tiny_disk("tmp"))
    with nothing_changes(noisy):
        assert_failed(noisy.manage("dbbackup"), "could not be copied: database or disk is full")
        assert_failed(
            restore(noisy), r"The restore needs \d+ bytes for a private copy, but only \d+ are free"
        )


def test_full_disk_of_the_database_changes_nothing(noisy, tiny_disk):
    backed_up(noisy)
    noisy.execute("DROP TABLE noise")
    noisy.execute("VACUUM")
    file = noisy.path()
    content = file.read_bytes()
    file.unlink()
    live = tiny_disk("live") / file.name
    live.write_bytes(content)
    noisy.settings["DATABASES"]["default"]["NAME"] = str(live)
    with nothing_changes(noisy):
        assert_failed(restore(noisy), "could not be restored: database or disk is full")


# -- objects ------------------------------------------------------------------------------------------------------------


@pytest.mark.backed_up
def test_cut_object_is_refused_by_its_manifest(shop):
    name = backed_up(shop)
    content = shop.remote.read(f"db/{name}")
    shop.remote.write(f"db/{name}", content[:-1])
    with nothing_changes(shop):
        assert_failed(restore(shop, "--input-path", name), f"{name} is damaged")
        assert_failed(restore(shop), "There is no backup of “default”")
    assert [each["state"] for each in shop.manage("listbackups", "--json").json] == ["damaged"]


@pytest.mark.parametrize("values", FORMATS)
def test_cut_object_without_a_manifest_is_noticed(make_shop, values):
    is_usual = values["COMPRESSION"] != "gzip" and "CONNECTORS" not in values
    shop = make_shop(**values, backed_up=is_usual)
    if is_usual and values["COMPRESSION"] is None:
        decompress(shop)
    name = backed_up(shop)
    shop.remote.remove(f"db/{name}.manifest.json")
    content = shop.remote.read(f"db/{name}")
    # The last line of SQL text ends with a line feed that nobody misses.
    for size in (len(content) // 2, len(content) - 2):
        shop.remote.write(f"db/{name}", content[:size])
        with nothing_changes(shop):
            assert_failed(restore(shop), "")


@pytest.mark.soak  # as test_restore_changes_nothing_when_a_bit_flips_on_the_way
def test_flipped_byte_is_noticed_by_the_manifest(shop):
    set_option(shop, COMPRESSION=None)
    name = backed_up(shop)
    flip(shop, name)
    with nothing_changes(shop):
        assert_failed(restore(shop), "SHA-256 does not match")


@pytest.mark.parametrize("values", [each for each in FORMATS if "zstd" in each.id or "gzip" in each.id])
def test_flipped_byte_without_a_manifest_is_noticed_by_the_compression(make_shop, values):
    shop = make_shop(**values, backed_up=values["COMPRESSION"] == DEFAULT_COMPRESSION)
    name = backed_up(shop)
    shop.remote.remove(f"db/{name}.manifest.json")
    flip(shop, name)
    with nothing_changes(shop):
        assert_failed(restore(shop), "The backup's compressed data is damaged")


def flip(shop: Shop, name: str) -> None:
    """Change one bit in the middle of an object."""
    content = bytearray(shop.remote.read(f"db/{name}"))
    content[len(content) // 2] ^= 1
    shop.remote.write(f"db/{name}", bytes(content))


@pytest.mark.backed_up
def test_object_without_bytes_or_with_one_is_refused(shop):
    name = backed_up(shop)
    byte = shop.remote.read(f"db/{name}")[:1]
    shop.remote.write(f"db/{name}", b"")
    with nothing_changes(shop):
        assert_failed(restore(shop, "--input-path", name), f"{name} is damaged")
    shop.remote.remove(f"db/{name}.manifest.json")
    with nothing_changes(shop):
        assert_failed(restore(shop, "--input-path", name), f"{name} is damaged")
    shop.remote.write(f"db/{name}", byte)
    with nothing_changes(shop):
        assert_failed(restore(shop), "")


@pytest.mark.in_turns("database")
@pytest.mark.parametrize("database", ENGINES)
def test_backup_of_another_engine_is_refused(make_shop, remote, database):
    [other] = {*ENGINES} - {database}
    name = backed_up(make_shop(other, remote, backed_up=True))
    shop = make_shop(database, remote)
    engine = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[other]
    with nothing_changes(shop):
        assert_failed(restore(shop), f"{name} comes from {engine} and can't be restored")
        assert_failed(restore(shop, "--to", "default"), f"{name} comes from {engine}")
    remote.remove(f"db/{name}.manifest.json")
    with nothing_changes(shop):
        assert_failed(restore(shop), "The backup is n(ot|either)")


@pytest.mark.in_turns("shop")
@on_both_engines
def test_foreign_files_are_no_backups(shop):
    shop.remote.write("db/readme.txt", b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n")
    shop.remote.write("db/default-2026-01-01-000000.dump.zst.partial-7", b"half of it")
    shop.remote.write("db/photo.png", b"\x89PNG\r\n\x1a\n")
    with nothing_changes(shop):
        assert shop.manage("listbackups", "--json").json == []
        assert_failed(restore(shop), "There is no backup of “default”")
        for name in ("readme.txt", "default-2026-01-01-000000.dump.zst.partial-7", "photo.png"):
            assert_failed(restore(shop, "--input-path", name), f"There is no backup “{name}”")
    everything = shop.manage("listbackups", "--all", "--json").json
    assert {each["name"]: each["state"] for each in everything} == {
        "readme.txt": "foreign",
        "photo.png": "foreign",
        "default-2026-01-01-000000.dump.zst.partial-7": "incomplete",
    }


@pytest.mark.in_turns("shop")
@on_both_engines
@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" * 100, b"\0" * 1000, b"hello"], ids=repr)
def test_foreign_file_with_the_name_of_a_backup_is_noticed(shop, content):
    shop.remote.write("db/default-2024-01-15-120000.dump", content)
    with nothing_changes(shop):
        assert_failed(restore(shop), "The backup is n(ot|either)")
