"""Storage servers of rclone on loopback, and a maker of remotes on them: good ones, and ones that never work."""

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest

from tests.support.remotes import PASSWORD, USER, Remote, crypt, environment, local, served
from tests.support.servers import Server

SERVED = ("s3", "sftp", "webdav")
KINDS = ("local", "crypt", *SERVED)
FAULTS = ("refused", "silent", "credentials")
BROKEN = ("unknown", *(f"{kind}-{fault}" for kind in SERVED for fault in FAULTS))

BUCKET = "backups"
WRONG_PASSWORD = "closed-on-sundays"

on_every_remote = pytest.mark.parametrize("remote", KINDS, indirect=True)
"""Run the test once on each kind of remote."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a storage server listens, and where it keeps the bytes."""

    kind: str
    root: Path
    port: int

    def remote(self, name: str, binary: str) -> Remote:
        """Return a remote on this server for one test."""
        folder = f"{BUCKET}/{name}" if self.kind == "s3" else name
        return served(self.kind, self.port, folder, root=self.root / folder, binary=binary)


class StorageServer:
    """``rclone serve KIND`` of a folder, on a loopback port that the system chooses.

    :param bandwidth: bytes a second that it takes, as rclone writes them.
    :param read_only: it refuses every change, of what another server on the same folder may change.
    """

    def __init__(
        self, binary: str, kind: str, folder: Path, *, bandwidth: str = "off", read_only: bool = False
    ) -> None:
        self.binary = binary
        self.options = ["--bwlimit", bandwidth, *(["--read-only"] if read_only else [])]
        self.kind = kind
        self.root = folder / "root"
        (self.root / BUCKET).mkdir(parents=True, exist_ok=True)
        # Not both: the S3 server would ask for name and password on top of the key.
        if kind == "s3":
            credentials = {"RCLONE_AUTH_KEY": f'"{USER},{PASSWORD}"'}
        else:
            credentials = {"RCLONE_USER": USER, "RCLONE_PASS": PASSWORD}
        self._log, self._env = folder / "log", environment() | {"HOME": str(folder)} | credentials
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start the server; once more, on the same port."""
        # Credentials travel by the environment, so that no look at the process list finds them. A cache of folders
        # would hide what a test changes on the disk, but with a time of 0, rclone 1.75 spins after the first upload.
        options = ["--addr", f"127.0.0.1:{self.port}", "--dir-cache-time", "1ms"]
        options += self.options
        self.server = Server(
            [self.binary, "serve", self.kind, str(self.root), *options], log=self._log, env=self._env
        )
        try:
            self.port = self.server.wait_until(self._listening_port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.server.stop()

    @property
    def place(self) -> Place:
        return Place(kind=self.kind, root=self.root, port=self.port)

    def remote(self, name: str) -> Remote:
        """Return a remote on this server for one test."""
        return self.place.remote(name, self.binary)

    def _listening_port(self) -> int | None:
        announced = re.search(r"127\.0\.0\.1:([1-9]\d*)", self.server.output())
        if announced is None:
            return None
        port = int(announced[1])
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return port
        return None


class Storage:
    """Makes remotes.

    :param folder: of the local ones.
    :param find: starts the server of one of ``SERVED`` where it does not run yet, and returns its place.
    """

    def __init__(self, binary: str, folder: Path, find: Callable[[str], Place]) -> None:
        self.binary = binary
        self.folder = folder
        self.find = cache(find)
        self.sockets = ExitStack()
        self.read_only_servers: dict[str, StorageServer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.sockets.close()

    def remote(self, kind: str) -> Remote:
        """Return a new, empty remote of one of ``KINDS``."""
        name = uuid4().hex[:12]
        if kind in SERVED:
            return self.find(kind).remote(name, self.binary)
        root = self.folder / name
        root.mkdir()
        return {"local": local, "crypt": crypt}[kind](root, self.binary)

    def read_only(self, remote: Remote) -> Remote:
        """Return a remote with the objects of another, a served one, that refuses every change."""
        if remote.kind not in self.read_only_servers:
            folder = self.folder / f"{remote.kind}-read-only"
            folder.mkdir()
            (folder / "root").symlink_to(self.find(remote.kind).root)
            server = StorageServer(self.binary, remote.kind, folder, read_only=True)
            self.sockets.callback(server.stop)
            self.read_only_servers[remote.kind] = server
        return self.read_only_servers[remote.kind].remote(remote.root.name)

    def broken_remote(self, kind: str) -> Remote:
        """Return a remote, one of ``BROKEN``, that nobody can reach. Its ``root`` has to stay empty."""
        if kind == "unknown":
            return replace(self.remote("local"), kind=kind, settings={"REMOTE": "nosuchremote:backups"})
        kind, _, fault = kind.partition("-")
        good = self.remote(kind)
        if fault == "credentials":
            port, password = self.find(kind).port, WRONG_PASSWORD
        else:
            port, password = self._port(silent=fault == "silent"), PASSWORD
        folder = good.settings["REMOTE"].partition(":")[2]
        return served(kind, port, folder, root=good.root, binary=self.binary, password=password)

    def _port(self, *, silent: bool) -> int:
        """Return a port that takes connections and never says a word, or else one that refuses them."""
        held = self.sockets.enter_context(socket.socket())
        held.bind(("127.0.0.1", 0))
        if silent:
            held.listen(100)
        port: int = held.getsockname()[1]
        return port
