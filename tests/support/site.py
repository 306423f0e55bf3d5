"""The shop as its operator has it: a home with databases and media, and ``manage.py`` in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import databases, leaks
from tests.support.forking import REPOSITORY, ForkedProcess, ForkServer
from tests.support.remotes import NO_AUTHORITIES, SHORT_GO, Remote
from tests.support.waiting import patience

QUICK_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""For the passwords of tests: each usual hash takes a fifth of a second."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one command."""

    code: int
    out: str
    err: str
    raw: bytes = field(repr=False)
    """Standard output as it came."""

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


def start_environment() -> dict[str, str]:
    """Return the part of the environment of all ``manage.py`` that decides how Python starts."""
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    # The allocator's checks are for faults of code in C, of which there is none; they cost a tenth of the time.
    allocator = {"PYTHONMALLOC": "pymalloc"}
    return coverage | allocator | {"LANG": "C.UTF-8", "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}


class Shop:
    """One shop. ``settings`` and ``environment`` may be changed between two commands."""

    def __init__(
        self,
        name: str,
        home: Path,
        entries: dict[str, dict[str, Any]],
        path: str,
        fork_server: ForkServer | None = None,
    ) -> None:
        self.name = name
        """What the names of its databases on a server begin with."""
        self.home = home
        self.settings: dict[str, Any] = {"DATABASES": entries, "PASSWORD_HASHERS": QUICK_HASHERS}
        """Replacements for the settings in ``tests.site.settings``."""
        self.temporary = home / "tmp"
        """Where its processes put their temporary files; empty when all is well."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.environment = start_environment() | {
            **SHORT_GO,
            **NO_AUTHORITIES,
            "HOME": str(home),
            "PATH": path,
            "SHOP_HOME": str(home),
            "TMPDIR": str(self.temporary),
        }
        self.fork_server = fork_server
        self.remote: Remote | None = None
        self.backup = ""
        """The path of the backup that it was opened with."""
        self.processes: list[subprocess.Popen[bytes]] = []

    def manage(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,  # noqa: A002 (as subprocess.run calls it)
        timeout: float = 60,
        new_python: bool = False,
        before: Sequence[str] = (),
    ) -> Result:
        """Run ``manage.py`` to its end. Whatever it started itself has to end with it."""
        answers = input.encode() if isinstance(input, str) else input
        stdin = subprocess.DEVNULL if answers is None else subprocess.PIPE
        process = self.start(*arguments, env=env, stdin=stdin, new_python=new_python, before=before)
        return self.finish(process, answers, timeout)

    def finish(
        self, process: subprocess.Popen[bytes], answers: bytes | None = None, timeout: float = 60
    ) -> Result:
        """Wait for the end of what ``start`` started."""
        timeout *= patience()
        try:
            out, err = process.communicate(answers, timeout)
        except subprocess.TimeoutExpired:
            self._kill(process)
            out, err = process.communicate()
            command, shown = " ".join(map(str, process.args)), (out + (err or b"")).decode(errors="replace")
            pytest.fail(f"{command} is still running after {timeout:.0f} s:\n{shown}", pytrace=False)
        out_text, err_text = out.decode(errors="replace"), (err or b"").decode(errors="replace")
        assert "ResourceWarning" not in err_text, err_text
        return Result(code=process.returncode, out=out_text, err=err_text, raw=out)

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
        new_python: bool = False,
        before: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """Start ``manage.py`` and return at once. Killed at the end of the test, if it still runs then.

        :param new_python: whether Python itself has to be started, for what depends on its start.
        :param before: a program that starts it, with its arguments.
        """
        environment = self.environment | {"SHOP_SETTINGS": json.dumps(self.settings)} | dict(env or {})
        streams = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": stderr}
        process: subprocess.Popen[bytes]
        if self.fork_server and self.fork_server.can_give(environment) and not (new_python or before):
            process = ForkedProcess(self.fork_server, ["manage.py", *arguments], env=environment, **streams)
        else:
            process = subprocess.Popen(
                [*before, sys.executable, "manage.py", *arguments],
                cwd=REPOSITORY,
                env=environment,
                start_new_session=True,
                **streams,
            )
        self.processes.append(process)
        return process

    def serve(
        self, *arguments: str, log: Path, before: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start Python with these arguments for the shop's project, to work in the background; see ``end``.

        :param before: a program that starts it, with its arguments.
        """
        environment = {"DJANGO_SETTINGS_MODULE": "tests.site.settings", "PYTHONPATH": str(REPOSITORY)}
        with log.open("wb") as output:
            return subprocess.Popen(
                [*before, sys.executable, *arguments],
                cwd=self.home,  # servers put files where they are started
                env=self.environment
                | environment
                | {"SHOP_SETTINGS": json.dumps(self.settings)}
                | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def serve_site(self, address: str, log: Path) -> subprocess.Popen[bytes]:
        """Start ``runserver`` at an address, to work in the background; see ``end``."""
        arguments = ["runserver", "--noreload", address]
        environment = self.environment | {"SHOP_SETTINGS": json.dumps(self.settings)}
        if not self.fork_server or not self.fork_server.can_give(environment):
            return self.serve("-m", "django", *arguments, log=log)
        with log.open("wb") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            return ForkedProcess(self.fork_server, ["manage.py", *arguments], env=environment, **streams)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Stop what ``serve`` started, and may have ended; what it was asked to do has to end with it."""
        with leaks.burying("rclone"):  # a page that was left a moment ago may have asked for a list
            process.terminate()
            try:
                process.wait(15 * patience())
            except subprocess.TimeoutExpired:
                self._kill(process)
                process.wait()
                raise

    def kill(self, process: subprocess.Popen[bytes]) -> Result:
        """End a ``manage.py`` as a lack of memory does; what it started has to end by itself."""
        with leaks.burying():
            process.kill()
            return self.finish(process)

    def rows(self, alias: str = "default", ignore: Iterable[str] = ()) -> databases.Rows:
        """Return every row of every table of a database but the history of runs and the tables to ``ignore``."""
        return databases.rows(self.settings["DATABASES"][alias], ignore)

    def execute(self, statement: str, alias: str = "default") -> list[tuple[Any, ...]]:
        """Execute one statement on a database, commit it, and return its rows, if it has any."""
        return databases.execute(self.settings["DATABASES"][alias], statement)

    def path(self, alias: str = "default") -> Path:
        """Return the file of a SQLite database."""
        return Path(self.settings["DATABASES"][alias]["NAME"])

    def names(self) -> list[str]:
        """Return the names of all objects in the remote's folder of database backups."""
        assert self.remote is not None
        return [name.removeprefix("db/") for name in self.remote.names("db")]

    def close(self) -> None:
        """End what ``start`` started, with what that started, and close its pipes."""
        for process in self.processes:
            with leaks.burying():
                if process.poll() is None:
                    self._kill(process)
                with suppress(BrokenPipeError), process:
                    pass
        self.processes.clear()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
