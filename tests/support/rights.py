"""Takes root's right to read and write whatever it likes from a process, and from all that it starts."""

import ctypes
import os
from typing import Any

from tests.support.servers import LIBC
from tests.support.site import Shop

DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2
PR_CAPBSET_DROP = 24
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def without_rights(shop: Shop) -> None:
    """Have the processes of a shop do without that right. Other users have never had it."""
    if os.geteuid() == 0:
        # Django calls this function in each of them, and the apps need not be set up anew for it.
        shop.settings |= {"LOGGING": {"version": 1}, "LOGGING_CONFIG": f"{__name__}.{give_up.__name__}"}


def give_up(_logging: Any) -> None:
    """Take the right from this process."""
    assert LIBC is not None
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    rights = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, and the same for those from 32 on
    if LIBC.capget(header, rights):
        raise OSError("capget failed")
    for right in DAC_OVERRIDE, DAC_READ_SEARCH:
        if LIBC.prctl(PR_CAPBSET_DROP, right, 0, 0, 0):
            raise OSError("a right can't be taken from what is started")
        for which in range(3):
            rights[which] &= ~(1 << right)
    if LIBC.capset(header, rights):
        raise OSError("capset failed")
