"""The servers that all workers share end with the run, however that ends."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import leaks
from tests.support.forking import REPOSITORY
from tests.support.matrix import sampled

CONTROLLER = """
from tests.support.keeper import Keeper, SharedServers

keeper = Keeper()
servers = SharedServers(keeper.folder)
place = servers.storage("webdav")
assert place == servers.storage("webdav")
print(keeper.folder, place.port, flush=True)
input()
keeper.stop()
"""


@pytest.mark.parametrize("is_killed", sampled([False, True], True), ids=["stopped", "killed"])
def test_servers_end_with_the_process_that_controls_the_run(is_killed):
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        folder, port = process.stdout.readline().split()
        started = leaks.descendants(process.pid)
        socket.create_connection(("127.0.0.1", int(port))).close()
        if is_killed:
            process.kill()
        else:
            process.stdin.write(b"\n")
    assert len(started) == 2  # the keeper and the server
    leaks.bury(started)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))
    assert not Path(folder.decode()).exists()
