"""MariaDB is called MariaDB, also where no server is asked."""

import pytest

from tests.support.commands import done

pytestmark = pytest.mark.mysql
UNASKED = """
from django_rclone_admin.connectors.registry import get_connector
print(get_connector("default").vendor_name)
"""


def test_mariadb_is_called_mariadb(make_shop):
    shop = make_shop("mysql", backed_up=True)
    assert done(shop, "shell", "--verbosity=0", "-c", UNASKED).split() == ["MariaDB"]
    plan = done(shop, "dbrestore", "--dry-run")
    assert "Into: default, MariaDB 1" in plan
    assert "Dumped from: MariaDB 1" in plan
