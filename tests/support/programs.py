"""Programs that fail as programs do: small real ones around the real one, for ``BIN_DIR`` and ``RCLONE_BINARY``.

``when`` is a regular expression, searched in the arguments as one line; calls that it does not match go through to
the real program untouched. ``status`` is how the program ends: an exit code, or minus the number of a signal.
"""

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from textwrap import dedent

from tests.support.waiting import wait_for

UPLOAD = r"^(?!.*manifest).*\brcat\b"
"""rclone uploads a backup."""

DOWNLOAD = r"^(?!.*(manifest|files-from)).*\bcat\b"
"""rclone downloads a backup."""

CLIENTS = re.compile(r"mariadb|mongo|mysql|pg_|psql")
"""How the names of the programs of databases begin."""

PROGRAM = """\
#!{python} -IS
import os, sys, time
{imports}
REAL = {real!r}
PIPE, DEVNULL = -1, -3  # as in subprocess, which is imported where it is needed: most calls go through untouched
sys.argv[0] = {program!r}
arguments = sys.argv[1:]


def start(**streams):
    import ctypes, signal
    from subprocess import Popen

    # Where we are killed, the real program must not live on.
    die_too = (lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL)) if sys.platform == "linux" else None
    return Popen([REAL, *arguments], preexec_fn=die_too, **streams)


def copy(source, sink, limit=None):
    while limit != 0 and (data := source.read(65536 if limit is None else min(limit, 65536))):
        sink.write(data)
        limit = limit and limit - len(data)
    sink.flush()


def hold():
    # Go on when we are told to, or when whoever started us is gone.
    parent = os.getppid()
    open(sys.argv[0] + ".held", "w").close()
    while not os.path.exists(sys.argv[0] + ".released") and os.getppid() == parent:
        time.sleep(0.01)


def end(process, status):
    import signal

    process.kill()
    process.wait()
    if status < 0:
        os.kill(os.getpid(), -status)
        signal.pause()
    os._exit(status)


{body}
os.execv(REAL, [REAL, *arguments])
"""

FILTER = """\
#!/bin/sh
printf %s "$*" | LC_ALL=C grep -qzP -e {when} || exec {real} "$@"
exec {script} "$@"
"""
"""Lets the calls that do not match go through without a start of Python, which costs more than this."""


def wrapper(folder: Path, name: str, real: str | Path, body: str, when: str = "") -> Path:
    """Write the program ``name``, which runs ``body`` and then, if that does not end it, becomes the ``real`` one.

    The body is Python and finds ``REAL``, ``arguments``, ``start(**streams)``, which starts the real program,
    ``copy(source, sink, limit)``, ``hold()``, which waits in the middle of it, and ``end(process, status)``, which
    kills the real program and ends.
    The other programs of databases beside the real one are linked, so that ``folder`` can serve as ``BIN_DIR``.

    :param when: a regular expression: calls with other arguments start no Python.
    """
    real = Path(real).absolute()  # Debian's pg_dump is a link that looks at its own name
    folder.mkdir(parents=True, exist_ok=True)
    if name != "rclone":
        for other in real.parent.iterdir():
            if other.name != name and CLIENTS.match(other.name) and not (folder / other.name).exists():
                (folder / other.name).symlink_to(other)
    program = folder / name
    script = folder / f".{name}.py" if when else program
    imports = "".join(f"import {each}\n" for each in ("re", "signal") if f"{each}." in body)
    values = {"python": sys.executable, "real": str(real), "program": str(program), "imports": imports}
    _write(script, PROGRAM.format(**values, body=body))
    if when:
        _write(
            program,
            FILTER.format(
                when=shlex.quote(when), real=shlex.quote(str(real)), script=shlex.quote(str(script))
            ),
        )
    return program


def _write(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)


def counting(folder: Path, real: str | Path, log: Path) -> Path:
    """Write an rclone that writes its arguments into a log, a line for each call, and costs as little as it can."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "rclone"
    real, file = shlex.quote(str(real)), shlex.quote(str(log))
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {file}\nexec {real} "$@"\n')
    program.chmod(0o755)
    log.touch()
    return program


def counted(log: Path) -> list[str]:
    """Return the commands of rclone, such as ``lsjson``, since the last look at the log of :func:`counting`."""
    lines = log.read_text().splitlines()
    log.write_text("")
    return [next(word for word in line.split() if not word.startswith("-")) for line in lines]


def after(before: str, when: str, then: str) -> str:
    """Return the body of a program that does something in a call, if a call like ``before`` has come before it.

    :param then: Python statements on one line.
    """
    return f"""
line, seen = " ".join(arguments), sys.argv[0] + ".seen"
if re.search({when!r}, line) and ({not before} or os.path.exists(seen)):
    {then}
elif re.search({before!r}, line):
    open(seen, "w").close()
"""


def cut_output(
    folder: Path, name: str, real: str | Path, *, after: int, status: int = -SIGKILL, when: str = ""
) -> Path:
    """Write a program that ends with ``status`` as soon as it has put out its first ``after`` bytes."""
    return _when(
        folder,
        name,
        real,
        when,
        f"""
    process = start(stdout=PIPE)
    copy(process.stdout, sys.stdout.buffer, {after})
    end(process, {int(status)})
""",
    )


def cut_input(
    folder: Path, name: str, real: str | Path, *, after: int, status: int = -SIGKILL, when: str = ""
) -> Path:
    """Write a program that ends with ``status`` as soon as it has passed on the first ``after`` bytes of its input."""
    return _when(
        folder,
        name,
        real,
        when,
        f"""
    process = start(stdin=PIPE)
    copy(sys.stdin.buffer, process.stdin, {after})
    end(process, {int(status)})
""",
    )


def flip_output(folder: Path, name: str, real: str | Path, *, at: int, when: str = "") -> Path:
    """Write a program that puts out one wrong bit, in the byte ``at``, and ends as the real one does."""
    return _when(
        folder,
        name,
        real,
        when,
        f"""
    process = start(stdout=PIPE)
    copy(process.stdout, sys.stdout.buffer, {at})
    byte = process.stdout.read(1)
    sys.stdout.buffer.write(bytes(value ^ 1 for value in byte))
    copy(process.stdout, sys.stdout.buffer)
    sys.exit(process.wait())
""",
    )


@dataclass(frozen=True, kw_only=True)
class Held:
    """A program that stops in the middle of its work, once, and goes on when it is told to."""

    program: Path

    def wait(self) -> None:
        """Return when the middle of the work is reached."""
        wait_for(Path(f"{self.program}.held").exists)

    def release(self) -> None:
        """Let it go on. One whose parent is gone goes on by itself."""
        Path(f"{self.program}.released").touch()


def hold_output(folder: Path, name: str, real: str | Path, *, after: int, when: str = "") -> Held:
    """Write a program that stops once it has put out its first ``after`` bytes."""
    body = f"""
    process = start(stdout=PIPE)
    copy(process.stdout, sys.stdout.buffer, {after})
    hold()
    copy(process.stdout, sys.stdout.buffer)
    sys.exit(process.wait())
"""
    return Held(program=_when(folder, name, real, when, body))


def hold_input(folder: Path, name: str, real: str | Path, *, after: int, when: str = "") -> Held:
    """Write a program that stops once it has passed on the first ``after`` bytes of its input."""
    body = f"""
    process = start(stdin=PIPE)
    copy(sys.stdin.buffer, process.stdin, {after})
    hold()
    copy(sys.stdin.buffer, process.stdin)
    process.stdin.close()
    sys.exit(process.wait())
"""
    return Held(program=_when(folder, name, real, when, body))


def hang(folder: Path, name: str, real: str | Path, *, when: str = "") -> Path:
    """Write a program that neither reads nor writes nor ends."""
    return _when(
        folder,
        name,
        real,
        when,
        """
    signal.pause()
""",
    )


def fail(folder: Path, name: str, real: str | Path, *, message: str, status: int = 1, when: str = "") -> Path:
    """Write a program that only complains."""
    return _when(
        folder,
        name,
        real,
        when,
        f"""
    print({message!r}, file=sys.stderr)
    sys.exit({status})
""",
    )


def _when(folder: Path, name: str, real: str | Path, when: str, body: str) -> Path:
    return wrapper(folder, name, real, dedent(body), when)
