"""Long backup lists: the page, cold and warm, and a search, by the processor time of our own work."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django_rclone_admin.core.manifest import Manifest
from tests.benchmarks.bench import Bench
from tests.benchmarks.environments import Site
from tests.benchmarks.measuring import Result, Sample

OURS = "this package"
NEWEST = datetime(2026, 11, 22, 8, 30, 20, tzinfo=UTC)
PAGES = {"cold": {}, "warm": {}, "search": {"q": "before the move"}}
WANTED = {"cold": 4.0, "warm": 0.7, "search": 5.0}
"""Seconds at most, of 100,000 backups."""
SCRIPT = """
import json, resource, sys, time
import django
django.setup()
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
user = User.objects.filter(is_superuser=True).first() or User.objects.create_superuser("admin", "", "x")
client = Client(SERVER_NAME="localhost")
client.force_login(user)
address = reverse("admin:django_rclone_admin_backup_changelist")
client.get(reverse("admin:index"))
resource_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, query in json.loads(sys.argv[1]).items():
    before, started = time.process_time(), time.perf_counter()
    answer = client.get(address, query)
    assert answer.status_code == 200, answer.status_code
    print(json.dumps([name, time.perf_counter() - started, time.process_time() - before,
                      (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resource_before) * 1024]))
"""


def run(bench: Bench) -> list[Result]:
    results = []
    for count in bench.sizes.backups:
        with bench.place(f"lists{count}") as place:
            database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(place / "db.sqlite3")}
            site = bench.site(OURS, database, f"-lists{count}", more={"LISTING_CACHE_SECONDS": 3600})
            write_backups(Path(site.settings["remote"]) / "db", count)
            site.manage("migrate", "-v0")()
            rounds = [_pages(site) for _ in range(bench.rounds)]
            samples = {f"{name} page": [each[name] for each in rounds] for name in PAGES}
            note = f"at most {WANTED} seconds of our own processor time wanted" if count >= 100_000 else ""
            results.append(Result(title=f"A list of {count:,} backups", samples=samples, note=note))
            shutil.rmtree(site.home, ignore_errors=True)
    return results


def _pages(site: Site) -> dict[str, Sample]:
    done = subprocess.run(
        [site.python, "-c", SCRIPT, json.dumps(PAGES)],
        env=site.environment,
        cwd=site.home,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found = {}
    for line in done.stdout.splitlines():
        name, seconds, cpu, memory = json.loads(line)
        found[name] = Sample(seconds=seconds, cpu=cpu, memory={"python, added": memory})
    return found


def write_backups(folder: Path, count: int) -> None:
    """Write backups of one byte each, with their manifests."""
    folder.mkdir(parents=True)
    for number in range(count):
        taken_at = NEWEST - timedelta(minutes=10 * number)
        name = f"default-{taken_at:%Y-%m-%d-%H%M%S}.dump.zst"
        (folder / name).write_bytes(b"x")
        manifest = Manifest(
            name=name,
            database="default",
            engine="postgresql",
            connector="django_rclone_admin.connectors.postgresql.PgDumpConnector",
            taken_at=taken_at,
            finished_at=taken_at,
            size=1,
            raw_size=1,
            sha256="0" * 64,
            compression="zstd",
            tables=[f"shop_table_{each}" for each in range(10)],
            label="before the move" if number % 100 == 0 else "",
        )
        (folder / f"{name}.manifest.json").write_bytes(manifest.to_bytes())
