"""An object counts as removed only when it is gone: never because of a word in a message."""

import pytest

from django_rclone_admin.core.rclone import Rclone
from django_rclone_admin.exceptions import RemoteDenied, RemoteError
from tests.support.engine import local_rclone
from tests.support.immutable import immutable
from tests.support.programs import wrapper
from tests.support.storage import SERVED, on_every_remote

NAME = "db/default-2026-11-22-120000.dump"

both_versions = pytest.mark.parametrize("binary", ["rclone_binary", "debian_rclone"])


@pytest.fixture
def program(request, binary):
    return request.getfixturevalue(binary)


def client(remote, program):
    """Return the client of a remote on a machine without a configuration file, which rclone tells in a notice."""
    settings = remote.settings
    return Rclone(
        binary=program,
        remote=settings["REMOTE"],
        env=settings.get("RCLONE_ENV", {}),
        inherited={"HOME": "/nonexistent"},
    )


@pytest.mark.in_turns("binary")
@on_every_remote
@both_versions
def test_object_is_removed_and_one_that_is_gone_is_no_error(remote, program):
    remote.write(NAME, b"dump")
    remote.write("db/other", b"other")

    for _ in range(2):
        client(remote, program).delete(NAME)

        assert remote.names() == ["db/other"]
    client(remote, program).delete("nowhere/at-all")


@pytest.mark.parametrize("remote", SERVED, indirect=True)
@both_versions
def test_refused_delete_is_an_error(storage, remote, program):
    remote.write(NAME, b"dump")

    with pytest.raises(RemoteError):
        client(storage.read_only(remote), program).delete(NAME)

    assert remote.names() == [NAME]


@both_versions
def test_refused_delete_in_a_folder_is_an_error(program, tmp_path):
    (tmp_path / "db").mkdir()
    (tmp_path / NAME).write_bytes(b"dump")

    with immutable(tmp_path / "db"), pytest.raises(RemoteDenied, match="not permitted"):
        local_rclone(program, tmp_path).delete(NAME)

    assert (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    "kind", ["s3-refused", "sftp-refused", "webdav-refused", "s3-credentials", "sftp-credentials"]
)
def test_delete_that_reaches_nobody_is_an_error(broken_remote, rclone_binary, kind):
    remote = broken_remote(kind)

    with pytest.raises(RemoteError):
        client(remote, rclone_binary).delete(NAME)


@pytest.mark.parametrize(
    "said",
    [
        'NOTICE: Config file "/root/.config/rclone/rclone.conf" not found - using defaults',
        "ERROR : x: Couldn't delete: the lock of this object was not found",
        "NOTICE: Failed to deletefile: the right to do this doesn't exist",
    ],
)
def test_words_of_a_refusal_decide_nothing(rclone_binary, tmp_path, said):
    (tmp_path / "db").mkdir()
    (tmp_path / NAME).write_bytes(b"dump")
    body = f"if 'deletefile' in arguments: print({said!r}, file=sys.stderr); sys.exit(1)"
    refusing = wrapper(tmp_path / "bin", "rclone", rclone_binary, body)

    with pytest.raises(RemoteError):
        local_rclone(str(refusing), tmp_path).delete(NAME)


def test_look_that_fails_proves_nothing(rclone_binary, tmp_path):
    """Where neither the delete nor the list of the folder says whether the object is gone, it is not reported as gone."""
    body = "if {'deletefile', 'lsjson'} & {*arguments}: print('something else', file=sys.stderr); sys.exit(1)"
    broken = wrapper(tmp_path / "bin", "rclone", rclone_binary, body)

    with pytest.raises(RemoteError):
        local_rclone(str(broken), tmp_path).delete(NAME)
