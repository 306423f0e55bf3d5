"""Check records: what their names tell, what counts of it, and the chain that they are in."""

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from django_rclone_admin.core import patience, records, store
from django_rclone_admin.core.answers import Entry
from django_rclone_admin.core.catalog import latest
from django_rclone_admin.core.check_marks import CheckMark, Level, Outcome, failures, parse, proofs
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.core.records import Record
from django_rclone_admin.core.retention import RetentionPolicy, decide
from django_rclone_admin.core.states import State
from django_rclone_admin.exceptions import BackupDamaged, RemoteError
from tests.support.engine import NAMING
from tests.support.programs import wrapper

NAME, OLDER = "default-2026-11-22-120000.dump", "default-2026-11-21-120000.dump"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def put(root):
    """Put a backup there, with empty records of these names behind its own."""

    def put(name=NAME, checks=(), *, has_manifest=True):
        (root / "db" / name).write_bytes(b"dump")
        for check in checks:
            (root / "db" / f"{name}.check.{check}.json").write_bytes(b"")
        if not has_manifest:
            return
        taken_at = NAMING.parse(name).taken_at
        manifest = Manifest(
            name=name, database="default", engine="sqlite", connector="", taken_at=taken_at, finished_at=taken_at,
            size=4, raw_size=4, sha256="",
        )  # fmt: skip
        (root / "db" / f"{name}.manifest.json").write_bytes(manifest.to_bytes())

    return put


@pytest.fixture
def listed(catalog, root):
    """What the catalog says of the files that are there, without a call of rclone and with no look into manifests."""
    return lambda: catalog.arrange(
        [Entry(each.name, each.stat().st_size, "") for each in (root / "db").iterdir()]
    )


def record(level=Level.STRUCTURE, outcome=Outcome.PASSED, at=NOON, **values):
    usual = {"backup": NAME, "database": "default", "run": "8d777f38-5d3d-4fec-b0d5-5c5a3b3f2a10"}
    return Record(
        **usual | {"level": level, "outcome": outcome, "started_at": at, "finished_at": at} | values
    )


def mark(level, outcome, minutes=0):
    return CheckMark(level=Level(level), outcome=Outcome(outcome), at=NOON + timedelta(minutes=minutes))


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("outcome", Outcome)
def test_name_of_a_record_says_all_that_it_was_made_of(level, outcome):
    made = CheckMark(level=level, outcome=outcome, at=NOON)

    assert made.name(NAME) == f"{NAME}.check.{level}.{outcome}.20261122T120000Z.json"
    assert parse(made.name(NAME)) == (NAME, made)


HOSTILE = [
    "checksum.passed.20261122T120000Z.json.json", "checksum.passed.20261122T120000Z.JSON", "all.passed.20261122T120000Z.json",
    "checksum.damaged.20261122T120000Z.json", "checksum.passed.20261322T120000Z.json", "checksum.passed.20261122T126000Z.json",
    "checksum.passed.00010101T000000Z.json", "checksum.passed.99991231T235959Z.json", "checksum.passed.2026112T120000Z.json",
    "checksum.passed.20261122T120000.json", "checksum.passed.\u0662\u0660\u0662\u06661122T120000Z.json", "checksum.passed.20261122T120000Z",
    "checksum.passed.20261122T120000Z.json\n", "CHECKSUM.passed.20261122T120000Z.json", ".passed.20261122T120000Z.json",
]  # fmt: skip


@pytest.mark.parametrize("end", HOSTILE)
def test_what_only_resembles_a_record_is_neither_one_nor_a_backup(end):
    assert parse(f"{NAME}.check.{end}") is None
    assert NAMING.parse(f"{NAME}.check.{end}") is None


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("outcome", Outcome)
def test_record_is_never_a_backup(level, outcome):
    assert NAMING.parse(mark(level, outcome).name(NAME)) is None


def test_listing_tells_results_and_shows_no_record(catalog, put):
    put(checks=["structure.passed.20261122T130000Z", "site.failed.20261122T130000Z"])

    [backup] = catalog.objects()

    assert [(each.level, each.outcome) for each in backup.checks] == [
        ("structure", "passed"),
        ("site", "failed"),
    ]
    assert (backup.state, backup.proof.level) == (State.COMPLETE, "structure")


@pytest.mark.in_turns("has_manifest")
@pytest.mark.parametrize("level", ["checksum", "structure", "restore"])
@pytest.mark.parametrize("has_manifest", [True, False])
def test_failed_check_makes_a_backup_damaged(catalog, put, level, has_manifest):
    put(OLDER)
    put(checks=[f"{level}.failed.20261122T130000Z"], has_manifest=has_manifest)

    newest, older = catalog.objects()

    assert newest.state is State.DAMAGED
    assert latest([newest, older], "default") == older
    kept = decide([newest, older], RetentionPolicy(last=1), NOON)
    assert [each.keep for each in kept] == [True, True]


def test_damage_is_known_before_any_manifest_is_read(catalog, put):
    put(checks=["checksum.failed.20261122T130000Z"])

    [backup] = catalog.objects(manifests=False)

    assert backup.state is State.DAMAGED


COUNTS = [
    ([mark("structure", "failed"), mark("structure", "passed", 1)], None, "structure"),
    ([mark("structure", "passed"), mark("structure", "failed", 1)], "structure", None),
    ([mark("structure", "failed"), mark("site", "passed", 1)], None, "site"),
    ([mark("structure", "failed"), mark("checksum", "passed", 1)], "structure", "checksum"),
    ([mark("site", "passed"), mark("checksum", "failed", 1)], "checksum", None),
    ([mark("structure", "passed"), mark("restore", "failed", 1)], "restore", "structure"),
    ([mark("restore", "passed"), mark("site", "failed")], None, "restore"),
    ([mark("checksum", "failed"), mark("restore", "unchecked", 1)], "checksum", None),
    ([mark("restore", "unchecked")], None, None),
    ([], None, None),
]


@pytest.mark.parametrize("marks, failed, proven", COUNTS)
def test_later_check_of_enough_overrules(marks, failed, proven):
    assert ([each.level for each in failures(marks) if each.is_damage] or [None])[0] == failed
    assert (proofs(marks)[-1].level if proofs(marks) else None) == proven


def test_success_in_the_future_counts_for_nothing(put, listed):
    year = datetime.now(UTC).year + 1
    put(checks=[f"site.passed.{year}0101T000000Z"])

    assert listed()[0].proof is None


def test_success_in_the_future_does_not_hide_a_failure(put, listed):
    year = datetime.now(UTC).year + 1
    put(checks=["checksum.failed.20201122T130000Z", f"checksum.passed.{year}0101T000000Z"])

    assert listed()[0].state is State.DAMAGED


def test_newest_record_of_a_level_counts(put, listed):
    put(checks=["checksum.failed.20201122T130000Z", "checksum.passed.20201122T130001Z"])

    assert listed()[0].state is State.COMPLETE


def test_deleted_backup_takes_its_records_along(catalog, put, listed, root):
    put(checks=["checksum.passed.20261122T130000Z", "checksum.failed.20251122T130000Z"])
    put(OLDER, checks=["checksum.passed.20261122T130000Z"])

    store.remove(catalog, listed()[0])

    assert {each.name for each in (root / "db").iterdir()} == {
        OLDER, f"{OLDER}.manifest.json", f"{OLDER}.check.checksum.passed.20261122T130000Z.json"
    }  # fmt: skip


def test_record_without_its_backup_is_no_backup_and_found_as_an_orphan(catalog, put, root):
    put(checks=["checksum.failed.20261122T130000Z"])
    (root / "db" / NAME).unlink()
    (root / "db" / "notes.txt.check.checksum.failed.20261122T130000Z.json").touch()

    entries = catalog.rclone.entries("db")

    assert set(catalog.orphans(entries)) == {f"{NAME}.check.checksum.failed.20261122T130000Z.json"}
    assert {each.state for each in catalog.arrange(entries)} == {State.FOREIGN}  # also the manifest


def test_stored_record_reads_back_though_another_cannot_be_read(catalog, put, listed, root):
    put(checks=["checksum.passed.20201122T130000Z"])
    [backup] = listed()
    tables = {"shop_order": {"expected": 5, "found": 5}, "new": {"expected": None, "found": 0}}

    stored = records.store(catalog.rclone, backup, [record(tables=tables, reason="“ü”")], pytest.fail)
    cut = root / "db" / f"{NAME}.check.checksum.passed.20201122T130000Z.json"
    cut.write_bytes(stored[0].to_bytes()[:50])
    [backup] = catalog.objects()

    assert records.read_beside(catalog.rclone, backup) == stored
    assert backup.proof.at == NOON


def test_records_are_chained_and_the_newest_of_each_level_stays_beside_the_backup(catalog, put, listed, root):
    put()
    failed = Outcome.FAILED
    rounds = [
        [(Level.CHECKSUM, failed), (Level.STRUCTURE, Outcome.PASSED)],
        [(Level.STRUCTURE, Outcome.PASSED), (Level.RESTORE, Outcome.PASSED)],
        [(Level.CHECKSUM, failed)],
    ]
    for minutes, results in enumerate(rounds):
        [backup] = listed()
        some = [record(*result, NOON + timedelta(minutes=minutes)) for result in results]
        records.store(catalog.rclone, backup, some, pytest.fail)

    previous = ""
    levels = []
    for at in range(3):
        files = (root / "checks" / "2026").glob(f"20261122T120{at}*")
        for file in sorted(files, key=lambda each: Level(each.name.rpartition("-")[2].split(".")[0]).rank):
            assert json.loads(file.read_text())["previous"] == previous
            previous = hashlib.sha256(file.read_bytes()).hexdigest()
            levels.append(json.loads(file.read_text())["level"])
    assert levels == ["checksum", "structure", "structure", "restore", "checksum"]
    assert {each.name for each in (root / "db").glob("*.check.*")} == {
        f"{NAME}.check.checksum.failed.20261122T120200Z.json",
        f"{NAME}.check.structure.passed.20261122T120100Z.json",
        f"{NAME}.check.restore.passed.20261122T120100Z.json",
    }


@pytest.mark.parametrize("which", ["checks/", r"db/.*\.check\."], ids=["in the chain", "beside the backup"])
def test_record_that_the_remote_loses_is_missed(catalog, put, listed, tmp_path, monkeypatch, which):
    """One look at the end verifies all of them."""
    monkeypatch.setattr(patience, "WAITS", (0.01,))  # for a storage that shows late what was written
    body = f"if re.search(r'rcat.*{which}', ' '.join(arguments)): sys.stdin.read(); sys.exit(0)"
    put()
    [backup] = listed()
    rclone = dataclasses.replace(
        catalog.rclone, binary=str(wrapper(tmp_path / "bin", "rclone", catalog.rclone.binary, body))
    )

    with pytest.raises(RemoteError, match=f"did not keep all of {which}"):
        records.store(rclone, backup, [record()], pytest.fail)


def test_record_names_what_was_written_before_and_not_what_is_there(catalog, put, listed, root):
    """Whoever changes a record breaks the chain, though it may be noticed only later. One of another checker is read."""
    put()
    [backup] = listed()
    records.store(catalog.rclone, backup, [record(Level.CHECKSUM)], pytest.fail)
    [file] = (root / "checks" / "2026").iterdir()
    written = file.read_bytes()
    file.write_bytes(written.replace(b"passed", b"failed"))

    [stored] = records.store(catalog.rclone, backup, [record(at=NOON + timedelta(minutes=1))], pytest.fail)

    assert stored.previous == hashlib.sha256(written).hexdigest()

    other = root / "checks" / "2026" / "20261122T120101Z-11111111-5d3d-4fec-b0d5-5c5a3b3f2a10-site.json"
    other.write_bytes(b"{}")

    [stored] = records.store(catalog.rclone, backup, [record(at=NOON + timedelta(minutes=2))], pytest.fail)

    assert stored.previous == hashlib.sha256(b"{}").hexdigest()


def test_chain_forgets_after_400_days_and_nothing_else(catalog, put, listed, root):
    put()
    [backup] = listed()
    run = "8d777f38-5d3d-4fec-b0d5-5c5a3b3f2a10"
    old, young = (NOON - timedelta(days=days) for days in (401, 399))
    names = {at: f"{at:%Y}/{at:%Y%m%dT%H%M%SZ}-{run}-checksum.json" for at in (old, young)}
    others = [
        "2024/notes.json",
        f"2023/{old:%Y%m%dT%H%M%SZ}-{run}-checksum.json",
        f"{old:%Y}/{old:%Y%m%dT%H%M%SZ}-x.json",
    ]
    for name in [*names.values(), *others]:
        (root / "checks" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "checks" / name).write_text("{}")

    [stored] = records.store(catalog.rclone, backup, [record()], pytest.fail)

    left = {str(each.relative_to(root / "checks")) for each in (root / "checks").rglob("*.json")}
    assert left == {names[young], *others, f"2026/20261122T120000Z-{run}-structure.json"}
    assert stored.previous == hashlib.sha256(b"{}").hexdigest()


WRONG = [
    {"format": 2}, {"level": "all"}, {"outcome": "good"}, {"size": -1}, {"size": "5"}, {"tables": []}, {"tables": {"a": 1}},
    {"tables": {"a": {"expected": -1, "found": 1}}}, {"started_at": "2026-11-22"}, {"finished_at": None}, {"reason": 5},
    {"age_seconds": []}, {"versions": {"a": 1}}, {"run": None},
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_record_with_a_wrong_value_is_refused(change):
    with pytest.raises(BackupDamaged):
        Record.from_bytes(json.dumps(record().as_dict() | change).encode())


def test_record_that_steers_a_terminal_is_made_harmless():
    evil = dataclasses.replace(record(), reason="\x1b[2J", tables={"\x07": {"expected": None, "found": 1}})

    assert "\x1b" not in str(Record.from_bytes(evil.to_bytes()))
    assert "\x07" not in str(Record.from_bytes(evil.to_bytes()))
