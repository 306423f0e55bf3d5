"""Back up a shop, wreck it, restore it, and compare every row: `make demo`.

Everything goes through `manage.py` in processes of its own, exactly as a user would type it.
The exit status is 0 only if the restored databases equal the ones that were backed up.
"""

import argparse
import hashlib
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.tables import TRAVELS_NOT

REPOSITORY = Path(__file__).resolve().parents[2]
HOME = REPOSITORY / "var" / "demo"

DATABASES = {"default": "db.sqlite3", "analytics": "analytics.sqlite3"}
"""File in the shop's home, by alias."""
MEDIA = "media"

DAMAGE = (
    ("default", "Delete every order", "DELETE FROM shop_order"),
    ("default", "Delete two customers of three", "DELETE FROM shop_customer WHERE id % 3 > 0"),
    ("default", "Drop the table of order lines", "DROP TABLE shop_orderline"),
    ("default", "Set all prices to zero", "UPDATE shop_product SET price = 0, barcode = x'00'"),
    ("default", "Add a category nobody wants", "INSERT INTO shop_category (name) VALUES ('Nonsense')"),
    ("default", "Add a table nobody wants", "CREATE TABLE shop_nonsense AS SELECT * FROM shop_product"),
    ("analytics", "Overwrite the page views", "UPDATE analytics_pageview SET path = '/', seconds = -1"),
)
"""What goes wrong: alias, what a person would say, SQL."""

HISTORY = ("django_migrations", *TRAVELS_NOT)
"""Tables that tell what happened to the databases. A restore leaves them as they are."""

Rows = dict[str, dict[object, str]]
"""Digest of each row by its primary key, by table; and of each media file by its path."""


class DemoFailed(Exception):
    """Something is not as it should be; the message is one sentence."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--home", type=Path, help="an empty folder for the shop; default: var/demo, made anew"
    )
    home = parser.parse_args().home
    try:
        run_demo(prepare_home(home))
    except DemoFailed as failure:
        sys.exit(paint(f"The demo failed: {failure}", "31"))
    except sqlite3.Error as error:
        sys.exit(paint(f"The demo failed: a database of the shop can't be read: {error}.", "31"))


def prepare_home(home: Path | None) -> Path:
    """Return an empty folder. Only the demo's own is ever wiped."""
    if home is None:
        shutil.rmtree(HOME, ignore_errors=True)
        home = HOME
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise DemoFailed(f"{home} is not empty.")
    return home.resolve()


def run_demo(home: Path) -> None:
    heading("A shop with two databases")
    manage(home, "migrate", "--verbosity", "0")
    manage(home, "migrate", "--verbosity", "0", "--database", "analytics")
    manage(home, "seedshop", "--superuser")
    before = read_shop(home)

    heading("Back it up")
    manage(home, "dbbackup", "--all")
    manage(home, "mediabackup")
    manage(home, "listbackups")
    report_backups(home)

    heading("A very bad day, and the rows it touched")
    damage(home)
    report_differences(before, read_shop(home))

    heading("Restore")
    for alias in DATABASES:
        manage(home, "dbrestore", "--noinput", "--database", alias)
    manage(home, "mediarestore", "--exact", "--noinput")

    heading("Is everything back?")
    prove_equal(before, read_shop(home))

    heading("What a clean-up would remove")
    manage(home, "prunebackups", "--dry-run")

    folder = os.path.relpath(home)
    say(f"\nThe shop stays in {folder}. Look at it with:  make serve SHOP_HOME={shlex.quote(folder)}")


def manage(home: Path, *arguments: str) -> None:
    """Run one command of `manage.py`, showing what is typed, what it prints and how long it takes."""
    say(paint(f"\n$ python manage.py {shlex.join(arguments)}", "1"))
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "SHOP_SETTINGS"}
    process = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=environment | {"SHOP_HOME": str(home), "DJANGO_SETTINGS_MODULE": "tests.site.settings"},
        stdin=subprocess.DEVNULL,
    )
    if process.returncode:
        raise DemoFailed(f"`{arguments[0]}` ended with exit status {process.returncode}.")
    say(paint(f"({time.monotonic() - started:.1f} s)", "2"))


def damage(home: Path) -> None:
    """Do what administrators have nightmares about."""
    for alias, words, statement in DAMAGE:
        with open_database(home / DATABASES[alias], mode="rw") as connection, connection:
            count = connection.execute(statement).rowcount
        say(f"  {words:<32}{f'{count:,}' if count > 0 else '':>8}")
    first, second, *others = sorted(path for path in (home / MEDIA).rglob("*") if path.is_file())
    first.unlink()
    second.write_bytes(others[0].read_bytes())
    (home / MEDIA / "nonsense.txt").write_text("Nobody wants this.")
    say("  Delete, swap and add a photo")


def read_shop(home: Path) -> Rows:
    """Read every row of every table but the history, of both databases, and every media file."""
    tables = {
        f"{alias}.{table}": rows
        for alias, name in DATABASES.items()
        for table, rows in read_tables(home / name)
    }
    files = (path for path in (home / MEDIA).rglob("*") if path.is_file())
    photos = {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {**tables, "the media files": photos}


def read_tables(path: Path) -> Iterator[tuple[str, dict[object, str]]]:
    with open_database(path, mode="ro") as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        for (table,) in tables:
            if table not in HISTORY:
                rows = connection.execute(f'SELECT * FROM "{table}"')
                yield table, {row[0]: hashlib.sha256(repr(row).encode()).hexdigest() for row in rows}


@contextmanager
def open_database(path: Path, *, mode: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True)) as connection:
        yield connection


def prove_equal(before: Rows, after: Rows) -> None:
    """Raise unless both hold the same tables with the same rows."""
    wrong = list(differences(before, after))
    if wrong:
        raise DemoFailed(f"the restored shop is not the one that was backed up: {'; '.join(wrong)}.")
    files = len(after["the media files"])
    rows, tables = sum(map(len, after.values())) - files, len(after) - 1
    answer = f"  Yes: {rows:,} rows in {tables} tables and {files:,} files, all equal to what was backed up."
    say(paint(answer, "32"))


def report_differences(before: Rows, after: Rows) -> None:
    """Say what the damage did. A demo that broke nothing would prove nothing."""
    wrong = list(differences(before, after))
    if not wrong:
        raise DemoFailed("nothing was damaged, so a restore would prove nothing.")
    say("\n  Compared with the shop that was backed up:")
    for line in wrong:
        say(paint(f"  {line}", "31"))


def differences(before: Rows, after: Rows) -> Iterator[str]:
    """Say for each table that differs how many of its rows are lost, new or changed."""
    for table in sorted(before.keys() | after.keys()):
        if table not in after:
            yield f"{table} is gone with {len(before[table]):,} rows"
        elif table not in before:
            yield f"{table} should not be there"
        elif before[table] != after[table]:
            yield f"{table}: {describe_rows(before[table], after[table])}"


def describe_rows(before: dict[object, str], after: dict[object, str]) -> str:
    counts = {
        "lost": len(before.keys() - after.keys()),
        "new": len(after.keys() - before.keys()),
        "changed": sum(before[key] != after[key] for key in before.keys() & after.keys()),
    }
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


def report_backups(home: Path) -> None:
    """Compare the bytes of the databases with those of their backups."""
    databases = sum((home / name).stat().st_size for name in DATABASES.values())
    backups = sum(path.stat().st_size for path in (home / "backups" / "db").iterdir())
    say(f"\n  {megabytes(databases)} of databases, {megabytes(backups)} of backups.")


def megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def heading(text: str) -> None:
    say(paint(f"\n== {text}", "1;36"))


def paint(text: str, code: str) -> str:
    """Colour a text on a terminal; `code` is what the terminal calls the colour (SGR)."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\033[{code}m{text}\033[0m"
    return text


def say(text: str) -> None:
    # At once: the commands write to the same terminal or pipe.
    print(text, flush=True)


if __name__ == "__main__":
    main()
