"""How MongoDB's programs are called: small programs of their names write down what they were given.

No server: what they do with it is not proven here.
"""

import io
import json
import stat
import sys
from pathlib import Path

import pytest

from django_rclone_admin.connectors.mongodb import MAGIC, MongoDumpConnector
from django_rclone_admin.connectors.registry import MAPPING
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSink, FileSource
from django_rclone_admin.core.transfer import transfer
from django_rclone_admin.exceptions import BackupDamaged, NotChecked, ProgramFailed, WrongFormat

PASSWORD = 'p@ss:w/o"r%d'
PLAIN = {
    "NAME": "shop",
    "HOST": "db.example",
    "PORT": 27018,
    "USER": "shop",
    "PASSWORD": PASSWORD,
    "OPTIONS": {"authSource": "admin"},
}
WHOLE = {"NAME": "shop", "HOST": "mongodb+srv://shop:secret%40@db.example/?w=1", "PASSWORD": ""}
DJONGO = {
    "NAME": "shop",
    "CLIENT": {"host": "db.example", "username": "shop", "password": PASSWORD, "authSource": "admin"},
}

PROGRAM = f"""\
#!{sys.executable} -IS
import json, os, sys
config = [word[9:] for word in sys.argv if word.startswith("--config=")]
seen = {{
    "arguments": sys.argv[1:],
    "environment": dict(os.environ),
    "config": open(config[0]).read() if config else "",
    "mode": os.stat(config[0]).st_mode if config else 0,
    "input": sys.stdin.buffer.read().hex(),
}}
with open(sys.argv[0] + ".seen", "w") as file:
    json.dump(seen, file)
"""
DUMP = "sys.stdout.buffer.write(bytes.fromhex('6de29981') + b'documents')\n"
FAIL = "sys.exit('2026-11-22T10:00:00.000+0000\\tFailed: auth error: sasl conversation error')\n"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make a connector whose programs write down what they are given, and then do ``what``."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    def make(settings, what="", **options):
        for name in ("mongodump", "mongorestore"):
            program = tmp_path / name
            program.write_text(PROGRAM + what)
            program.chmod(0o755)
        return MongoDumpConnector(
            "default", settings, {"BIN_DIR": str(tmp_path), **options}, history_tables=("runs",)
        )

    yield make
    assert list((tmp_path / "tmp").iterdir()) == []


def seen(tmp_path: Path, program: str):
    return json.loads((tmp_path / f"{program}.seen").read_text())


@pytest.mark.parametrize("settings", [PLAIN, WHOLE, DJONGO], ids=["plain", "whole address", "djongo"])
def test_dump_and_restore_are_called_with_everything_but_the_secret(make, tmp_path, settings):
    connector = make(settings, DUMP, EXCLUDE_TABLES=["cache"], DUMP_ARGS=["--readPreference=secondary"])
    file = tmp_path / "archive"
    transfer(connector.source(), FileSink(file))
    assert file.read_bytes() == MAGIC + b"documents"
    transfer(FileSource(file), lambda head: connector.sink(head, Control(), "in_place"))

    dump, restore = seen(tmp_path, "mongodump"), seen(tmp_path, "mongorestore")
    expected = ["--archive", "--db=shop", "--excludeCollection=runs", "--excludeCollection=cache"]
    assert dump["arguments"][-5:] == [*expected, "--readPreference=secondary"]
    assert restore["arguments"][-5:] == [
        "--archive",
        "--drop",
        "--stopOnError",
        "--nsInclude=shop.*",
        "--nsExclude=shop.runs",
    ]
    assert bytes.fromhex(restore["input"]) == MAGIC + b"documents"
    for each in (dump, restore):
        public = json.dumps([each["arguments"], each["environment"]])
        assert not [secret for secret in connector.secrets if json.dumps(secret)[1:-1] in public]
        assert stat.S_IMODE(each["mode"]) == 0o600
        if settings is WHOLE:
            assert each["config"] == f'uri: "{WHOLE["HOST"]}"\n'
        else:
            assert each["config"] == f"password: {json.dumps(PASSWORD)}\n"
            assert {"--host=db.example", "--username=shop", "--authenticationDatabase=admin"} <= set(
                each["arguments"]
            )


def test_failure_is_explained_without_the_secret(make, tmp_path):
    connector = make(PLAIN, FAIL)
    with pytest.raises(ProgramFailed, match=r"^mongodump failed .* auth error") as caught:
        transfer(connector.source(), FileSink(tmp_path / "archive"))
    assert "Check USER" in caught.value.hint
    assert not (tmp_path / "archive").exists()


def test_restore_says_whether_anything_may_have_changed(make, tmp_path):
    """mongorestore drops and fills collection by collection, so the first byte may have changed something."""
    connector = make(PLAIN)
    sink = connector.sink(MAGIC, Control(), "in_place")
    sink.open()
    try:
        assert not connector.is_half_done(sink)
        sink.write(MAGIC)
        assert connector.is_half_done(sink)
    finally:
        sink.close()


def test_other_formats_are_refused(make):
    with pytest.raises(WrongFormat):
        make(PLAIN).sink(b"-- MariaDB dump 10.19", Control(), "in_place")


def test_engines_of_mongodb_are_known():
    for engine in ("djongo", "django_mongodb_engine", "django_mongodb_backend"):
        assert MAPPING[engine].endswith("MongoDumpConnector")


def examine(connector):
    examiner = connector.examiner(MAGIC, Control(), ["orders"])
    transfer(FileSource(io.BytesIO(MAGIC + b"documents")), examiner)
    return examiner


def test_structure_is_checked_by_a_dry_run(make, tmp_path):
    examiner = examine(make(PLAIN))

    assert examiner.rows == {"orders": None}
    assert "--dryRun" in seen(tmp_path, "mongorestore")["arguments"]
    assert "--drop" not in seen(tmp_path, "mongorestore")["arguments"]
    assert seen(tmp_path, "mongorestore")["input"] == (MAGIC + b"documents").hex()


def test_server_that_is_not_there_proves_nothing_of_the_archive(make):
    with pytest.raises(NotChecked):
        examine(make(PLAIN, FAIL))


def test_archive_that_a_dry_run_refuses_is_damaged(make):
    with pytest.raises(BackupDamaged, match="corruption found in archive"):
        examine(make(PLAIN, "sys.exit('Failed: corruption found in archive; 858927154 is neither')\n"))
