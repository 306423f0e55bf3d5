"""A local remote with an empty folder of backups, and its catalog."""

import pytest

from tests.support.engine import local_catalog


@pytest.fixture
def root(tmp_path):
    (tmp_path / "remote" / "db").mkdir(parents=True)
    return tmp_path / "remote"


@pytest.fixture
def catalog(rclone_binary, root):
    return local_catalog(rclone_binary, root)
