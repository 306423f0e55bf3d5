"""No password shows up anywhere: not in output, the log, the history, manifests or the list of processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import leaks
from tests.support.matrix import sampled
from tests.support.postgresql import PASSWORD as DATABASE_PASSWORD
from tests.support.remotes import PASSWORD as REMOTE_PASSWORD
from tests.support.remotes import USER, Remote, obscured
from tests.support.site import Result, Shop
from tests.support.storage import WRONG_PASSWORD
from tests.support.tables import HISTORY

TOKEN = "t0ken-of-a-proxy"


@contextmanager
def process_list() -> Iterator[set[str]]:
    """Collect the argument lists of everything that runs below us meanwhile, as ``ps`` shows them."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.02):  # every program runs for longer
            for pid in leaks.children():
                for each in {pid, *leaks.descendants(pid)}:
                    with suppress(OSError):  # it has ended
                        words = Path(f"/proc/{each}/cmdline").read_bytes()
                        seen.add(words.replace(b"\0", b" ").decode(errors="replace"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def assert_hidden(secrets: list[str], shop: Shop, processes: set[str], results: list[Result]) -> None:
    """Fail when one of the secrets can be seen, as it is or as a URL writes it."""
    assert shop.remote is not None
    manifests = [shop.remote.read(name) for name in shop.remote.names("db") if name.endswith(".json")]
    seen = {
        "output": "".join(result.out + result.err for result in results),
        "history": repr(shop.execute(f"SELECT * FROM {HISTORY}")),
        "manifests": repr(manifests),
        "ps": "\n".join(processes),
    }
    for place, text in seen.items():
        for secret in secrets:
            assert secret not in text, place
            assert quote(secret, safe="") not in text, place


@pytest.fixture
def shop(make_shop, remote) -> Shop:
    return make_shop("postgresql", remote)


LOUD = ("--verbosity", "3", "--traceback")
BACKUP, RESTORE = ("dbbackup", *LOUD), ("dbrestore", "--noinput", "--no-safety-backup", *LOUD)
LIST, PRUNE = ("listbackups", "--all", "--json"), ("prunebackups", *LOUD)


def do_all(shop: Shop, *commands: tuple[str, ...]) -> tuple[set[str], list[Result]]:
    """Run commands, and return the processes and the results."""
    with process_list() as processes:
        results = [shop.manage(*command) for command in commands]
    return processes, results


@pytest.mark.parametrize("remote", sampled(["crypt", "s3", "sftp", "webdav"], "crypt", "s3"), indirect=True)
def test_passwords_in_the_settings_stay_there(shop, remote):
    processes, results = do_all(shop, BACKUP, LIST, RESTORE, PRUNE)
    assert [result.code for result in results] == [0] * len(results)
    for program in "rclone", "pg_dump", "psql":
        assert any(program in arguments for arguments in processes), program
    assert_hidden([DATABASE_PASSWORD, *remote.secrets], shop, processes, results)


def _in_flags(remote: Remote) -> dict[str, object]:
    env = remote.settings["RCLONE_ENV"]
    hidden = env["RCLONE_CONFIG_SHOP_PASS"]
    return {
        "REMOTE": f":webdav:{remote.settings['REMOTE'].partition(':')[2]}",
        "RCLONE_ENV": {},
        "RCLONE_FLAGS": [
            f"--webdav-url={env['RCLONE_CONFIG_SHOP_URL']}",
            *("--webdav-user", USER),
            *("--webdav-pass", hidden),
            *("--header", f"X-Proxy-Token: {TOKEN}"),
        ],
    }


def _in_the_remote(remote: Remote) -> dict[str, object]:
    env = remote.settings["RCLONE_ENV"]
    options = f'url="{env["RCLONE_CONFIG_SHOP_URL"]}",user={USER},pass={env["RCLONE_CONFIG_SHOP_PASS"]}'
    return {
        "REMOTE": f":webdav,{options}:{remote.settings['REMOTE'].partition(':')[2]}",
        "RCLONE_ENV": {},
    }


def _in_the_url(remote: Remote) -> dict[str, object]:
    address = remote.settings["RCLONE_ENV"]["RCLONE_CONFIG_SHOP_URL"].removeprefix("http://")
    url = f"http://{USER}:{REMOTE_PASSWORD}@{address}"
    return {
        "REMOTE": f':webdav,url="{url}":{remote.settings["REMOTE"].partition(":")[2]}',
        "RCLONE_ENV": {},
    }


def _in_a_file(remote: Remote, folder: Path) -> dict[str, object]:
    prefix = "RCLONE_CONFIG_SHOP_"
    options = {
        name.removeprefix(prefix).lower(): value for name, value in remote.settings["RCLONE_ENV"].items()
    }
    file = folder / "rclone.conf"
    file.write_text("[shop]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    return {"RCLONE_CONFIG": str(file), "RCLONE_ENV": {}}


PLACES = {"flags": _in_flags, "remote": _in_the_remote, "url": _in_the_url}


# A connection string without a URL is also in the test of complaints.
@pytest.mark.parametrize("place", sampled([*PLACES, "file"], "flags", "url"))
@pytest.mark.parametrize("remote", ["webdav"], indirect=True)
def test_password_stays_hidden_wherever_it_was_put(make_shop, remote, place, tmp_path):
    shop = make_shop("sqlite", remote)
    values = _in_a_file(remote, tmp_path) if place == "file" else PLACES[place](remote)
    shop.settings["DJANGO_RCLONE"] |= values
    processes, results = do_all(shop, BACKUP, RESTORE)
    assert [result.code for result in results] == [0] * len(results), results
    assert_hidden([TOKEN, *remote.secrets], shop, processes, results)


@pytest.mark.in_turns("fault")
@pytest.mark.parametrize("fault", ["credentials", "refused"])
@pytest.mark.parametrize("kind", ["s3", "sftp", "webdav"])
def test_password_stays_hidden_when_the_remote_fails(make_shop, broken_remote, kind, fault):
    remote = broken_remote(f"{kind}-{fault}")
    flags = ["--low-level-retries=1", "-vv"]
    shop = make_shop("sqlite", remote, RCLONE_FLAGS=flags)
    with process_list() as processes:
        results = [
            shop.manage(*command, "--verbosity", "3", "--traceback")
            for command in (("dbbackup", "--json"), ("listbackups",))
        ]
    assert [result.code for result in results] == [1, 1]
    assert_hidden([*remote.secrets, WRONG_PASSWORD], shop, processes, results)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("remote", ["webdav"], indirect=True)
def test_password_stays_hidden_in_complaints_about_itself(make_shop, remote, place, rclone_binary):
    """rclone repeats a connection string that it does not like."""
    shop = make_shop("sqlite", remote)
    values = PLACES[place](remote)
    hidden = obscured(rclone_binary, REMOTE_PASSWORD)
    remote_now = str(values["REMOTE"])
    for wrong in remote_now.replace(":webdav", ":nosuchkind", 1), remote_now.replace("http://", "ht!tp://"):
        if wrong == remote_now:
            continue
        shop.settings["DJANGO_RCLONE"] |= values | {"REMOTE": wrong}
        with process_list() as processes:
            result = shop.manage("dbbackup", "--verbosity", "3", "--traceback")
        assert result.code == 1
        assert_hidden([TOKEN, hidden, *remote.secrets], shop, processes, [result])


def test_password_of_the_database_stays_hidden_when_it_fails(make_shop):
    shop = make_shop("postgresql", backed_up=True)
    entry = shop.settings["DATABASES"]["default"]
    right = dict(entry)
    with process_list() as processes:
        entry |= {"PASSWORD": f"{DATABASE_PASSWORD}-not"}
        results = [
            shop.manage("dbbackup", "--traceback"),
            shop.manage("dbrestore", "--noinput", "--traceback"),
        ]
        # What a replica asks for is in the options of the connector.
        shop.settings["DATABASES"]["default"] = right
        shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {
            "default": {"CONNECTION": {"PASSWORD": WRONG_PASSWORD}}
        }
        results.append(shop.manage("dbbackup", "--traceback"))
    assert [result.code for result in results] == [1, 1, 1]
    assert_hidden([DATABASE_PASSWORD, WRONG_PASSWORD], shop, processes, results)
