"""Runs programs by turns, and measures each run: seconds, processor time, peak memory, bytes stored."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

LOOK = 0.1
"""Seconds between two looks at the memory. The kernel keeps the peak of each process, so few looks are enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one contestant."""

    seconds: float
    cpu: float = 0
    """Seconds of processor time of the program and of all that it started; a database server is not among them."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Peak bytes by the name of the process; the largest where there were several of a name."""
    stored: int | None = None
    """Bytes on the remote afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A program that takes part."""

    name: str
    run: Callable[[], Sample]
    before: Callable[[], object] = lambda: None
    """Puts things in order; its time does not count."""
    stored: Callable[[], int | None] = lambda: None
    """Bytes on the remote, asked after the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """How one contestant should compare with another."""

    name: str
    other: str
    most: float
    """At most so many times what the other takes."""
    what: str = "seconds"
    """Which figure of a sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All rounds of one subject."""

    title: str
    samples: Mapping[str, Sequence[Sample]]
    """By contestant; the rounds in their order."""
    goals: Sequence[Goal] = ()
    note: str = ""

    def ratio(self, goal: Goal) -> float:
        """Return the median, over the rounds, of what one took by what the other took in the same round."""
        pairs = zip(self.samples[goal.name], self.samples[goal.other], strict=True)
        return median(
            getattr(mine, goal.what) / max(getattr(other, goal.what), 1e-9) for mine, other in pairs
        )


def race(
    title: str, contestants: Sequence[Contestant], rounds: int, goals: Sequence[Goal] = (), note: str = ""
) -> Result:
    """Let contestants run by turns, A B A B, so that what else the machine does meets all of them."""
    samples: dict[str, list[Sample]] = {each.name: [] for each in contestants}
    for number in range(rounds):
        for each in contestants:
            each.before()
            sample = each.run()
            stored = each.stored()
            samples[each.name].append(
                Sample(seconds=sample.seconds, cpu=sample.cpu, memory=sample.memory, stored=stored)
            )
            print(
                f"  {title}, round {number + 1}: {each.name:45} {sample.seconds:8.2f} s {sample.cpu:8.2f} s",
                flush=True,
            )
    return Result(title=title, samples=samples, goals=goals, note=note)


def program(
    *argv: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Callable[[], Sample]:
    """Return what runs a program and measures it."""

    def run() -> Sample:
        started = time.perf_counter()
        with subprocess.Popen(
            [str(each) for each in argv],
            env={**base_environment(), **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            with _Watch(process.pid) as watch:
                assert process.stderr is not None
                said = process.stderr.read()
                _pid, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(
                f"{argv[0]} ended with {process.returncode}: {said[-2000:].decode(errors='replace')}"
            )
        return Sample(seconds=seconds, cpu=usage.ru_utime + usage.ru_stime, memory=watch.peaks)

    return run


def pipe(script: str, env: Mapping[str, str] | None = None) -> Callable[[], Sample]:
    """Return what runs a pipe of programs, as another tool does, and measures it."""
    return program("bash", "-o", "pipefail", "-c", script, env=env)


def base_environment() -> dict[str, str]:
    """Return the environment of every program: nothing of whoever runs the benchmark but its PATH and its home."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "RCLONE_CONFIG": "",
    }


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


class _Watch:
    """Looks at the peak memory of a process and of its descendants until it ends."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peaks: dict[str, int] = {}

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            waiting = [self._pid]
            while waiting:
                pid = waiting.pop()
                try:
                    status = dict(
                        line.split(":\t", 1)
                        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                        if ":\t" in line
                    )
                    for task in Path(f"/proc/{pid}/task").iterdir():
                        waiting += map(int, (task / "children").read_text().split())
                    name, peak = status["Name"], int(status["VmHWM"].split()[0]) << 10
                except (OSError, KeyError, ValueError):  # it has ended
                    continue
                self.peaks[name] = max(peak, self.peaks.get(name, 0))
