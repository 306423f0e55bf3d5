"""Rows that are longer than the server takes as one statement are handed over in pieces."""

import re

import pytest

from django_rclone_admin.connectors.mysql.long_rows import in_pieces, longest_value
from django_rclone_admin.exceptions import RestoreRefused

PACKET = 100_000
VALUES = {
    "digits": b"0x" + b"00FF27" * 60_000,
    "text": "'{}'".format("Grüße 🐘 \\' \\\\ '' \\n" * 8_000).encode(),
    "escapes": b"'" + b"\\\\" * 90_000 + b"'",
    "quotes": b"'" + b"''" * 90_000 + b"'",
    "marked bytes": b"_binary '" + b"\xff\\0\x80" * 60_000 + b"'",
}
SIZES = {"digits": 180_000, "escapes": 90_000, "quotes": 90_000, "marked bytes": 180_000}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_pieces_together_are_the_value(value):
    rows = b"\n(1," + value + b",'short')"
    statements = list(in_pieces(b"INSERT INTO `t` VALUES", rows, packet=300_000, table="t"))
    assert all(len(each) < 300_000 for each in statements)
    assert statements[-1] == b"INSERT INTO `t` VALUES\n(1,@dra_0,'short');\n"
    pieces = [re.search(rb"CONCAT\(@dra_0, (.+)\);\n", each, re.DOTALL)[1] for each in statements[1:-1]]
    inner = b"".join(re.fullmatch(rb"(?:X|_binary )?'(.*)'", each, re.DOTALL)[1] for each in pieces)
    assert inner == re.fullmatch(rb"(?:0x|_binary ')?'?(.*?)'?", value, re.DOTALL)[1]
    for each in pieces:
        body = re.fullmatch(rb"(?:X|_binary )?'(.*)'", each, re.DOTALL)[1]
        assert re.fullmatch(rb"(?:[^'\\]|\\.|'')*", body, re.DOTALL)


@pytest.mark.parametrize("name", SIZES)
def test_a_value_is_as_long_as_the_server_holds_it(name):
    assert longest_value(b"(1," + VALUES[name] + b",'short')") == SIZES[name]


def test_a_value_that_no_statement_can_hold_is_refused():
    rows = b"(1," + VALUES["digits"] + b")"
    with pytest.raises(RestoreRefused, match="table t has a value of 180000 bytes") as raised:
        list(in_pieces(b"INSERT INTO `t` VALUES", rows, packet=PACKET, table="t"))
    assert "max_allowed_packet" in raised.value.hint
