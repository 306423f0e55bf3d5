"""A tiny database and a remote that is far away: what counts is how often rclone is started and asks."""

import asyncio
import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.bench import Bench
from tests.benchmarks.measuring import Contestant, Result, race
from tests.support.remotes import PASSWORD, served
from tests.support.storage import StorageServer

OURS, PEER = "this package", "django-rclone 0.4.0"
DELAY = 0.05
"""Seconds that the proxy keeps bytes back, in each direction: a round trip of 100 ms."""


def run(bench: Bench) -> list[Result]:
    rclone = bench.environments.rclone
    with bench.place("latency") as place:
        (place / "server").mkdir()
        server = StorageServer(rclone, "s3", place / "server")
        try:
            with proxy(server.port) as port:
                return [_race(bench, place, port, rclone)]
        finally:
            server.stop()


def _race(bench: Bench, place: Path, port: int, rclone: str) -> Result:
    contestants, restores = [], []
    for name in (OURS, PEER):
        file = place / f"{name}.sqlite3"
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
        remote = served(
            "s3", port, f"backups/{name.partition(' ')[0]}", root=place, binary=rclone, password=PASSWORD
        ).settings
        config = place / "rclone.conf"
        config.write_text(_as_file(remote["RCLONE_ENV"]))
        site = bench.site(
            name, database, "-latency", remote=remote["REMOTE"], more={"RCLONE_CONFIG": str(config)}
        )
        site.manage("migrate", "-v0")()
        contestants.append(Contestant(name=f"backup, {name}", run=site.manage("dbbackup")))
        restore = ["dbrestore", "--noinput", *(["--no-safety-backup"] if name == OURS else [])]
        # django-rclone 0.4.0 restores SQLite only into a file that is not there.
        clear = functools.partial(file.unlink, missing_ok=True) if name == PEER else lambda: None
        restores.append(Contestant(name=f"restore, {name}", run=site.manage(*restore), before=clear))
    result = race("A tiny database, S3 with 100 ms of latency", [*contestants, *restores], bench.rounds)
    for name in (OURS, PEER):
        shutil.rmtree(bench.folder / f"{name.partition(' ')[0]}-latency", ignore_errors=True)
    return result


def _as_file(env: dict[str, str]) -> str:
    options = {name.removeprefix("RCLONE_CONFIG_SHOP_").lower(): value for name, value in env.items()}
    return "[shop]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())


@contextmanager
def proxy(target: int) -> Iterator[int]:
    """Give the port of a proxy that passes everything on to a port, later."""
    loop = asyncio.new_event_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0, due - loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        sending = asyncio.ensure_future(send())
        try:
            while data := await reader.read(65536):
                queue.put_nowait((loop.time() + DELAY, data))
        except OSError:
            pass
        queue.put_nowait((loop.time() + DELAY, b""))
        await sending

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer), return_exceptions=True)

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
