"""Every call of rclone ends in time, and a failure is an error that says what to do."""

from dataclasses import replace

import pytest

from django_rclone_admin.core.complaints import explain
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.features import read_version, read_version_and_free
from django_rclone_admin.core.rclone import ALIAS, Rclone
from django_rclone_admin.exceptions import (
    Cancelled,
    ProgramMissing,
    RemoteBusy,
    RemoteDenied,
    RemoteError,
    RemoteFull,
    RemoteMisconfigured,
    RemoteUnknown,
    RemoteUnreachable,
    Stalled,
    UsageError,
)
from tests.support.engine import local_rclone
from tests.support.programs import hang, wrapper
from tests.support.remotes import PASSWORD, obscured


@pytest.fixture
def local(rclone_binary, tmp_path):
    return local_rclone(rclone_binary, tmp_path)


@pytest.mark.parametrize("flag", ["--use-json-log", "--stats=1s"])
def test_one_call_tells_version_and_room(local, flag):
    version, free = read_version_and_free(replace(local, flags=(flag,)))

    assert version == read_version(local)
    assert free


def test_version_needs_no_remote(rclone_binary):
    version = read_version(Rclone(binary=rclone_binary, remote="nosuchremote:"))

    assert version.split(".")[0] == "1"


def test_remote_that_is_not_configured_is_unknown(local):
    unknown = replace(local, remote="nosuchremote:backups")

    for call in (lambda: unknown.entries("db"), lambda: unknown.size("x"), lambda: unknown.delete("x")):
        with pytest.raises(RemoteUnknown) as caught:
            call()
        assert "RCLONE_CONFIG" in caught.value.hint


def test_remote_where_nothing_listens_is_unreachable(local):
    password = obscured(local.binary, PASSWORD)
    refused = replace(local, remote=f":sftp,host=127.0.0.1,port=1,user=x,pass={password}:backups")

    with pytest.raises(RemoteUnreachable, match=r"can't be reached: .*refused") as caught:
        refused.entries("db")

    assert "network" in caught.value.hint


@pytest.mark.parametrize("password", ["", "as plain text", "äö"])
def test_passphrase_in_the_wrong_form_is_named_without_showing_it(local, password, tmp_path):
    env = {"RCLONE_CONFIG_V_TYPE": "crypt", "RCLONE_CONFIG_V_REMOTE": str(tmp_path / "below")}
    if password:
        env["RCLONE_CONFIG_V_PASSWORD"] = password
    with pytest.raises(RemoteMisconfigured, match="passphrase of the remote") as caught:
        replace(local, remote="v:", env={**local.env, **env}).entries("db")
    assert "rclone obscure" in caught.value.hint
    assert not password or password not in str(caught.value)


def test_remote_that_names_itself_is_refused(local):
    """An alias of itself: rclone would take all memory of the machine."""
    with pytest.raises(UsageError, match=ALIAS):
        replace(local, remote=f"{ALIAS.title()}:backups").entries("db")


def test_program_that_is_not_there_is_missing(local):
    with pytest.raises(ProgramMissing, match="rclone") as caught:
        replace(local, binary="/no/such/rclone").entries("db")

    assert "django-rclone-admin[rclone]" in caught.value.hint


def test_call_that_takes_too_long_is_ended(local, tmp_path):
    hanging = hang(tmp_path / "bin", "rclone", local.binary)

    with pytest.raises(Stalled, match="did not answer within"):
        replace(local, binary=str(hanging), timeout=0.3).entries("db")


def test_call_can_be_stopped(local, tmp_path):
    control = Control()
    control.stop(Cancelled("You asked for it."))

    with pytest.raises(Cancelled):
        replace(local, control=control).entries("db")


def test_object_that_does_not_arrive_whole_is_an_error(local, tmp_path):
    short = "if 'rcat' in arguments: p = start(stdin=PIPE); copy(sys.stdin.buffer, p.stdin, 2); p.stdin.close(); sys.exit(p.wait())"
    binary = wrapper(tmp_path / "bin", "rclone", local.binary, short)

    with pytest.raises(RemoteError, match="did not keep all of db/manifest"):
        replace(local, binary=str(binary)).write({"db/manifest": b"content"})


@pytest.mark.parametrize(
    "output, error",
    [
        ("write /srv/x: no space left on device", RemoteFull),
        ("507 Insufficient Storage", RemoteFull),
        ("googleapi: Error 403: storageQuotaExceeded", RemoteFull),
        ("dial tcp: lookup nas: no such host", RemoteUnreachable),
        ("dial tcp 127.0.0.1:1: connect: connection refused", RemoteUnreachable),
        ("read tcp: i/o timeout", RemoteUnreachable),
        ("Update ReadFrom failed: connection lost", RemoteUnreachable),
        ("operation error S3: UploadPart, https response error StatusCode: 503, SlowDown", RemoteBusy),
        ("googleapi: Error 500: Backend Error", RemoteBusy),
        ("Put: 502 Bad Gateway", RemoteBusy),
        ("HTTP error 429 (429 Too Many Requests) returned body", RemoteBusy),
        ("AccessDenied: Access Denied", RemoteDenied),
        ("ssh: unable to authenticate, attempted methods", RemoteDenied),
        ("HTTP error 401 (401 Unauthorized)", RemoteDenied),
        ("failed to copy default-2026-05-07-150733.dump: object 1507 is odd", RemoteError),
        ("upload of default-2026-05-07-500.dump: 500 bytes are missing", RemoteError),
        ("something else", RemoteError),
    ],
)
def test_failure_is_told_by_its_kind(output, error):
    found = explain("rclone", 1, f"2026/11/22 08:30:20 ERROR : x: {output}\n")

    assert type(found) is error
    assert output in str(found)
    assert found.hint
