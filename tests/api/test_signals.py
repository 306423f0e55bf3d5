"""Signals: who listens hears all of it, may refuse before anything is touched, and can spoil nothing afterwards."""

import json
import textwrap
from typing import Any

import pytest

from tests.support import programs
from tests.support.faults import assert_failed, nothing_changes
from tests.support.programs import UPLOAD
from tests.support.site import Shop
from tests.support.tables import HISTORY

LISTENER = """
import json, os
from django.apps import AppConfig
from django_rclone_admin import signals

NAMES = [
    *("pre_db_backup", "post_db_backup", "pre_db_restore", "post_db_restore"),
    *("run_started", "run_finished", "run_failed"),
]


class Listener(AppConfig):
    name = "listener"

    def ready(self):
        for name in NAMES:
            getattr(signals, name).connect(receiver(name), weak=False)


def receiver(name):
    def receive(sender, signal, run, **values):
        said = {key: str(value) for key, value in values.items()}
        heard = {"signal": name, "sender": sender.__name__, "run": str(run.pk), "status": run.status, **said}
        with open(os.environ["HEARD"], "a") as file:
            print(json.dumps(heard), file=file)
        if name in os.environ["REFUSED"].split():
            raise RuntimeError(f"not while {name}")
        if name == os.environ["INTERRUPTED"]:
            from django_rclone_admin import api  # models need the apps to be ready

            raise api.Abandoned  # as a second Ctrl-C does

    return receive
"""
"""A site's own app, which notes every signal, raises in those that ``REFUSED`` names, and gets a Ctrl-C in another."""


@pytest.fixture
def shop(request, make_shop, settings) -> Shop:
    shop: Shop = make_shop("sqlite", backed_up=request.node.get_closest_marker("backed_up") is not None)
    package = shop.home / "listener"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "apps.py").write_text(textwrap.dedent(LISTENER))
    shop.settings["INSTALLED_APPS"] = [*settings.INSTALLED_APPS, "listener"]
    shop.environment |= {
        "PYTHONPATH": str(shop.home),
        "HEARD": str(shop.home / "heard"),
        "REFUSED": "",
        "INTERRUPTED": "",
    }
    return shop


def heard(shop: Shop) -> list[dict[str, Any]]:
    """Return what the app of the shop heard since we asked last."""
    file = shop.home / "heard"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def names(signals: list[dict[str, Any]]) -> list[str]:
    return [each["signal"] for each in signals]


def test_backup_tells_what_it_does(shop):
    run = shop.manage("dbbackup", "--json").json
    signals = heard(shop)
    assert names(signals) == ["run_started", "pre_db_backup", "post_db_backup", "run_finished"]
    assert {(each["run"], each["sender"]) for each in signals} == {(run["id"], "BackupRun")}
    _started, before, after, finished = signals
    assert before["database"] == after["database"] == "default"
    assert after["path"] == run["path"]
    assert (before["status"], finished["status"]) == ("running", "succeeded")


@pytest.mark.backed_up
def test_restore_tells_what_it_does_and_so_does_its_safety_backup(shop):
    run = shop.manage("dbrestore", "--noinput", "--json").json
    signals = heard(shop)
    own = [each for each in signals if each["run"] == run["id"]]
    safety = [each for each in signals if each["run"] != run["id"]]
    assert names(own) == ["run_started", "pre_db_restore", "post_db_restore", "run_finished"]
    assert (own[1]["database"], own[1]["path"], own[2]["database"]) == ("default", shop.backup, "default")
    assert names(safety) == ["run_started", "pre_db_backup", "post_db_backup", "run_finished"]
    assert signals.index(own[1]) < signals.index(safety[0]) < signals.index(own[2])


def test_failure_is_told_with_its_exception(shop, tmp_path, rclone_binary):
    failing = programs.fail(tmp_path / "bin", "rclone", rclone_binary, message="quota exceeded", when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(failing)
    assert shop.manage("dbbackup").code == 1
    signals = heard(shop)
    assert names(signals) == ["run_started", "pre_db_backup", "run_failed"]
    assert signals[-1]["exception"] == "The remote is full: quota exceeded"
    assert signals[-1]["status"] == "failed"


@pytest.mark.backed_up
@pytest.mark.parametrize(
    "refused, command",
    [
        ("pre_db_backup", ("dbbackup",)),
        ("pre_db_restore", ("dbrestore", "--noinput")),
        ("pre_db_backup", ("dbrestore", "--noinput")),  # the safety backup
    ],
    ids=["backup", "restore", "safety"],
)
def test_receiver_may_refuse_before_anything_is_touched(shop, refused, command):
    shop.execute("DELETE FROM shop_orderline")
    shop.environment["REFUSED"] = refused
    with nothing_changes(shop):
        assert_failed(
            shop.manage(*command), f"A signal receiver in your project blocked this run: not while {refused}"
        )
    assert names(heard(shop))[-1] == "run_failed"
    status, message = shop.execute(f"SELECT status, message FROM {HISTORY} ORDER BY created_at")[1]
    assert (status, message) == (
        "failed",
        f"A signal receiver in your project blocked this run: not while {refused}",
    )


def test_broken_receiver_spoils_nothing(shop):
    shop.environment["REFUSED"] = "run_started run_finished run_failed post_db_backup post_db_restore"
    made = shop.manage("dbbackup", "--verbosity", "2")
    assert made.code == 0, made.err
    assert "RuntimeError: not while post_db_backup" in made.err
    assert "A signal receiver failed" in made.out
    wanted = shop.rows()
    shop.execute("DELETE FROM shop_orderline")
    restored = shop.manage("dbrestore", "--noinput", "--no-safety-backup")
    assert restored.code == 0, restored.err
    assert shop.rows() == wanted

    shop.environment["REFUSED"] += " pre_db_backup"
    failed = shop.manage("dbbackup")
    assert failed.code == 1
    assert (
        "CommandError: A signal receiver in your project blocked this run: not while pre_db_backup"
        in failed.err
    )


@pytest.mark.backed_up
def test_restore_that_is_interrupted_after_its_commit_has_succeeded(shop):
    wanted = shop.rows()
    shop.execute("DELETE FROM shop_orderline")
    shop.environment["INTERRUPTED"] = "post_db_restore"
    result = shop.manage("dbrestore", "--noinput", "--no-safety-backup")
    assert result.code != 0
    assert "changed nothing" not in result.err
    assert "Nothing was changed" not in result.err
    assert shop.rows() == wanted
    query = f"SELECT status, message, log FROM {HISTORY} WHERE kind = 'db_restore'"
    [(status, message, log)] = shop.execute(query)
    assert status == "succeeded"
    assert message.startswith("Restored ")
    assert "Interrupted after the data was in place" in log
    assert names(heard(shop))[-1] == "run_finished"
