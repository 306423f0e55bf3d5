"""How rclone is called: only we read the results, and it gets no flag that spoils what we read."""

import re
import subprocess

import pytest

from tests.support import programs
from tests.support.commands import document, done
from tests.support.remotes import environment, obscured


def test_what_lies_in_a_local_remote_is_private(shop):
    """The database is too; whoever may read its backup may read all of it."""
    (shop.path().parent / "media").mkdir(exist_ok=True)
    done(shop, "dbbackup", "--label", "x")

    found = {path.name: path.stat().st_mode & 0o777 for path in shop.remote.root.rglob("*")}

    assert len(found) >= 3
    assert {mode for name, mode in found.items() if name == "db"} == {0o700}
    assert {mode for name, mode in found.items() if name != "db"} == {0o600}


@pytest.mark.parametrize(
    "values",
    [{"RCLONE_FLAGS": ["--progress"]}, {"RCLONE_FLAGS": ["-P"]}, {"RCLONE_ENV": {"RCLONE_PROGRESS": "true"}}],
    ids=str,
)
def test_flag_that_spoils_answers_is_named_before_anything_is_done(make_shop, values):
    shop = make_shop(**values)

    for command in (("dbbackup",), ("listbackups",), ("prunebackups",)):
        result = shop.manage(*command)
        assert result.code in (1, 2)
        assert "--progress" in result.err
        assert "Traceback" not in result.err
    assert shop.remote.names() == []


@pytest.mark.parametrize("said", ["Transferred: 0 B", "[1, 2]", '{"a": 1}', "null", '[{"Name": "x"}]'])
def test_wrapper_that_prints_is_one_sentence(shop, tmp_path, rclone_binary, said):
    body = f"if 'lsjson' in arguments: print({said!r}); sys.exit(0)"
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(
        programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body)
    )

    result = shop.manage("listbackups")

    assert result.code == 1
    sentence, hint = result.err.strip().splitlines()
    assert "an unexpected answer" in sentence
    assert "RCLONE_BINARY" in hint


@pytest.mark.backed_up
@pytest.mark.parametrize("way", ["RCLONE_PASSWORD_COMMAND", "RCLONE_CONFIG_PASS"])
def test_encrypted_configuration_is_opened_by_what_the_environment_says(shop, tmp_path, rclone_binary, way):
    config = tmp_path / "rclone.conf"
    config.write_text(f"[shop]\ntype = alias\nremote = {shop.remote.root}\n")
    subprocess.run(
        [rclone_binary, "config", "encryption", "set", "--config", str(config)],
        env=environment() | {"RCLONE_PASSWORD_COMMAND": "echo opening-hours"}, input=b"", check=True, capture_output=True,
    )  # fmt: skip
    assert "RCLONE_ENCRYPT" in config.read_text()
    shop.settings["DJANGO_RCLONE"] |= {"REMOTE": "shop:", "RCLONE_CONFIG": str(config)}
    shop.environment[way] = "opening-hours" if way == "RCLONE_CONFIG_PASS" else "echo opening-hours"

    assert [each["path"] for each in document(shop, "listbackups")] == [shop.backup]


def test_messages_have_the_names_that_people_know(shop, rclone_binary):
    hidden = obscured(rclone_binary, "x")
    for remote, expected in {
        "nosuchremote:backups": "The remote “nosuchremote” in REMOTE is not configured in rclone.",
        f":sftp,host=127.0.0.1,port=1,user=x,pass={hidden}:backups": "The remote can't be reached",
    }.items():
        shop.settings["DJANGO_RCLONE"]["REMOTE"] = remote
        for command in (("dbbackup",), ("listbackups",)):
            said = shop.manage(*command).err
            assert expected in said
            assert "djangorcloneadmin" not in said.lower()
            assert len(re.findall("refused", said)) <= 1
