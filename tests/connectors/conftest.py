"""Fixtures that several tests of connectors share."""

import pytest

from tests.support.mysql_shop import change, define, open_shop


@pytest.fixture
def mysql_shop(make_shop, mysql_server):
    """A shop on MariaDB whose restores make no safety backup."""
    with open_shop(make_shop, mysql_server, SAFETY_BACKUP=False) as shop:
        yield shop


@pytest.fixture
def changed_mysql_shop(make_shop, mysql_server):
    """The shop, with a backup, and changed since then so that a restore would be seen."""
    with open_shop(make_shop, mysql_server, SAFETY_BACKUP=False, backed_up=True, prepare=define) as shop:
        change(shop)
        yield shop
