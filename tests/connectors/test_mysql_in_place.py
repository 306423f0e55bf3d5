"""MySQL in place is not all or nothing: what a failure says must be what is true, and it can be taken back."""

import pytest

from tests.support import programs
from tests.support.commands import undo_once
from tests.support.faults import add_noise, assert_failed
from tests.support.mysql_shop import open_shop
from tests.support.programs import DOWNLOAD

pytestmark = pytest.mark.mysql

IN_PLACE = ("dbrestore", "--noinput", "--strategy=in_place")


@pytest.fixture
def shop(make_shop, mysql_server):
    """A shop with a large backup, and changes since then."""
    with open_shop(make_shop, mysql_server, backed_up=True, prepare=add_noise) as shop:
        shop.execute("UPDATE shop_product SET price = 2000")
        shop.execute("CREATE TABLE newer AS SELECT * FROM shop_product")
        yield shop


def break_download(shop, folder, rclone, after):
    program = programs.cut_output(folder / "bin", "rclone", rclone, after=after, status=9, when=DOWNLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)


def test_download_that_breaks_in_the_middle_is_told_as_it_is_and_can_be_undone(shop, tmp_path, rclone_binary):
    before = shop.rows()
    break_download(shop, tmp_path, rclone_binary, 1_200_000)
    result = shop.manage(*IN_PLACE)
    assert_failed(result, "rclone")
    assert "Nothing was changed" not in result.err
    assert "may hold a part of the backup now" in result.err
    assert "“dbrestore --undo”" in result.err
    assert shop.rows() != before

    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    undo_once(shop)
    assert shop.rows() == before


def test_without_a_safety_backup_no_undo_is_promised(shop, tmp_path, rclone_binary):
    """A download that never begins has changed nothing, and one that breaks in the middle is told as it is."""
    assert "is not all-or-nothing" in shop.manage(*IN_PLACE, "--dry-run").out
    assert "all-or-nothing" not in shop.manage("dbrestore", "--dry-run").out
    before = shop.rows()
    break_download(shop, tmp_path, rclone_binary, 0)
    result = shop.manage(*IN_PLACE, "--no-safety-backup")
    assert_failed(result, "rclone")
    assert "may hold a part" not in result.err
    assert shop.rows() == before

    break_download(shop, tmp_path, rclone_binary, 1_200_000)
    result = shop.manage(*IN_PLACE, "--no-safety-backup")
    assert_failed(result, "rclone")
    assert "may hold a part of the backup now" in result.err
    assert "no backup was made before" in result.err
    assert "--undo" not in result.err
