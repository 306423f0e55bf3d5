"""However Django reaches PostgreSQL, its programs do: by a service file, a password file or certificates, for both strategies."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from django_rclone_admin.connectors.postgresql.libpq import ServiceFile, conninfo, explain
from tests.support import databases
from tests.support.commands import saved
from tests.support.postgresql import PostgreSQLServer
from tests.support.servers import own_settings
from tests.support.site import Shop
from tests.support.swaps import history

pytestmark = pytest.mark.postgresql


def by_service(shop: Shop, entry: dict) -> dict:
    """Everything is in the service file, the name of the database too."""
    words = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    lines = [f"{key}={entry[name]}\n" for key, name in words.items()]
    (shop.home / ".pg_service.conf").write_text("[other]\nhost=nowhere.invalid\n[shop]\n" + "".join(lines))
    left = {key: value for key, value in entry.items() if key not in words.values()}
    return left | {"NAME": "", "OPTIONS": {"service": "shop"}}


def by_password_file(shop: Shop, entry: dict) -> dict:
    file = shop.home / "passwords"
    password = entry["PASSWORD"].replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"*:*:*:{entry['USER']}:{password}\n")
    file.chmod(0o600)
    return entry | {"PASSWORD": "", "OPTIONS": {"passfile": str(file)}}


def with_another_service(shop: Shop, entry: dict) -> dict:
    """The settings count for more than the service file, whose database is another one."""
    (shop.home / ".pg_service.conf").write_text("[shop]\ndbname=postgres\nuser=nobody\nport=1\n")
    return entry | {"OPTIONS": {"service": "shop"}}


@pytest.mark.in_turns("strategy")
@pytest.mark.parametrize("strategy", ["in_place", "swap"])
@pytest.mark.parametrize("way", [by_service, by_password_file, with_another_service])
def test_both_strategies_reach_the_server_as_django_does(make_shop, way, strategy):
    shop = make_shop("postgresql")
    direct = dict(shop.settings["DATABASES"]["default"])
    wanted = shop.rows()
    shop.settings["DATABASES"]["default"] = way(shop, direct)
    dump = saved(shop)
    changed = direct | {}
    shop.settings["DATABASES"]["default"] = changed
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.settings["DATABASES"]["default"] = way(shop, direct)
    result = shop.manage("dbrestore", "--noinput", f"--strategy={strategy}", "--no-safety-backup", dump)
    assert result.code == 0, result.err
    shop.settings["DATABASES"]["default"] = changed
    assert shop.rows() == wanted
    assert "instead" not in history(shop)[-1]["log"]


PASSPHRASE = "of the client's key"
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2")


def make_certificates(folder: Path, role: str) -> None:
    """Make an authority, and what it certifies: the server, and a client whose key has a passphrase."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-nodes", *CURVE, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority")
    for name, subject, secret in (
        ("server", "127.0.0.1", ("-nodes",)),
        ("client", role, ("-passout", f"pass:{PASSPHRASE}")),
    ):
        openssl(
            "req", *CURVE, *secret, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}"
        )
        authority = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *authority)


@contextmanager
def certificates(server: PostgreSQLServer, folder: Path, role: str) -> Iterator[dict[str, str]]:
    """Have the server ask a role for its certificate, and give the options by which a client shows it."""
    make_certificates(folder, role)
    rules = server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    for name in "ca.crt", "server.crt", "server.key":
        copy = server.folder / "data" / name
        copy.write_bytes((folder / name).read_bytes())
        copy.chmod(0o600)
        shutil.chown(copy, rules.stat().st_uid, rules.stat().st_gid)
    rules.write_text(f"hostssl all {role} 127.0.0.1/32 cert\n{before}")
    server.administer("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
    server.administer("ALTER SYSTEM SET ssl = on")
    server.administer("SELECT pg_reload_conf()")
    files = {"sslrootcert": "ca.crt", "sslcert": "client.crt", "sslkey": "client.key"}
    try:
        yield {key: str(folder / name) for key, name in files.items()} | {
            "sslmode": "verify-full",
            "sslpassword": PASSPHRASE,
        }
    finally:
        rules.write_text(before)
        server.administer("ALTER SYSTEM RESET ssl")
        server.administer("ALTER SYSTEM RESET ssl_ca_file")
        server.administer("SELECT pg_reload_conf()")


def test_client_with_a_certificate_backs_up_and_restores_by_both_strategies(
    make_shop, postgresql_server, tmp_path
):
    shop = make_shop("postgresql")
    direct = postgresql_server.with_own_role(shop.settings["DATABASES"]["default"])
    wanted = databases.rows(direct)
    with (
        own_settings(postgresql_server.folder),
        certificates(postgresql_server, tmp_path, direct["USER"]) as options,
    ):
        shop.settings["DATABASES"]["default"] = direct | {"PASSWORD": "", "OPTIONS": options}
        dump = saved(shop)
        for strategy in "in_place", "swap":
            databases.execute(direct, "UPDATE shop_product SET price = price + 1")
            restored = shop.manage(
                "dbrestore", "--noinput", f"--strategy={strategy}", "--no-safety-backup", "--json", dump
            )
            assert restored.code == 0, restored.err
            assert "instead" not in restored.json["log"]
            assert databases.rows(direct) == wanted
    shop.settings["DATABASES"]["default"] = direct


def test_words_of_a_connection_hold_any_text_and_no_secret():
    settings = {
        "NAME": "it's a \\ name",
        "HOST": "",
        "PORT": 5433,
        "PASSWORD": "s3cret",
        "OPTIONS": {
            "sslcert": "/a b/c.crt",
            "sslpassword": "passphrase",
            "keepalives_idle": 5,
            "pool": True,
            "password": "another",
        },
    }
    found = conninfo(settings)
    assert found == (
        r"application_name='django-rclone-admin' sslcert='/a b/c.crt' keepalives_idle='5' "
        r"port='5433' dbname='it\'s a \\ name'"
    )
    assert "dbname='x'" in conninfo(settings, "x")


def test_passphrase_of_a_key_goes_into_a_private_service_file(tmp_path):
    known = tmp_path / "services"
    known.write_text("[a]\nhost=x\n[b]\nhost=y\n")
    file = ServiceFile("b", "passphrase", {"PGSERVICEFILE": str(known)})
    assert file.path.read_text() == "[a]\nhost=x\n[b]\nsslpassword=passphrase\nhost=y\n"
    assert file.path.stat().st_mode & 0o077 == 0
    path = file.path
    del file
    assert not path.exists()
    alone = ServiceFile("", "passphrase", {})
    assert alone.path.read_text() == "\n[django-rclone-admin]\nsslpassword=passphrase\n"


@pytest.mark.parametrize(
    "said",
    [
        'connection to server at "x" failed: could not load private key file "k": bad decrypt',
        'connection to server at "x" failed: root certificate file "r" does not exist',
        'connection to server at "x" failed: FATAL:  no pg_hba.conf entry for host "y"',
        'definition of service "nothing" not found',
    ],
)
def test_trouble_with_certificates_is_not_blamed_on_host_and_port(said):
    hint = explain("psql", 2, f"psql: error: {said}").hint
    assert "certificates" in hint
    assert "HOST" not in hint
