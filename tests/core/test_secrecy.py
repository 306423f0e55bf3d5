"""No secret of a configuration shows up in an argument list, a message or a ``repr``, and all reach rclone."""

import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from django_rclone_admin.core.command import redact
from django_rclone_admin.core.flags import split_flags
from django_rclone_admin.core.rclone import Rclone
from django_rclone_admin.core.transfer import CommandSource
from django_rclone_admin.exceptions import BackupError, UsageError
from tests.support.engine import local_rclone
from tests.support.programs import wrapper
from tests.support.remotes import environment

SECRET = "hunter2-and-more"

CONFIGURATIONS = {
    "parameter of the remote": {"remote": f":sftp,host=nas,user=x,pass={SECRET}:backups"},
    "quoted parameter": {"remote": f':webdav,url="https://x:{SECRET}@nas:8443/",vendor=other:backups'},
    "parameter in single quotes": {"remote": f":s3,secret_access_key='{SECRET}',provider=Other:backups"},
    "flag": {"flags": (f"--sftp-pass={SECRET}",)},
    "flag and value apart": {"flags": ("--webdav-bearer-token", SECRET)},
    "flag and value that begins with a dash": {"flags": ("--sftp-pass", f"-{SECRET}")},
    "header": {"flags": ("--header", f"Authorization: Bearer {SECRET}")},
    "address with a password": {"flags": (f"--http-proxy=http://x:{SECRET}@proxy:3128",)},
    "environment of the settings": {"env": {"RCLONE_CONFIG_SHOP_PASS": SECRET}},
    "our own environment": {"inherited": {"RCLONE_CONFIG_PASS": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET}},
}
every_configuration = pytest.mark.parametrize("where", CONFIGURATIONS)


def configured(where, binary="rclone"):
    return replace(Rclone(binary=binary, remote="shop:backups"), **CONFIGURATIONS[where])


@every_configuration
def test_secret_is_in_no_argument_list(where):
    client = configured(where)
    commands = [client.upload("db/x"), client.download("db/x"), client.command(["lsjson"], "shop:")]

    assert not any(SECRET in argument for command in commands for argument in command.argv)
    assert any(SECRET in value for value in commands[0].env.values())


@every_configuration
def test_secret_is_in_no_representation(where):
    client = configured(where)

    for shown in (client, client.upload("db/x"), CommandSource(client.upload("db/x"))):
        assert SECRET not in f"{shown} {shown!r}"
    assert SECRET not in client.label


@every_configuration
def test_secret_is_in_no_argument_list_of_a_running_program(where, rclone_binary, tmp_path):
    """Every user of the machine can read that."""
    said = tmp_path / "said"
    hanging = wrapper(
        tmp_path / "bin",
        "rclone",
        rclone_binary,
        f"open({str(said)!r}, 'w').close(); print(flush=True); signal.pause()",
    )
    source = CommandSource(configured(where, str(hanging)).download("db/x"))
    source.open()
    try:
        source.read()
        shown = Path(f"/proc/{source._process.pid}/cmdline").read_bytes()
    finally:
        source.close()

    assert b"cat" in shown
    assert SECRET.encode() not in shown


@every_configuration
def test_secret_is_cut_out_of_error_messages(where, rclone_binary, tmp_path):
    loud = wrapper(
        tmp_path / "bin",
        "rclone",
        rclone_binary,
        "print(sorted(os.environ.values()), file=sys.stderr); sys.exit(1)",
    )
    client = configured(where, str(loud))

    with pytest.raises(BackupError) as caught:
        client.entries("db")

    assert "***" in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value!r}"


@pytest.mark.parametrize(
    "remote",
    [
        ":sftp,host=127.0.0.1,port=1,pass={}:x",
        ':sftp,host=127.0.0.1,port=1,pass="{}":x',
        ":sftp,host=127.0.0.1,port=1,pass='{}':x",
        ":sftp,pass={},host=127.0.0.1,port=one:x",
        ":nosuchbackend,pass={}:x",
    ],
)
def test_secret_is_cut_out_of_what_rclone_itself_says(rclone_binary, tmp_path, remote):
    client = replace(local_rclone(rclone_binary, tmp_path), remote=remote.format(SECRET))

    with pytest.raises(BackupError) as caught:
        client.entries("db")

    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value!r}"


@pytest.mark.parametrize(
    "parameter",
    ['"a,b:c@d"', "'a,b:c@d'", '"say ""hello"" twice"', "'it''s mine'", '"back\\slash"'],
)
def test_quoted_secret_is_cut_out_however_rclone_writes_it(rclone_binary, tmp_path, parameter):
    """rclone repeats connection strings in messages, with escapes of its own."""
    remote = f":sftp,host=127.0.0.1,port=1,pass={parameter}:x"
    client = replace(local_rclone(rclone_binary, tmp_path), remote=remote)
    said = subprocess.run(
        [rclone_binary, "lsjson", remote], capture_output=True, text=True, env=environment()
    ).stderr
    plain = parameter[1:-1].replace(parameter[0] * 2, parameter[0])

    assert remote in said or remote.replace("\\", "\\\\").replace('"', '\\"') in said
    shown = redact(f"{said} {plain}", client.secrets)
    for part in (plain, parameter[1:-1], plain.replace("\\", "\\\\").replace('"', '\\"')):
        assert part not in shown


@pytest.mark.parametrize(
    "remote, label",
    [
        ("s3:bucket/site", "s3:bucket/site"),
        ("crypt:", "crypt:"),
        ("/srv/backups", "/srv/backups"),
        ("/srv/a,b:c", "/srv/a,b:c"),
        (f":sftp,host=nas,pass={SECRET}:backups", ":sftp:backups"),
        (f'shop,pass="{SECRET}, and: more":a/b', "shop:a/b"),
        (f"shop,pass='{SECRET}: \" ':a/b", "shop:a/b"),
        (f':webdav,url="https://x:{SECRET}@nas/":', ":webdav:"),
        (f":sftp,pass={SECRET}", ":sftp,pass=***"),
    ],
)
def test_label_hides_the_parameters_of_a_connection_string(remote, label):
    assert Rclone(binary="rclone", remote=remote).label == label


@pytest.mark.parametrize(
    "flag",
    ["--s3-env-auth", "--sftp-key-use-agent", "--ask-password", "--drive-auth-owner-only", "--use-cookies"],
)
@pytest.mark.parametrize("others", [(), ("--fast-list",), ("-v",)])
def test_switch_that_sounds_like_a_secret_does_not_swallow_the_next_flag(flag, others):
    assert split_flags((flag, *others)) == ((flag, *others), {})


def test_plain_flags_stay_in_the_argument_list():
    flags = ("--fast-list", "--bwlimit", "10M", "--s3-chunk-size=16M", "-v")

    assert split_flags(flags) == (flags, {})


def test_hidden_flag_that_is_given_twice_is_refused_and_not_lost():
    client = Rclone(binary="rclone", remote="x:", flags=(f"--header=A: {SECRET}", "--header=B: 2"))

    with pytest.raises(UsageError, match="--header more than once") as caught:
        client.download("db/x")

    assert SECRET not in str(caught.value)
    assert "configuration of the remote" in caught.value.hint


def test_hidden_flag_reaches_rclone(rclone_binary, tmp_path):
    """A header with all that a variable could trip over arrives as it was given."""
    header, got = 'one, two; "three" = four', []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            got.append(self.headers["X-Token"])
            self.send_error(404)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        remote = f':http,url="http://127.0.0.1:{server.server_port}/":'
        client = replace(
            local_rclone(rclone_binary, tmp_path), remote=remote, flags=("--header", f"X-Token: {header}")
        )
        client.entries("db")
        server.shutdown()

    assert set(got) == {header}
