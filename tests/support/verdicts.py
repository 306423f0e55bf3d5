"""The judgement of this process's site as each place shows it."""

import io
import json
import re
from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from prometheus_client.openmetrics.parser import text_string_to_metric_families

TOKEN = "correct horse battery staple"
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What a monitoring plugin has answered."""

    code: int
    output: str


def checkbackups(*arguments: str, **options: Any) -> Plugin:
    """Call ``checkbackups`` in this process."""
    stdout = io.StringIO()
    try:
        call_command("checkbackups", *arguments, stdout=stdout, **options)
    except SystemExit as error:
        return Plugin(code=int(error.code or 0), output=stdout.getvalue())
    return Plugin(code=0, output=stdout.getvalue())


def of_plugin() -> set[str]:
    """Return the rules that ``checkbackups`` names; it looks anew."""
    return set(re.findall(r"^(?:WARNING|CRITICAL|UNKNOWN) (\w+)", checkbackups().output, re.MULTILINE))


def of_json(client: Client) -> set[str]:
    """Return the rules that ``health/`` names."""
    document = json.loads(client.get(reverse("django_rclone_admin:health"), **BEARER).content)
    return {each["rule"] for each in document["findings"]}


def of_metrics(client: Client) -> set[str]:
    """Return the rules that ``metrics/`` names."""
    return {labels["rule"] for labels in samples(client, "django_backup_problem")}


def drop_table(model: type[Model]) -> None:
    """Have a table be missing, as on a site that was not migrated."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {model._meta.db_table}")


def samples(client: Client, name: str) -> list[dict[str, Any]]:
    """Return the labels of the samples of one metric; the page has to be OpenMetrics."""
    text = client.get(reverse("django_rclone_admin:metrics"), **BEARER).content.decode()
    return [
        {**sample.labels, "value": float(sample.value)}
        for family in text_string_to_metric_families(text)
        if family.name == name
        for sample in family.samples
    ]
