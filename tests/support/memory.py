"""How much memory a piece of work takes, measured in a process of its own."""

import json
import subprocess
import sys
from typing import Any

import pytest

MEGABYTE = 1 << 20

CHILD = """
import json, sys

def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name + ":"))

{setup}
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")  # the peak begins anew
before = memory("VmRSS")
{work}
print(json.dumps([memory("VmHWM") - before, result]))
"""
"""``ru_maxrss`` would not do: a new process begins with the peak of the one that started it."""


def peak(setup: str, work: str, *arguments: object) -> tuple[int, Any]:
    """Run ``setup`` and then ``work``, which sets ``result``, in a new Python.

    :returns: the bytes that the work took at its peak on top of what was there before it, and its result.
    """
    if sys.platform != "linux":
        pytest.skip("the peak of a process's memory is read from Linux's /proc")
    code = CHILD.replace("{setup}", setup).replace("{work}", work)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    size, result = json.loads(done.stdout)
    return size, result
