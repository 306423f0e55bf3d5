"""Flags of rclone that the settings give: secret ones are seen by nobody, and none changes what rclone answers."""

import json
import re
import subprocess
from functools import cache

import pytest

from django_rclone_admin.core.flags import REFUSED, find_problem, split_flags
from django_rclone_admin.core.parts import part_sizes
from django_rclone_admin.core.rclone import Rclone
from django_rclone_admin.exceptions import UsageError

SECRET = "hunter2-and-more"
GIB = 1 << 30

both_versions = pytest.mark.parametrize("binary", ["rclone_binary", "debian_rclone"])


@cache
def said(program, *arguments):
    done = subprocess.run(
        [program, *arguments], capture_output=True, env={"HOME": "/nonexistent"}, check=True
    )
    return done.stdout.decode()


def sensitive(program):
    """Return the flags that rclone itself calls a password or sensitive."""
    for backend in json.loads(said(program, "config", "providers")):
        for option in backend["Options"]:
            if option.get("IsPassword") or option.get("Sensitive"):
                prefix = backend.get("Prefix") or backend["Name"]
                yield f"--{prefix}-{option['Name'].replace('_', '-')}"


@both_versions
def test_flag_that_rclone_calls_sensitive_is_in_no_argument_list(request, binary):
    flags = [*sensitive(request.getfixturevalue(binary))]

    assert len(flags) > 10
    for flag in flags:
        for spelling in ([f"{flag}={SECRET}"], [flag, SECRET], ["--fast-list", flag, SECRET, "-v"]):
            shown, hidden = split_flags(spelling)
            assert SECRET not in " ".join(shown), flag
            assert SECRET in hidden.values(), flag


@pytest.mark.parametrize(
    "flag",
    [
        "--storj-access-grant", "--sftp-socks-proxy", "--ftp-socks-proxy", "--sftp-ssh", "--http-proxy", "--rc-user",
        "--password-command", "--webdav-bearer-token-command", "--mega-2fa", "--client-pass", "--internxt-mnemonic",
    ],
)  # fmt: skip
def test_flag_that_may_hold_a_secret_is_in_no_argument_list(flag):
    assert split_flags([flag, SECRET]) == ((), {f"RCLONE_{flag[2:].upper().replace('-', '_')}": SECRET})


@both_versions
def test_switch_does_not_swallow_the_flag_after_it(request, binary):
    lines = re.findall(
        r"^ +(?:-\w, )?(--[\w-]+)  +\w", said(request.getfixturevalue(binary), "help", "flags"), re.MULTILINE
    )

    assert len(lines) > 50
    for flag in lines:
        assert split_flags([flag, "-v"]) == ((flag, "-v"), {}), flag
        assert split_flags([flag, "--fast-list"]) == ((flag, "--fast-list"), {}), flag


@pytest.mark.parametrize(
    "flags",
    [
        ["--progress"], ["-P"], ["-vP"], ["--progress=true"], ["--dry-run"], ["-n"], ["--exclude", "*.zst"],
        ["--max-age=1d"], ["--log-file", "/var/log/x"], ["--fast-list", "--quiet"], ["-i"], ["--files-from", "x"],
    ],
    ids=str,
)  # fmt: skip
def test_flag_that_changes_answers_is_refused_by_its_name(flags):
    client = Rclone(binary="rclone", remote="x:", flags=tuple(flags))

    with pytest.raises(
        UsageError, match=r"RCLONE_FLAGS may not contain the rclone flag --[a-z-]+\."
    ) as caught:
        client.upload("db/x")

    assert caught.value.hint


@pytest.mark.parametrize("name", ["RCLONE_PROGRESS", "RCLONE_DRY_RUN", "RCLONE_EXCLUDE", "RCLONE_LOG_LEVEL"])
def test_variable_that_changes_answers_is_refused_by_its_name(name):
    problem = find_problem([], {name: SECRET})

    assert "RCLONE_ENV may not contain the rclone flag --" in str(problem)
    assert SECRET not in f"{problem} {problem.hint}"


@pytest.mark.parametrize(
    "flags",
    [
        ["--bwlimit=10M"],
        ["--fast-list", "-v"],
        ["--transfers", "4"],
        ["--header", "-P"],
        ["--sftp-pass", "-n"],
        ["--ca-cert", "/x"],
    ],
    ids=str,
)
def test_other_flags_are_not_refused(flags):
    assert (
        find_problem(flags, {"RCLONE_CONFIG_SHOP_EXCLUDE": "x", "RCLONE_BWLIMIT": "1M", "PATH": "/bin"})
        is None
    )


def test_refused_flags_are_flags_of_rclone(rclone_binary):
    known = {
        *re.findall(r"--([\w-]+)", said(rclone_binary, "help", "flags")),
        "files-from0",
        "help",
        "version",
    }

    assert known >= REFUSED


@pytest.mark.parametrize(
    "expected, size",
    [
        (None, None),
        (GIB, None),
        (24 * GIB, None),
        (25 * GIB, 6),
        (48 * GIB, 10),
        (500 * GIB, 103),
        (5000 * GIB, 1025),
    ],
)
def test_parts_have_room_for_twice_the_expected_bytes(expected, size):
    found = part_sizes(expected, ["s3:bucket"]).get("RCLONE_S3_CHUNK_SIZE")

    assert found == (f"{size}Mi" if size else None)
    if size:
        assert size * (1 << 20) * 10_000 >= 2 * expected


@pytest.mark.parametrize(
    "said", [":s3,chunk_size=64M:bucket", "--s3-chunk-size=64M", "RCLONE_CONFIG_SHOP_CHUNK_SIZE"]
)
def test_part_size_of_the_settings_is_left_alone(said):
    assert part_sizes(500 * GIB, ["s3:bucket", said]) == {}
