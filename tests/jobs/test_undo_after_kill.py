"""A process that dies right after the new data became live has told nobody; undo knows all the same."""

import signal

import pytest

from tests.support import leaks, programs
from tests.support.swaps import history
from tests.support.tables import HISTORY

pytestmark = pytest.mark.slow

KILL_AFTER_EXCHANGE = """
if "--skip-column-names" in arguments:
    script = sys.stdin.buffer.read()
    process = start(stdin=PIPE)
    process.stdin.write(script)
    process.stdin.close()
    status = process.wait()
    if b"RENAME TABLE" in script:
        os.kill(os.getppid(), signal.SIGKILL)
    sys.exit(status)
"""
KILLED_BEFORE = {
    "sqlite": ("rclone", programs.DOWNLOAD),
    "postgresql": ("pg_restore", "--section=post-data"),
    "mysql": ("mariadb", "--skip-column-names"),
}
"""Which program kills us before the live data is touched, and by which of its arguments."""
STRATEGIES = {"sqlite": "in_place", "postgresql": "swap", "mysql": "swap"}


@pytest.fixture(
    params=[
        pytest.param("sqlite"),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ]
)
def engine(request):
    return request.param


@pytest.fixture
def shop(make_shop, engine):
    """A shop with a backup, one restore long ago, and changes since then."""
    shop = make_shop(engine, backed_up=True, RESTORE_STRATEGY=STRATEGIES[engine])
    shop.execute("UPDATE shop_product SET price = 1000")
    # A swap keeps what there was, and needs no safety backup for its undo.
    succeed(shop, "dbrestore", "--noinput", *(["--no-safety-backup"] if engine != "sqlite" else []))
    shop.execute("UPDATE shop_product SET price = 2000")
    return shop


@pytest.fixture
def die(shop, engine, request, tmp_path):
    """Run a command whose process is killed right after it changed the live data."""

    def die(*arguments):
        settings = shop.settings["DJANGO_RCLONE"]
        if engine == "mysql":
            real = request.getfixturevalue("mysql_server").bin_dir / "mariadb"
            program = programs.wrapper(tmp_path / "bin", "mariadb", real, KILL_AFTER_EXCHANGE)
            key, value = "CONNECTOR_OPTIONS", {"BIN_DIR": str(program.parent)}
        else:
            names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
            key, value = "CONNECTORS", f"tests.support.dying.{names[engine]}"
        settings[key] = {"default": value}
        killed(shop, *arguments)
        del settings[key]

    return die


def killed(shop, *arguments):
    """Run a command that does not survive it; what it had started ends by itself."""
    with leaks.burying():
        assert shop.manage(*arguments).code == -signal.SIGKILL


def succeed(shop, *arguments):
    result = shop.manage(*arguments)
    assert result.code == 0, result.err
    return result


@pytest.mark.in_turns("engine")
def test_undo_takes_back_what_could_not_say_that_it_had_happened(shop, die):
    before = shop.rows()
    die("dbrestore", "--noinput")
    restored = shop.rows()
    assert restored != before

    succeed(shop, "dbrestore", "--noinput", "--undo")
    assert shop.rows() == before
    restores = shop.execute(f"SELECT status FROM {HISTORY} WHERE kind = 'db_restore' ORDER BY created_at")
    assert restores == [("succeeded",), ("interrupted",), ("succeeded",)]
    [(hint,)] = shop.execute(f"SELECT hint FROM {HISTORY} WHERE status = 'interrupted'")
    assert hint.startswith("The restore may have been committed")

    die("dbrestore", "--noinput", "--undo")
    assert shop.rows() == restored
    succeed(shop, "dbrestore", "--noinput", "--undo")
    assert shop.rows() == before


@pytest.mark.postgresql
def test_second_ctrl_c_right_after_the_swap_comes_too_late(make_shop):
    shop = make_shop("postgresql", backed_up=True, RESTORE_STRATEGY="swap", SAFETY_BACKUP=False)
    shop.execute("UPDATE shop_product SET price = 2000")
    before = shop.rows()
    for arguments in ("dbrestore", "--noinput"), ("dbrestore", "--noinput", "--undo"):
        shop.settings["DJANGO_RCLONE"]["CONNECTORS"] = {
            "default": "tests.support.dying.InterruptedPostgreSQL"
        }
        result = shop.manage(*arguments)
        del shop.settings["DJANGO_RCLONE"]["CONNECTORS"]
        assert result.code == 1
        assert "changed" not in result.err
        found = [run for run in history(shop) if run["kind"] == "db_restore"][-1]
        assert found["status"] == "succeeded"
        assert "unfinished" not in found["options"]
        assert (shop.rows() == before) is ("--undo" in arguments)


@pytest.mark.in_turns("engine")
def test_restore_that_was_killed_before_its_change_is_not_what_is_undone(shop, engine, request, tmp_path):
    name, when = KILLED_BEFORE[engine]
    if engine == "sqlite":
        key, real = "RCLONE_BINARY", request.getfixturevalue("rclone_binary")
    else:
        key, real = "CONNECTOR_OPTIONS", request.getfixturevalue(f"{engine}_server").bin_dir / name
    kill = f"if re.search({when!r}, ' '.join(arguments)): os.kill(os.getppid(), signal.SIGKILL); sys.exit(1)"
    program = programs.wrapper(tmp_path / "bin", name, real, kill)
    settings, changed = dict(shop.settings["DJANGO_RCLONE"]), shop.rows()
    shop.settings["DJANGO_RCLONE"][key] = (
        str(program) if engine == "sqlite" else {"default": {"BIN_DIR": str(program.parent)}}
    )
    killed(shop, "dbrestore", "--noinput")
    shop.settings["DJANGO_RCLONE"] = settings
    assert shop.rows() == changed

    succeed(shop, "dbrestore", "--noinput", "--undo")
    assert {int(price) for (price,) in shop.execute("SELECT DISTINCT price FROM shop_product")} == {1000}
