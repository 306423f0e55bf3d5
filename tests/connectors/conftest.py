"""Fixtures that several tests of connectors share."""

import pytest

from tests.support.mysql_shop import back_up_and_change, open_shop


@pytest.fixture
def mysql_shop(make_shop, mysql_server):
    """A shop on MariaDB whose restores make no safety backup."""
    with open_shop(make_shop, mysql_server, SAFETY_BACKUP=False) as shop:
        yield shop


@pytest.fixture
def changed_mysql_shop(mysql_shop):
    """The shop, with a backup, and changed since then so that a restore would be seen."""
    back_up_and_change(mysql_shop)
    return mysql_shop
