"""What the client of rclone says about a remote is true, on every kind of remote and with old and new rclone."""

import hashlib
import re
from contextlib import suppress
from dataclasses import replace

import pytest

from django_rclone_admin.core import patience
from django_rclone_admin.core.rclone import NameTaken, Rclone, at
from django_rclone_admin.core.transfer import CommandSink, CommandSource, transfer
from django_rclone_admin.exceptions import RemoteError, UsageError
from tests.support.engine import SOURCE, local_rclone, python
from tests.support.matrix import sampled
from tests.support.remotes import environment
from tests.support.storage import KINDS

ODD_NAMES = [
    "-rf.dump",
    "--config=x",
    'it\'s "quoted".dump',
    "100%d %s %(name)s.dump",
    "🚚 Köln.dump",
    " spaces at both ends ",
    "#comment",
    ";comment",
    "*.dump",
    "{a,b}[c]",
    "a:b",
    "$(reboot)`id`",
    "back\\slash",
]


def read_many(client, folder, names):
    """Return the contents of objects one after another."""
    parts = []
    client.read_many(folder, names, parts.append)
    return b"".join(parts)


@pytest.fixture(
    params=sampled([*KINDS, "local with the oldest rclone", "s3 with the oldest rclone"], "crypt", "s3")
)
def client(request, make_remote):
    """The client of an empty remote of each kind, with the current rclone and with the oldest that we support."""
    kind, _, is_old = request.param.partition(" ")
    remote = make_remote(kind)
    return Rclone(
        binary=request.getfixturevalue("debian_rclone" if is_old else "rclone_binary"),
        remote=remote.settings["REMOTE"],
        env=remote.settings.get("RCLONE_ENV", {}),
        inherited=environment(),
    )


@pytest.fixture
def local(rclone_binary, tmp_path):
    return local_rclone(rclone_binary, tmp_path)


def names(client, folder="db"):
    return sorted(entry.name for entry in client.entries(folder))


def test_what_is_not_there_is_empty_and_has_no_size(client):
    assert client.entries("nowhere") == []
    assert client.size("db/nothing") is None


def test_what_is_written_is_listed_and_read(client):
    """Only what was asked for is read, a folder is no object, and an object that is touched again stays empty."""
    client.write({"db/one": b"1\n", "db/two": b"22\n"})
    client.touch("db/pin")
    client.touch("db/pin")

    sizes = {entry.name: entry.size for entry in client.entries("db")}
    assert sizes == {"one": 2, "two": 3, "pin": 0}
    assert client.size("db/two") == 3
    assert client.size("db") is None
    assert sorted(read_many(client, "db", ["two", "one", "gone"]).split()) == [b"1", b"22"]
    assert read_many(client, "db", ["two"]) == b"22\n"
    assert read_many(client, "db", []) == b""
    assert read_many(client, "db", ["gone"]) == b""


@pytest.mark.in_turns("client")
def test_move_renames(client):
    client.write({"db/old": b"content"})

    client.move("db/old", "db/new")

    assert names(client) == ["new"]
    assert read_many(client, "db", ["new"]) == b"content"


@pytest.mark.in_turns("client")
@pytest.mark.parametrize(
    "content",
    sampled([b"there before", b"same length!"], b"same length!"),
    ids=["longer", "same size"],
)
def test_move_onto_a_name_that_is_taken_loses_neither(client, content, monkeypatch):
    """rclone itself would lose one of them, and say that all is well."""
    monkeypatch.setattr(patience, "WAITS", (0.01,))  # for a storage that shows late what was renamed
    client.write({"db/old": b"same length.", "db/new": content})

    with pytest.raises(NameTaken, match="db/new"):
        client.move("db/old", "db/new")

    assert read_many(client, "db", ["old"]) == b"same length."
    assert read_many(client, "db", ["new"]) == content


def test_delete_removes_one_object_alone(client):
    """It removes no folder, and an object that is gone is no error."""
    client.delete("db/one")
    client.write({"db/one": b"1", "db/one.manifest.json": b"2"})

    client.delete("db/gone")
    with suppress(RemoteError):  # a bucket has no folders: there, nothing of that name is there to be deleted
        client.delete("db")
    assert names(client) == ["one", "one.manifest.json"]

    client.delete("db/one")
    assert names(client) == ["one.manifest.json"]


@pytest.mark.in_turns("client")
def test_stream_goes_up_and_comes_down(client, tmp_path):
    source = CommandSource(python(f"{SOURCE}out.write(b'stream' * 100_000)"))
    received = CommandSink(
        python("import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())")
    )

    transfer(source, CommandSink(client.upload("db/dump")))
    transfer(CommandSource(client.download("db/dump")), received)

    assert client.size("db/dump") == 600_000
    assert received.output.strip() == hashlib.sha256(b"stream" * 100_000).hexdigest()


def test_odd_names_are_names_like_any_other(local, tmp_path):
    (tmp_path / "db").mkdir()
    for name in ODD_NAMES:
        (tmp_path / "db" / name).write_text(f"<{name}>")

    assert names(local) == sorted(ODD_NAMES)
    contents = re.findall("<(.*?)>", read_many(local, "db", ODD_NAMES).decode())
    assert sorted(contents) == sorted(ODD_NAMES)


def test_odd_names_can_be_written_moved_and_deleted(local):
    odd = ["-rf", '--config=it\'s "100%d"', " a:b 🚚 "]
    for name in odd:
        local.write({f"db/{name}": b"odd"})
        local.move(f"db/{name}", f"db/{name}.new")
    assert names(local) == sorted(f"{name}.new" for name in odd)

    for name in odd:
        local.delete(f"db/{name}.new")
    assert names(local) == []


def test_recursive_listing_has_the_names_below_folders(local):
    local.write({"media/a/b/photo.png": b"x"})

    assert [entry.name for entry in local.entries("media", recursive=True)] == ["a/b/photo.png"]
    assert local.entries("media") == []


@pytest.mark.parametrize("name", ["..", "../x", "db/../../x", "db/..", "x\0y"])
def test_name_that_leads_out_of_the_remote_is_refused(local, name):
    calls = [
        lambda: local.entries(name), lambda: local.size(name), lambda: read_many(local, name, ["x"]),
        lambda: local.write({name: b"x"}), lambda: local.touch(name), lambda: local.delete(name),
        lambda: local.move(name, "x"), lambda: local.move("x", name), lambda: local.upload(name),
        lambda: local.download(name),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(UsageError, match="not the name of a file"):
            call()


def test_flags_of_our_own_environment_do_not_leak_in(local):
    """A dry run would write nothing, and the size would hide what is there."""
    flags = {"RCLONE_DRY_RUN": "true", "RCLONE_MIN_SIZE": "1G"}
    leaking = replace(local, inherited=local.inherited | flags)

    leaking.write({"db/object": b"x"})

    assert names(leaking) == ["object"]


def test_remotes_of_our_own_environment_are_known(local, tmp_path):
    inherited = {"RCLONE_CONFIG_SHOP_TYPE": "alias", "RCLONE_CONFIG_SHOP_REMOTE": str(tmp_path / "shop")}

    replace(local, remote="shop:", inherited=inherited).write({"object": b"x"})

    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["object"]


def test_configured_flags_reach_rclone(local):
    """One by its argument list, one by its environment."""
    flagged = replace(local, flags=("--transfers", "2", "--header=X-Token: 1"))

    said = flagged.call(["lsjson", "-vv"], at("")).check().errors

    assert '"--transfers" "2"' in said
    assert re.search(r"Setting --header .* from environment variable RCLONE_HEADER", said)
    assert not any("X-Token" in each for each in flagged.command(["lsjson"], at("")).argv)


@pytest.mark.parametrize("configured, expected", [(None, "800"), ("50", "50")])
def test_garbage_is_collected_late_except_for_lists_of_a_tree_and_streams(
    local, tmp_path, configured, expected
):
    """A fifth of the processor time of a short call; a tree of media files may have millions, and a download from SFTP
    would take three times as much memory. The site's value wins."""
    program = tmp_path / "noting"
    program.write_text(f'#!/bin/sh\necho "$GOGC" >> {tmp_path}/values\nexec {local.binary} "$@"\n')
    program.chmod(0o755)
    inherited = {name: value for name, value in local.inherited.items() if name != "GOGC"}
    client = replace(
        local, binary=str(program), inherited=inherited, env={"GOGC": configured} if configured else {}
    )

    client.put("db/one", b"1")
    client.entries("db")
    client.entries("db", recursive=True)
    client.call(["cat"], at("db/one"), take=lambda _data: None)

    usual = configured or ""
    assert (tmp_path / "values").read_text().split("\n") == [expected, expected, usual, usual, ""]
    assert {each.env.get("GOGC") for each in (client.upload("db/two"), client.download("db/one"))} == {
        configured
    }
