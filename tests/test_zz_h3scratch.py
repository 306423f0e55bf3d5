from datetime import timedelta

from django.db import models
from django.db.models import Count, Exists, F, Q, Value

from django_rclone_admin.models import Backup, BackupRun
from tests.support.backups import DAY


def attempt(f):
    try:
        r = f()
        if hasattr(r, '_iterable_class'): r = list(r)
        return r
    except Exception as e:
        import traceback; tb=traceback.extract_tb(e.__traceback__)[-1]; return f"!! {type(e).__name__}: {str(e)[:80]} [{tb.filename[-30:]}:{tb.lineno}]"

def test_x(backups):
    for i in range(4):
        backups.put(DAY - timedelta(days=i), size=100*(i+1), manifest=i != 2, database="default" if i % 2 else "analytics")
    B = Backup.objects
    for name, f in {
        "facet": lambda: B.aggregate(n=Count("pk", filter=Q(database="default"))),
        "default": lambda: B.filter(pk="x").aggregate(n=models.Max("size", default=3)),
        "exists": lambda: B.filter(Exists(BackupRun.objects.all())),
        "value": lambda: B.filter(Value(True)),
        "in F": lambda: B.filter(name__in=[F("path")]),
        "in qs": lambda: B.filter(pk__in=B.filter(database="default")),
        "order raw": lambda: B.order_by("raw_size").values_list("raw_size", flat=True),
        "order raw nulls last": lambda: B.order_by(F("raw_size").asc(nulls_last=True)).values_list("raw_size", flat=True),
        "order raw desc nulls last": lambda: B.order_by(F("raw_size").desc(nulls_last=True)).values_list("raw_size", flat=True),
        "distinct count": lambda: B.values_list("database").distinct().count(),
        "distinct slice": lambda: B.order_by().values_list("database", flat=True).distinct()[:2],
        "values transform": lambda: B.values("taken_at__year"),
        "values json": lambda: B.values_list("tables").distinct(),
        "order json": lambda: B.order_by("migrations"),
        "json": lambda: B.filter(migrations__shop__contains="x"),
        "json on none": lambda: B.filter(database="nope", migrations__shop="x"),
        "date year": lambda: B.filter(taken_at__date__year=2026),
        "week": lambda: B.filter(taken_at__week=3),
        "dates null": lambda: B.dates("finished_at", "month"),
        "sum name": lambda: B.aggregate(models.Sum("name")),
        "max json": lambda: B.aggregate(models.Max("migrations")),
        "agg nope": lambda: B.filter(pk="x").aggregate(models.Max("nope")),
        "sum distinct": lambda: B.aggregate(models.Sum("size", distinct=True)),
        "explain": lambda: B.explain(),
        "dates week": lambda: B.dates("taken_at", "week"),
        "bad kind": lambda: B.dates("taken_at", "era"),
        "datetimes week": lambda: B.datetimes("taken_at", "week"),
        "xor": lambda: B.filter(Q(pinned=True) ^ Q(database="default")).count(),
        "only": lambda: B.only("name").first().label,
        "select_for_update": lambda: B.select_for_update(),
        "select_related": lambda: B.select_related(),
        "prefetch": lambda: B.prefetch_related("x"),
        "contains": lambda: B.contains(B.first()),
        "using": lambda: B.using("analytics"),
        "or": lambda: (B.filter(pinned=True) | B.filter(database="default")).count(),
        "union": lambda: B.union(B.all()),
        "base": lambda: Backup._base_manager.all(),
        "bool": lambda: bool(B.all()),
        "in_bulk": lambda: B.in_bulk(),
        "iterator": lambda: list(B.values_list("pk", flat=True).iterator()),
        "case": lambda: B.filter(models.Case(models.When(pinned=True, then=True), default=False)),
        "isnull json": lambda: B.filter(migrations__isnull=True),
        "order lower": lambda: B.order_by(models.functions.Lower("name")),
        "dict": lambda: B.filter(size__in={100}),
        "reverse dates": lambda: B.dates("taken_at", "day", order="DESC"),
        "F compare": lambda: B.filter(size__lt=F("raw_size")),
        "aggregate expr": lambda: B.aggregate(x=models.Max(F("size") + 1)),
        "aggregate stddev": lambda: B.aggregate(models.StdDev("size")),
        "aggregate count distinct": lambda: B.aggregate(models.Count("database", distinct=True)),
        "aggregate count *": lambda: B.aggregate(n=models.Count("*")),
        "aggregate annotation": lambda: B.aggregate(n=models.Count("*") + 1),
        "annot order": lambda: B.order_by("nope"),
        "pk_in none": lambda: B.filter(pk=None),
    }.items():
        print(f"{name:20}", attempt(f))
