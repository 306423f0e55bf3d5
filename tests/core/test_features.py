"""What a remote can do, and how large its parts are, wherever rclone reads that from."""

import pytest

from django_rclone_admin.core.features import configured_part_size, read_features
from django_rclone_admin.core.rclone import Rclone

MIB = 1 << 20


@pytest.mark.parametrize(
    "configuration, size",
    [
        ({}, None),
        ({"flags": ("--s3-chunk-size=5Mi",)}, 5 * MIB),
        ({"flags": ("--s3-chunk-size", "5120k")}, 5 * MIB),
        ({"flags": ("--s3-chunk-size=0.5G", "--azureblob-chunk-size=64M")}, 64 * MIB),
        ({"env": {"RCLONE_S3_CHUNK_SIZE": "16M"}}, 16 * MIB),
        ({"env": {"RCLONE_CONFIG_SHOP_CHUNK_SIZE": "8192"}}, 8 * MIB),
        ({"inherited": {"RCLONE_CONFIG_SHOP_CHUNK_SIZE": "16Mi"}}, 16 * MIB),
        ({"inherited": {"RCLONE_S3_CHUNK_SIZE": "16Mi"}}, None),  # rclone does not get that one from us
        ({"remote": "shop,chunk_size=5M:bucket"}, 5 * MIB),
        ({"remote": ":s3,provider=Other,chunk_size='5Mi':bucket"}, 5 * MIB),
    ],
)
def test_size_of_the_parts_is_read_where_rclone_reads_it(configuration, size):
    assert configured_part_size(Rclone(**{"binary": "rclone", "remote": "shop:", **configuration})) == size


@pytest.mark.parametrize(
    "around, is_encrypted",
    [("", True), ("chunker", None), ("compress", None), ("union", None)],
    ids=["crypt", "chunker over crypt", "compress over crypt", "union of crypts"],
)
@pytest.mark.in_turns("binary")
@pytest.mark.parametrize("binary", ["rclone_binary", "debian_rclone"])
def test_encryption_is_told_or_left_open(request, tmp_path, remote, binary, around, is_encrypted):
    program = request.getfixturevalue(binary)
    define = {f"RCLONE_CONFIG_{name}": value for name, value in {
        "INNER_TYPE": "crypt", "INNER_REMOTE": str(tmp_path), "INNER_PASSWORD": remote.rclone("obscure", "x").decode().strip(),
        "OUTER_TYPE": around or "alias", "OUTER_REMOTE": "inner:", "OUTER_UPSTREAMS": f"inner: {tmp_path}",
    }.items()}  # fmt: skip
    rclone = Rclone(binary=program, remote="outer:", env=define)
    features = read_features(rclone)
    assert features.is_encrypted is is_encrypted
    assert features.can_rename
    assert read_features(Rclone(binary=program, remote=str(tmp_path))).is_encrypted is False
