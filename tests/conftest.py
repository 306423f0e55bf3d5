"""Fixtures: real servers for a whole session, and remotes and shops for one test. ``tests.support`` has their parts."""

import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import settings as hypothesis_settings

from tests.support import fresh, leaks
from tests.support.backups import NO_FILES, Backups, put_foreign_file
from tests.support.forking import ForkServer
from tests.support.keeper import Keeper, SharedServers
from tests.support.media import Media
from tests.support.mysql import MariaDBServer
from tests.support.opened import ALIAS, Books
from tests.support.opened import books as open_books
from tests.support.postgresql import PostgreSQLServer
from tests.support.remotes import NO_AUTHORITIES, SHORT_GO, Remote, find_rclone
from tests.support.servers import missing
from tests.support.shops import Shops, Step
from tests.support.site import QUICK_HASHERS, Shop, start_environment
from tests.support.storage import Storage

# A property is wrong or right, but never too slow: what it needs depends on who else uses the machine.
hypothesis_settings.register_profile("no deadline", deadline=None)
hypothesis_settings.load_profile("no deadline")

pytest_plugins = ["tests.support.suite"]

KEEPER = pytest.StashKey[Keeper]()


@pytest.fixture(scope="session", autouse=True)
def signals_that_end() -> None:
    """Hear what ``nohup``, or a shell in the background, has told this process to ignore: what tests start inherits it."""
    usual = {signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    for number, handler in usual.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def adopted_orphans() -> None:
    """Be told of processes whose parent ended before them."""
    leaks.adopt_orphans()


FOREIGN = re.compile(
    r"(AWS|DJANGO_RCLONE|GO|MARIADB|MYSQL|PG|RCLONE|XDG|LC)_?|LANGUAGE$|(HTTPS?|ALL|NO)_PROXY$", re.IGNORECASE
)
"""How the environment variables begin that change what rclone and the databases' programs do."""


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Names of folders that do not exist."""
    folder = tmp_path_factory.mktemp("homes")
    return (str(folder / str(number)) for number in count())


@pytest.fixture(autouse=True)
def own_environment(homes: Iterator[str]) -> Iterator[None]:
    """Give a test an environment with nothing of whoever runs it, and of no other test."""
    before = dict(os.environ)
    for name in filter(FOREIGN.match, before):
        del os.environ[name]
    os.environ.update(HOME=next(homes), LANG="C.UTF-8", **SHORT_GO, **NO_AUTHORITIES)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def same_aliases() -> Iterator[None]:
    """Let the next test find the aliases of databases that this one found, and no connection of one that is gone."""
    before = connections.settings
    names = set(before)
    yield
    for alias in set(connections.settings) - names:
        with suppress(AttributeError):  # this thread may have none
            getattr(connections._connections, alias).close()  # type: ignore[attr-defined]
            del connections[alias]
        before.pop(alias, None)
    connections.settings = before


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """Fail a test that leaves a process or a zombie behind."""
    with leaks.no_process_left():
        yield


@pytest.fixture(scope="session")
def rclone_binary() -> str:
    """Full path of the current rclone."""
    return find_rclone()


@pytest.fixture(scope="session")
def debian_rclone() -> str:
    """Full path of the rclone that Debian ships, the oldest we support."""
    path = Path("/usr/bin/rclone")
    if not path.exists():
        missing("Debian's rclone is not installed")
    return str(path)


def pytest_configure() -> None:
    """Have passwords of tests hashed quickly."""
    settings.PASSWORD_HASHERS = QUICK_HASHERS


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a new worker where the servers are that all workers share."""
    node.workerinput["servers"] = str(_keeper(node.config).folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared servers."""
    if keeper := config.stash.get(KEEPER, None):
        keeper.stop()


def _keeper(config: pytest.Config) -> Keeper:
    if KEEPER not in config.stash:
        config.stash[KEEPER] = Keeper()
    return config.stash[KEEPER]


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config, adopted_orphans: None) -> SharedServers:
    """The servers that the whole run shares. Each is started when a test first needs it."""
    workerinput = getattr(pytestconfig, "workerinput", None)
    return SharedServers(Path(workerinput["servers"]) if workerinput else _keeper(pytestconfig).folder)


@pytest.fixture(scope="session")
def postgresql_server(servers: SharedServers) -> PostgreSQLServer:
    """The PostgreSQL of the system."""
    return servers.postgresql("postgresql")


@pytest.fixture(scope="session")
def postgresql18_server(servers: SharedServers) -> PostgreSQLServer:
    """The PostgreSQL 18 of the wheel: newer than the tools on PATH may be."""
    return servers.postgresql("postgresql18")


@pytest.fixture(scope="session")
def mysql_server(servers: SharedServers) -> MariaDBServer:
    """The MariaDB of the system."""
    return servers.mysql()


@pytest.fixture(scope="session")
def storage(
    rclone_binary: str, tmp_path_factory: pytest.TempPathFactory, servers: SharedServers
) -> Iterator[Storage]:
    """The storage servers."""
    with Storage(rclone_binary, tmp_path_factory.mktemp("storage"), servers.storage) as storage:
        yield storage


@pytest.fixture
def make_remote(storage: Storage) -> Callable[[str], Remote]:
    """Make a new, empty remote of one of the kinds in ``tests.support.storage.KINDS``."""
    return storage.remote


@pytest.fixture
def broken_remote(storage: Storage) -> Callable[[str], Remote]:
    """Make a remote that nobody can reach, one of ``tests.support.storage.BROKEN``."""
    return storage.broken_remote


@pytest.fixture
def remote(request: pytest.FixtureRequest, storage: Storage) -> Remote:
    """A new, empty remote: local, or of the kind that the test is parametrised with."""
    return storage.remote(getattr(request, "param", "local"))


@pytest.fixture(scope="session")
def fork_server(adopted_orphans: None) -> Iterator[ForkServer | None]:
    """What starts ``manage.py`` quickly."""
    if not leaks.LIBC:
        yield None
        return
    server = ForkServer(start_environment() | {"PATH": os.environ["PATH"]})
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shops(request: pytest.FixtureRequest, servers: SharedServers, fork_server: ForkServer | None) -> Shops:
    """The shops that the others are copied from."""

    def server(database: str) -> PostgreSQLServer | MariaDBServer:
        found: PostgreSQLServer | MariaDBServer = request.getfixturevalue(f"{database}_server")
        return found

    return Shops(servers.folder, server, fork_server)


@pytest.fixture
def make_shop(
    tmp_path: Path, shops: Shops, rclone_binary: str, make_remote: Callable[[str], Remote]
) -> Iterator[Callable[..., Shop]]:
    """Open a shop: ``make_shop(database="postgresql", remote=remote, COMPRESSION=None)``.

    The database is ``sqlite``, ``postgresql``, ``postgresql18`` or ``mysql``, the remote a local one unless given, and
    everything else goes into ``DJANGO_RCLONE``. With ``backed_up=True`` it has a backup, made with the usual settings.
    ``prepare`` names what is done to it before that, once for all tests.
    """
    with ExitStack() as stack:

        def make(
            database: str = "sqlite",
            remote: Remote | None = None,
            *,
            backed_up: bool = False,
            prepare: Step | None = None,
            **django_rclone: object,
        ) -> Shop:
            home = tmp_path / f"shop{len(list(tmp_path.glob('shop*')))}"
            remote = remote or make_remote("local")
            shop = shops.open(home, database, remote if backed_up else None, prepare)
            stack.callback(shops.clear, shop, database)
            shop.remote = remote
            shop.settings["DJANGO_RCLONE"] = {
                "RCLONE_BINARY": rclone_binary,
                **shop.remote.settings,
                **django_rclone,
            }
            return shop

        yield make


@pytest.fixture
def chance() -> random.Random:
    """What decides where a test kills at random; its seed is shown where the test fails, and can be given again."""
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KILL_SEED={seed}")  # noqa: T201 (shown where a test fails)
    return random.Random(seed)


@pytest.fixture
def shop(request: pytest.FixtureRequest, make_shop: Callable[..., Shop], remote: Remote) -> Shop:
    """A shop on ``remote``, with SQLite or the database that the test is parametrised with.

    Where the test is marked ``backed_up``, it has a backup.
    """
    backed_up = request.node.get_closest_marker("backed_up") is not None
    return make_shop(getattr(request, "param", "sqlite"), remote, backed_up=backed_up)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the databases of this process in files: a database in memory can be neither backed up nor restored."""
    folder = tmp_path_factory.mktemp("databases")
    for alias in connections:
        connections[alias].settings_dict["TEST"]["NAME"] = str(folder / f"{alias}.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Have a test that commits be followed by the databases as they were: Django's flush makes all permissions anew."""
    with django_db_blocker.unblock():
        copies = {alias: fresh.copied(connections[alias]) for alias in connections}

    def put_back(case: TransactionTestCase) -> None:
        for alias in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
            fresh.put_back(connections[alias], copies[alias])

    TransactionTestCase._fixture_teardown = put_back  # type: ignore[attr-defined]


@pytest.fixture
def backups(settings: Any, tmp_path: Path, remote: Remote, rclone_binary: str) -> Backups:
    """The remote of this process, empty, and a hand that puts backups there. Queued work is done at once."""

    def configure(**values: object) -> None:
        settings.DJANGO_RCLONE = {**settings.DJANGO_RCLONE, **values}

    settings.MEDIA_ROOT = str(tmp_path / "uploads")  # not that of whoever runs the tests
    settings.DJANGO_RCLONE = {
        "RCLONE_BINARY": rclone_binary,
        "EXECUTOR": "django_rclone_admin.executors.ImmediateExecutor",
        **remote.settings,
    }
    return Backups(remote=remote, configure=configure, log=tmp_path / "calls.log")


@pytest.fixture
def quick_looks(settings: Any, backups: Backups) -> None:
    """Have each look at the remote be one call of rclone: no media files, and a folder of backups that is not empty."""
    settings.MEDIA_ROOT = ""
    settings.STORAGES = {**settings.STORAGES, "default": NO_FILES}
    put_foreign_file(backups.remote)


@pytest.fixture
def media_site(
    settings: Any, tmp_path: Path, remote: Remote, rclone_binary: str, servers: SharedServers
) -> Media:
    """The media folder of this process's site, empty but for one file, and an empty remote."""
    settings.MEDIA_ROOT = str(tmp_path / "place" / "uploads")
    settings.DJANGO_RCLONE = {
        "RCLONE_BINARY": rclone_binary,
        "MEDIA_MAX_DELETE_PERCENT": 100,
        **remote.settings,
    }
    site = Media(folder=Path(settings.MEDIA_ROOT), remote=remote, settings=settings, shared=servers.folder)
    site.write({"always": b"there"})
    return site


@pytest.fixture
def books(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    backups: Backups,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Books]:
    """A small database of this process's site, on SQLite or the server that the test is parametrised with."""
    # A test may use the aliases that its mark names, and none that is added later.
    monkeypatch.setattr("django.test.testcases.connections", list(connections))
    kind = getattr(request, "param", "sqlite")
    if kind == "sqlite":
        (tmp_path / "live").mkdir()
        entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "live" / "books.sqlite3")}
        server = None
    else:
        server = request.getfixturevalue(f"{kind}_server")
        entry = server.create_database()
        options = {ALIAS: {"BIN_DIR": str(server.bin_dir)}}
        backups.configure(CONNECTOR_OPTIONS=options)
    with open_books(entry, server) as site:
        yield site
