"""Hosts whose clocks are wrong: processes that libfaketime tells another time."""

from pathlib import Path

from tests.support.servers import missing

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def host(offset: str) -> dict[str, str]:
    """Return the environment of a host whose clock is wrong by this much, such as ``+2m``."""
    if not LIBRARIES:
        missing("faketime is not installed")
    return {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": offset}
