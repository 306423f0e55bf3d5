"""``python -m tests.benchmarks``: every subject, one table."""

import argparse
import importlib
import os
import platform
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.bench import SMALL, Bench, Sizes
from tests.benchmarks.environments import REPOSITORY, Environments
from tests.benchmarks.measuring import Result
from tests.benchmarks.table import render

SUBJECTS = ("start", "latency", "lists", "media", "sqlite", "postgresql", "mariadb", "growth")
PYTHONS = ("python3.13", "python3.12")
"""django-rclone 0.4.0 needs one of these."""
PAGE = REPOSITORY / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- begin of the table -->\n", "<!-- end of the table -->\n"


def main() -> None:
    """Run what was asked for, print the table, and write it to the documentation if that was asked for, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="subjects, with commas", default=",".join(SUBJECTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="small sizes: does all of it work?")
    parser.add_argument("--megabytes", type=int, help="of the databases; MariaDB has half of it")
    parser.add_argument(
        "--python", default=next(filter(runs, PYTHONS), None), help="the Python of all packages"
    )
    parser.add_argument(
        "--write", action="store_true", help=f"write the table to {PAGE.relative_to(REPOSITORY)}"
    )
    options = parser.parse_args()
    sizes = SMALL if options.small else Sizes()
    if options.megabytes:
        sizes = replace(sizes, megabytes=options.megabytes, mariadb=options.megabytes // 2)
    kept = REPOSITORY / "var" / "bench"
    environments = Environments(kept, options.python)
    load = os.getloadavg()[0]
    results: list[Result] = []
    with TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(sizes=sizes, rounds=options.rounds, folder=Path(folder), environments=environments)
        for name in options.only.split(","):
            print(name, flush=True)
            results += importlib.import_module(f"tests.benchmarks.subjects.{name}").run(bench)
            text = f"{machine(options, environments, load)}\n\n{render(results)}"
            (kept / "table.md").write_text(text)  # what is measured stays, whatever stops the rest
    print(f"\n{text}")
    if options.write:
        page = PAGE.read_text()
        head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}{text}{END}{tail}")


def machine(options: argparse.Namespace, environments: Environments, load: float) -> str:
    """Say when and where this was measured, by which programs, and what else the machine did."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [
        said(environments.rclone, "version"),
        *(said(name, "--version") for name in ("pg_dump", "mariadb-dump", "sqlite3")),
        said(str(environments.python("this package")), "--version"),
    ]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} processors ({model}), {memory:.0f} GiB; {'; '.join(versions)}. "
        f"Medians of {options.rounds} rounds. Load of the machine before and after: {load:.1f} and {os.getloadavg()[0]:.1f}."
    )


def runs(name: str) -> bool:
    """Whether a Python is there and runs: a shim of pyenv refuses versions that it was not told to use."""
    return said(name, "--version").startswith("Python")


def said(*argv: str) -> str:
    """Return the first line that a program says, or that it is not there."""
    if not shutil.which(argv[0]):
        return f"no {argv[0]}"
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.partition("\n")[0].strip()


main()
