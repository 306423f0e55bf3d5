"""A real site with django-tenants, set up as its how-to says: one backup holds all schemas, and no tenant sees it."""

import pytest

from tests.site import settings as site_settings
from tests.support.backups import quicken_looks
from tests.support.commands import done

pytestmark = pytest.mark.postgresql
MINE = (
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.admin",
    "django.contrib.sessions",
)
SHARED = ["django_tenants", "tests.support.tenancy", *MINE, "django_htmx", "django_rclone_admin"]
OF_TENANTS = [*MINE, "tests.site.shop"]
OPEN = """
from django.core.management import call_command
call_command("migrate_schemas", shared=True, verbosity=0)
from django.contrib.auth.models import User
from django_tenants.utils import schema_context
from tests.support.tenancy.models import Domain, Tenant
for name in ("public", "bakery"):
    tenant = Tenant.objects.create(schema_name=name, name=name)
    Domain.objects.create(domain=f"{name}.localhost", tenant=tenant, is_primary=True)
    with schema_context(name):
        User.objects.create_superuser(name, password=name)
"""
WORK = """
from django.contrib.auth.models import User
from django.test import Client
from django_rclone_admin.models import Backup, BackupRun
from django_tenants.utils import schema_context
LIST, RUNS = "/admin/django_rclone_admin/backup/", "/admin/django_rclone_admin/backuprun/"

def visitor(schema):
    client = Client(SERVER_NAME=f"{schema}.localhost")
    with schema_context(schema):
        client.force_login(User.objects.get(username=schema))
    return client

public, bakery = visitor("public"), visitor("bakery")
assert public.post(f"{LIST}run/", {"databases": "default"}).status_code == 302
run = BackupRun.objects.get()
assert run.status == "succeeded", run.message
path = Backup.objects.get().path
for address in (LIST, f"{LIST}health/", f"{LIST}run/", f"{LIST}restore/?path={path}", RUNS, f"{RUNS}{run.pk}/progress/"):
    assert public.get(address).status_code in (200, 286), address
    assert bakery.get(address).status_code == 403, address
for address, values in ((f"{LIST}run/", {"databases": "default"}), (f"{LIST}restore/", {"path": path, "confirm": "default"})):
    assert bakery.post(address, values).status_code == 403, address
assert b"django_rclone_admin" not in bakery.get("/admin/").content
assert b"django_rclone_admin" in public.get("/admin/").content
with schema_context("bakery"):
    User.objects.create_user("late")
assert public.post(f"{LIST}restore/", {"path": path, "confirm": "default"}).status_code == 302
run = BackupRun.objects.get(kind="db_restore")
assert run.status == "succeeded", (run.message, run.hint)
with schema_context("bakery"):
    assert [each.username for each in User.objects.all()] == ["bakery"]
with schema_context("public"):
    assert [each.username for each in User.objects.all()] == ["public"]
"""


@pytest.mark.parametrize("strategy", ["in_place", pytest.param("swap", marks=pytest.mark.soak)])
def test_tenants_are_backed_up_together_and_see_no_backups(make_shop, strategy):
    shop = make_shop(
        "postgresql",
        EXECUTOR="django_rclone_admin.executors.ImmediateExecutor",
        RESTORE_STRATEGY=strategy,
        SAFETY_BACKUP=False,
    )
    database = shop.settings["DATABASES"]["analytics"]  # the smaller of the two
    shop.execute("DROP SCHEMA public CASCADE", "analytics")
    shop.execute("CREATE SCHEMA public", "analytics")
    shop.settings |= {
        "DATABASES": {"default": {**database, "ENGINE": "django_tenants.postgresql_backend"}},
        "DATABASE_ROUTERS": ["django_tenants.routers.TenantSyncRouter"],
        "TENANT_MODEL": "tenancy.Tenant",
        "TENANT_DOMAIN_MODEL": "tenancy.Domain",
        "SHARED_APPS": SHARED,
        "TENANT_APPS": OF_TENANTS,
        "INSTALLED_APPS": [
            *SHARED,
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "tests.site.shop",
        ],
        "MIDDLEWARE": ["django_tenants.middleware.main.TenantMainMiddleware", *site_settings.MIDDLEWARE],
        "ALLOWED_HOSTS": ["*"],
    }
    quicken_looks(shop)
    shop.environment["PYTHONWARNINGS"] = "ignore"  # its own
    done(shop, "shell", "--verbosity=0", "-c", OPEN + WORK)
