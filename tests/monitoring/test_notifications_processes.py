"""Many processes see one problem, and databases that are down: people hear of it, and hear it once."""

import pytest

from tests.support.backups import quicken_looks
from tests.support.matrix import sampled
from tests.support.receivers import mail_server, mail_settings, monitor, silent_service
from tests.support.servers import free_port


@pytest.fixture
def mails(shop):
    quicken_looks(shop)
    with mail_server() as server:
        shop.settings |= server.settings
        shop.settings["DJANGO_RCLONE"] |= {
            "NOTIFY": {"email": True},
            "DATABASES": ["default"],
            "HEALTH": {"media": False, "ignore": ["no_schedule"]},
        }
        yield server


@pytest.mark.parametrize("number", sampled([4, 8], 4))
def test_processes_that_look_at_once_tell_a_problem_once_and_its_end_once(shop, mails, number):
    for command, code, count in (("checkbackups", 2, 1), ("dbbackup", 0, 2), ("checkbackups", 0, 2)):
        times = number if command == "checkbackups" else 1
        processes = [shop.start(command) for _time in range(times)]
        assert [shop.finish(each).code for each in processes] == [code] * times
        assert len(mails.mails) == count, mails.subjects
    assert [each.partition(" – ")[2] for each in mails.subjects] == [
        "default: There is no backup.",
        "default: over: There is no backup.",
    ]


def test_failed_backup_is_told_when_the_database_of_the_history_is_down(shop, mails):
    shop.settings["DATABASES"] = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": free_port(),
            "NAME": "shop",
            "USER": "ann",
        }
    }
    shop.settings["DATABASE_ROUTERS"] = []
    with monitor() as pings:
        shop.settings["DJANGO_RCLONE"]["NOTIFY"] |= {"ping_url": f"{pings.url}/abc"}
        assert shop.manage("dbbackup").code == 1
        assert [each.partition("?")[0] for each in pings.requests] == ["/abc/fail"]
        assert "rid=" in pings.requests[0]
        found = shop.manage("checkbackups")
        assert (found.code, "no_history" in found.out) == (2, True)
    [body] = mails.bodies
    assert "default: Database backup: The database" in " ".join(body.split())


def test_process_ends_although_its_mail_server_hangs(shop):
    with silent_service() as port:
        shop.settings |= mail_settings(port)
        shop.settings["DJANGO_RCLONE"] |= {"NOTIFY": {"email": True, "events": ["success"]}}
        result = shop.manage("dbbackup", "--json")
        assert (result.code, result.json["status"]) == (0, "succeeded")
