"""One object of every kind, and text that looks like commands: the text of ``pg_dump`` is the same after a restore."""

from contextlib import ExitStack, closing

import pytest

from tests.support.commands import done, saved
from tests.support.matrix import sampled
from tests.support.pgbouncer import PgBouncer
from tests.support.postgresql import connect
from tests.support.postgresql_schema import AS_SUPERUSER, KINDS, NEWER, WITH_THEM, dump
from tests.support.site import Shop
from tests.support.swaps import history

pytestmark = pytest.mark.postgresql


def fill(entry, script: str) -> None:
    with closing(connect(entry)) as connection:
        connection.execute(script)


def restore(shop: Shop, strategy: str, *arguments: str) -> None:
    done(shop, "dbrestore", "--noinput", "--no-safety-backup", f"--strategy={strategy}", *arguments)


@pytest.mark.parametrize(
    "database, strategy, pooler",
    sampled(
        [
            ("postgresql", "in_place", ""),
            ("postgresql", "swap", ""),
            ("postgresql18", "in_place", ""),
            ("postgresql18", "swap", ""),
            ("postgresql", "in_place", "session"),
            ("postgresql", "in_place", "transaction"),
            ("postgresql", "swap", "transaction"),
        ],
        ("postgresql18", "swap", ""),
        ("postgresql", "swap", "transaction"),
    ),
)
def test_every_kind_of_an_ordinary_owner_comes_back_to_the_letter(
    make_shop, request, database, strategy, pooler
):
    server = request.getfixturevalue(f"{database}_server")
    shop = make_shop(database)
    entry = dict(shop.settings["DATABASES"]["default"])
    fill(entry, KINDS)
    wanted = dump(entry, server.bin_dir)
    with ExitStack() as stack:
        if pooler:
            bouncer = stack.enter_context(PgBouncer(server, pooler))
            shop.settings["DATABASES"]["default"] = bouncer.in_front_of(entry)
        kept = saved(shop)
        fill(entry, NEWER)
        restore(shop, strategy, kept)
        assert "instead" not in history(shop)[-1]["log"]
    shop.settings["DATABASES"]["default"] = entry
    assert dump(entry, server.bin_dir) == wanted


def test_role_without_createdb_gets_all_back_in_place(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    # A role of its own, because all workers share the server.
    entry = postgresql_server.with_own_role(shop.settings["DATABASES"]["default"])
    shop.settings["DATABASES"]["default"] = entry
    fill(entry, KINDS)
    wanted = dump(entry, postgresql_server.bin_dir)
    postgresql_server.administer("ALTER ROLE {} NOCREATEDB", entry["USER"])
    kept = saved(shop)
    fill(entry, NEWER)
    restore(shop, "swap", kept)
    assert "may not create databases" in history(shop)[-1]["log"]
    assert dump(entry, postgresql_server.bin_dir) == wanted


@pytest.mark.parametrize(
    "database, strategy",
    sampled([("postgresql", "swap"), ("postgresql18", "in_place")], ("postgresql", "swap")),
)
def test_what_a_superuser_has_put_there_stays_as_it_is(make_shop, request, database, strategy):
    """In a schema of his own and in none: a restore neither drops it nor trips over it, and is done in place."""
    server = request.getfixturevalue(f"{database}_server")
    shop = make_shop(database)
    entry = shop.settings["DATABASES"]["default"]
    with closing(server.superuser_connection(entry["NAME"])) as connection:
        connection.execute(AS_SUPERUSER.format(user=server.user))
    fill(entry, KINDS + WITH_THEM)
    as_superuser = entry | {"USER": server.superuser}
    wanted = dump(as_superuser, server.bin_dir)
    done(shop, "dbbackup")
    fill(entry, NEWER)
    restore(shop, strategy)
    found = dump(as_superuser, server.bin_dir)
    with closing(server.superuser_connection(entry["NAME"])) as connection:
        connection.execute("DROP SUBSCRIPTION nobody")  # no database goes before its subscriptions
    assert found == wanted
    said = "an object that only a superuser can create in another one" in history(shop)[-1]["log"]
    assert said is (strategy == "swap")
