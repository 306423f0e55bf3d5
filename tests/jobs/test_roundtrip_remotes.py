"""Backups travel through every kind of remote and come back, with nothing else left there."""

from itertools import product
from pathlib import Path

import pytest

from tests.support.faults import add_noise
from tests.support.matrix import sampled
from tests.support.storage import KINDS

MUCH = {"s3": 60_000, "crypt": 5_000}
"""Rows of noise: more bytes than rclone uploads to S3 in one part, 5 MiB, and encrypts in one block, 64 KiB."""


@pytest.mark.parametrize(
    "remote, database",
    sampled(
        product(KINDS, ["sqlite", "postgresql"]),
        # The other tests of this file use SFTP, those of other files a local remote and, in test_retries, WebDAV.
        ("crypt", "sqlite"),
        ("s3", "postgresql"),
    ),
    indirect=["remote"],
)
def test_backup_comes_back(make_shop, remote, database):
    shop = make_shop(database, remote)
    if remote.kind in MUCH:
        add_noise(shop, MUCH[remote.kind])
    wanted = shop.rows()
    made = shop.manage("dbbackup", "--json")
    assert made.code == 0, made.err
    run = made.json
    [name, manifest] = shop.names()
    assert (run["path"], f"{name}.manifest.json") == (f"db/{name}", manifest)
    assert len(remote.read(f"db/{name}")) == run["size"]

    shop.execute("DELETE FROM shop_orderline")
    shop.execute("UPDATE shop_product SET price = 0")
    # Its upload is like that of the backup, so one kind of remote shows it.
    safety = remote.kind == "s3"
    result = shop.manage("dbrestore", "--noinput", *([] if safety else ["--no-safety-backup"]))
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    everything = shop.manage("listbackups", "--all", "--json").json
    assert [each["state"] for each in everything] == ["complete"] * (1 + safety)


@pytest.mark.parametrize("remote", sampled(KINDS, "s3"), indirect=True)
def test_oldest_supported_rclone_does_all_of_it(make_shop, remote, debian_rclone):
    shop = make_shop("sqlite", remote, RCLONE_BINARY=debian_rclone, DB_CLEANUP_KEEP=1, SAFETY_BACKUP=False)
    wanted = shop.rows()
    for options in [], ["--clean"]:
        made = shop.manage("dbbackup", *options)
        assert made.code == 0, made.err
    assert len(shop.names()) == 2
    shop.execute("DELETE FROM shop_orderline")
    result = shop.manage("dbrestore", "--noinput")
    assert result.code == 0, result.err
    assert shop.rows() == wanted


@pytest.mark.parametrize("remote", sampled(["crypt", "sftp"], "sftp"), indirect=True)
def test_remote_may_be_defined_by_a_configuration_file(make_shop, remote, tmp_path):
    shop = make_shop(
        "sqlite", remote, RCLONE_CONFIG=str(write_configuration(remote, tmp_path)), RCLONE_ENV={}
    )
    wanted = shop.rows()
    assert shop.manage("dbbackup").code == 0
    shop.execute("DELETE FROM shop_orderline")
    assert shop.manage("dbrestore", "--noinput", "--no-safety-backup").code == 0
    assert shop.rows() == wanted


def write_configuration(remote, folder: Path) -> Path:
    """Write what defines the remote as the file that rclone keeps."""
    file = folder / "rclone.conf"
    prefix = "RCLONE_CONFIG_SHOP_"
    options = {
        name.removeprefix(prefix).lower(): value for name, value in remote.settings["RCLONE_ENV"].items()
    }
    file.write_text("[shop]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    return file
