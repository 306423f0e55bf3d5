"""Real task queues, set up as ``docs/how-to/executors.md`` says, and their real workers."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.site import settings
from tests.support.servers import Server, free_port, missing
from tests.support.site import Shop
from tests.support.waiting import wait_for

OTHER_HOST = "worker-1"
ON_ANOTHER_HOST = (
    "unshare",
    "--uts",
    *(() if os.geteuid() == 0 else ("--user", "--map-root-user")),
    "sh",
    "-c",
    f'hostname {OTHER_HOST} && exec "$@"',
    "sh",
)
"""Starts a program that takes its machine for another one than everybody else does."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One task queue: the settings of a site that uses it, and the command of its worker."""

    apps: tuple[str, ...]
    backend: str
    worker: tuple[str, ...]
    """The module that is run, and its arguments."""
    ready: str
    """What the worker says when it can take tasks."""

    def settings(self, address: str) -> dict[str, Any]:
        """Return the settings; the address is that of the Redis server, if there is one."""
        tasks: dict[str, Any] = {"BACKEND": self.backend}
        if "fennel" in self.backend:
            tasks["QUEUES"] = ["default"]
        return {
            "INSTALLED_APPS": [*settings.INSTALLED_APPS, *self.apps],
            "TASKS": {"default": tasks},
            "RQ_QUEUES": {"default": {"URL": address, "DEFAULT_TIMEOUT": -1}},
            "CELERY_BROKER_URL": address,
            "CELERY_RESULT_BACKEND": address,
        }


QUEUES = {
    "database": Queue(
        apps=("django_tasks_db",),
        backend="django_tasks_db.DatabaseBackend",
        worker=("django", "db_worker", "--no-reload", "--no-startup-delay", "--interval=0.1"),
        ready="Starting worker",
    ),
    "rq": Queue(
        apps=("django_rq",),
        backend="django_tasks_rq.RQBackend",
        worker=("django", "rqworker", "--job-class=django_tasks_rq.Job", "default"),
        ready="Listening on default",
    ),
    "celery": Queue(
        apps=("django_tasks_fennel",),
        backend="django_tasks_fennel.CeleryBackend",
        worker=("celery", "--app=django_tasks_fennel.app", "worker", "--concurrency=1", "--loglevel=INFO"),
        ready="ready.",
    ),
}


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run an empty Redis or Valkey server on loopback, and give its address."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        missing("Neither Redis nor Valkey is installed")
    port = free_port()
    argv = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = Server(argv, log=folder / "redis.log", env={})

    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    try:
        server.wait_until(answers)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.stop()


class Worker:
    """The worker of a queue, on another host than the site."""

    def __init__(self, shop: Shop, kind: str, *arguments: str) -> None:
        if shutil.which("unshare") is None:
            missing("There is no unshare, which lets a program see another host name")
        self.shop, self.queue = shop, QUEUES[kind]
        self.log = shop.home / f"{kind}.log"
        # Celery warns of being run by root. Warnings of ours fail the tests of ours.
        quiet = {"PYTHONWARNINGS": "ignore"}
        self.process = shop.serve(
            "-m", *self.queue.worker, *arguments, log=self.log, before=ON_ANOTHER_HOST, env=quiet
        )

    def __enter__(self) -> Self:
        wait_for(lambda: self.process.poll() is not None or self.queue.ready in self.log.read_text())
        assert self.process.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shop.end(self.process)
