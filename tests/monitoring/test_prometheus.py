"""The alert rules in the docs, by Prometheus's own tool: they are rules, and each comes when it should and not before."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import missing

RULES = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "prometheus-alerts.yml"


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        missing("promtool is not installed")
    return str(found)


def problem(rule: str, level: str, subject: str = "") -> str:
    return f'django_backup_problem{{rule="{rule}",subject="{subject}",level="{level}",instance="a"}}'


SITE, UP = 'django_backup_site_level{instance="a"}', 'django_backup_remote_up{instance="a"}'
ASKED = 'django_backup_answer_timestamp_seconds{instance="a"}'
SIZE = 'django_backup_last_size_bytes{database="default",kind="database",instance="a"}'
GOOD = {SITE: "0x3000", UP: "1x3000", ASKED: "1000x3000", SIZE: "1000x3000"}
"""Values each minute: the first, and how often it comes again."""

CASES: dict[str, tuple[dict[str, str], int, list[str]]] = {
    "all is well": ({}, 120, []),
    "warning of a moment": ({problem("shrunk", "warning"): "1x50 _x100"}, 70, []),
    "warning": ({problem("shrunk", "warning", "default"): "1x200"}, 70, ["BackupProblem shrunk default"]),
    "critical": ({problem("old", "critical", "default"): "1x200"}, 20, ["BackupCritical old default"]),
    "not yet critical": ({problem("old", "critical", "default"): "1x200"}, 10, []),
    # It concerns no database, so no level of a database shows it.
    "nobody runs schedules": ({problem("no_runner", "critical"): "1x200"}, 20, ["BackupCritical no_runner"]),
    "remote is down": (
        {UP: "0x200", problem("unreachable", "critical"): "1x200"}, 40, ["BackupRemoteDown"],
    ),
    "remote is down for a moment": ({UP: "0x20 1x200", problem("unreachable", "critical"): "1x20"}, 40, []),
    "nobody has looked yet": ({SITE: "3x200", UP: "0x200", ASKED: "0x200"}, 40, ["BackupsUnknown"]),
    "answer is old": ({SITE: "0x10 3x200"}, 40, ["BackupsUnknown"]),
    "site has gone": ({SITE: "0x30 _x200"}, 60, ["BackupsUnknown"]),
    "there is no such site": ({SITE: "_x200", UP: "_x200", ASKED: "_x200"}, 20, ["BackupsUnknown"]),
    "one of two sites has gone": (
        {SITE: "0x30 stale _x200", 'django_backup_site_level{instance="b"}': "0x300"}, 60, ["BackupsUnknown"],
    ),
    "half of it is missing": ({SIZE: "1000x100 400x1000"}, 200, ["BackupShrunk default"]),
    "half of it is missing for a day": ({SIZE: "1000x100 400x2000"}, 1500, ["BackupShrunk default"]),
    "some of it is missing": ({SIZE: "1000x100 600x1000"}, 200, []),
}  # fmt: skip


def case(name: str) -> dict[str, Any]:
    """Return a test as promtool has them: no other alert comes than those that are expected."""
    series, minutes, expected = CASES[name]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key, "values": value} for key, value in {**GOOD, **series}.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, rule, subject, database) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": labels(each), "value": 1} for each in expected],
            }
        ],
    }


def labels(alert: str) -> str:
    name, *rest = alert.split()
    named = {"alertname": name}
    if name == "BackupShrunk":
        named["database"] = rest[0]
    else:
        named |= dict(zip(("rule", "subject"), rest, strict=False))
    return "{" + ", ".join(f'{key}="{value}"' for key, value in named.items()) + "}"


def test_alerts_come_when_they_should(promtool, tmp_path):
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [case(name) for name in CASES],
    }
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps(document))  # which is YAML, too
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_file_is_one_of_rules(promtool):
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
