"""A terminal, a pipe or an argument in another encoding than UTF-8 changes what is printed, not what is done."""

import io
import json
import sys

import pytest
from django.core.management import call_command, execute_from_command_line

from django_rclone_admin.models import BackupRun
from tests.support.matrix import sampled

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
ODD = b"caf\xe9".decode(errors="surrogateescape")
"""An argument in another encoding than that of the locale."""


@pytest.fixture(params=sampled(["ascii", "latin-1"], "ascii"))
def manage(request, monkeypatch):
    """Run a command with both outputs in an encoding that lacks our quotation marks."""

    def run(*arguments: str) -> tuple[int, str, str]:
        outputs = {name: io.TextIOWrapper(io.BytesIO(), request.param) for name in ("stdout", "stderr")}
        for name, output in outputs.items():
            monkeypatch.setattr(sys, name, output)
        code = 0
        try:
            execute_from_command_line(["manage.py", *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            monkeypatch.undo()
        texts = []
        for output in outputs.values():
            output.flush()
            texts.append(output.buffer.getvalue().decode(request.param))
        return code, *texts

    return run


def test_commands_end_with_what_happened(backups, manage):
    code, out, err = manage("dbbackup", "--label", "Grüße 東 🙂")
    assert (code, err) == (0, "")
    assert 'Backing up "default"' in out
    code, out, err = manage("listbackups")
    assert (code, err) == (0, "")
    assert "\\u6771" in out
    code, out, err = manage("dbbackup", "--database", "nope", "--json")
    assert code == 2
    assert json.loads(out)["error"] == "There is no database “nope”."
    assert 'There is no database "nope"' in err
    code, out, err = manage("dbbackup", "--help")
    assert (code, err) == (0, "")
    assert "--label" in out


CONTROL, LONG = "two\nlines\x1b[2J", "x" * 500
ALL = f"{CONTROL} {ODD} {LONG}"


@pytest.mark.parametrize(
    "label", sampled([ODD, LONG, CONTROL, ALL], ALL), ids=["bytes", "long", "control", "all"]
)
def test_label_of_any_kind_does_not_prevent_a_backup(backups, label):
    call_command("dbbackup", label=label, verbosity=0)
    stored = BackupRun.objects.get().label
    assert len(stored) <= 200
    assert stored.isprintable()
    assert stored.encode()


@pytest.mark.soak  # as the last test: a run of any kind keeps its label alike
def test_label_of_any_kind_does_not_prevent_a_media_backup(media_site):
    call_command("mediabackup", label=ODD, verbosity=0)
    assert BackupRun.objects.get().label.isprintable()
