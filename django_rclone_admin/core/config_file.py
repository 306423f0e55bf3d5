"""Reads which remotes rclone's configuration defines, without starting rclone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

NAMED = re.compile(r"^([\w.+@ -]+)(?:,[^/]*)?:")
"""A remote that the configuration must define: neither a local path nor an on-the-fly backend (``:sftp,…:``)."""
ENCRYPTED = "RCLONE_ENCRYPT_V"
LINE = re.compile(r"\s*([#;].*|\[.+\]\s*|[^=\[\]]+=.*)?$")
"""A line of rclone's configuration: empty, a comment, the name of a remote, or a value."""


def remote_name(remote: str) -> str | None:
    """Return the name of a configured remote in ``name:path``; ``None`` if it needs no configuration."""
    match = NAMED.match(remote)
    return match[1].strip() if match else None


def local_folder(remote: str) -> Path | None:
    """Return the folder of this machine that a remote is by its spelling; ``None`` for all others."""
    return None if remote_name(remote) is not None or remote.startswith(":") else Path(remote)


def is_configured(name: str, env: Mapping[str, str], files: Iterable[Path]) -> bool | None:
    """Whether a remote is defined by a variable, or in the first of these files that exists.

    :returns: ``None`` where it can't be known: the file is encrypted, unreadable, or not written like one of rclone's.
    """
    wanted = _as_variable(f"RCLONE_CONFIG_{name}_TYPE")
    if any(_as_variable(key) == wanted for key in env):
        return True
    for file in files:
        try:
            text = file.read_text(errors="replace")
        except FileNotFoundError:
            continue
        except OSError:
            return None
        if ENCRYPTED in text or any(not LINE.match(each) for each in text.splitlines()):
            return None
        return name in (each.strip() for each in re.findall(r"^\s*\[(.+)\]\s*$", text, re.MULTILINE))
    return False


def default_files(env: Mapping[str, str], binary: str) -> list[Path]:
    """Return where rclone looks for its configuration, in its order (``rclone help``, section “config file”)."""
    home = Path(env["HOME"]) if env.get("HOME") else None
    folders = [Path(binary).parent] if Path(binary).is_absolute() else []
    files = [folder / "rclone.conf" for folder in folders]
    if env.get("XDG_CONFIG_HOME"):
        files.append(Path(env["XDG_CONFIG_HOME"]) / "rclone" / "rclone.conf")
    if home:
        files += [home / ".config" / "rclone" / "rclone.conf", home / ".rclone.conf"]
    return files


def _as_variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()
