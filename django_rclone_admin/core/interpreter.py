"""Finds the Python interpreter of this environment, for code that needs a separate Python process."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from pathlib import Path


@functools.cache
def find_python() -> str | None:
    """Return the path of the interpreter, or ``None`` if it can't be found.

    In a server that embeds Python, such as uWSGI or Apache with mod_wsgi, ``sys.executable`` is the server's program or
    empty; then the interpreter is searched in the environment that the server uses.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [Path(prefix) / "bin" for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix)]
    folders.append(Path(sysconfig.get_config_var("BINDIR") or sys.base_prefix))
    places = [folder / name for folder in folders for name in (version, "python3", "python")]
    return next(
        (str(each) for each in (Path(sys.executable or ""), *places) if _is_python(each)),
        None,
    )


def _is_python(path: Path) -> bool:
    return path.name.startswith(("python", "pypy")) and path.is_file() and os.access(path, os.X_OK)
