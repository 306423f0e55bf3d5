"""Checks with Django: migrations, models, sequences, and the site's own checks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models, router
from django.db.models import Max
from django.utils import timezone
from django.utils.module_loading import import_string

from ..conf import get_settings
from ..connectors.base import Connector
from ..exceptions import BackupError, CheckFailed, NotChecked, Stopped, gettext_noop
from .check_stored import shown
from .checking import Check
from .migrations import Code, Key, applied


def check_site(check: Check, connector: Connector, alias: str) -> None:
    """Check an opened backup in the way in which the site would use it.

    :raises CheckFailed: a check failed.
    :raises NotChecked: there was nothing to check.
    """
    code, recorded = Code.read(), applied(alias)
    _check_migrations(check, code, recorded)
    read = _read_models(check, connector, code, recorded, alias)
    columns = [(model._meta.db_table, field.column) for model in read for field in _counted(model)]
    if behind := connector.behind(alias, columns):
        raise CheckFailed(
            gettext_noop("Sequences behind the highest key: %(names)s."),
            hint=gettext_noop(
                "The next new row would fail. Run “manage.py sqlsequencereset” for the live database."
            ),
            names=shown(behind),
        )
    own = get_settings().verify_checks.get(check.backup.database, [])
    for each in [own] if isinstance(own, dict) else own:
        _check_own(check, each, alias)
    if not read and not own:
        raise NotChecked(
            gettext_noop("None of the site's models has its table in this backup."),
            hint=gettext_noop("Write checks of your own in VERIFY_CHECKS."),
        )


def _check_migrations(check: Check, code: Code, recorded: Collection[Key]) -> None:
    manifest = check.backup.manifest
    if manifest is None:
        return
    if names := code.differences(recorded, manifest.migrations):
        raise CheckFailed(
            gettext_noop("The recorded migrations are not those of the manifest: %(names)s."),
            names=shown(names),
        )


def _read_models(
    check: Check, connector: Connector, code: Code, recorded: Collection[Key], alias: str
) -> list[type[models.Model]]:
    """Read the first and the last row of each model of the site that belongs to the database.

    Models of apps whose migrations differ between the backup and the code are skipped, because their tables differ,
    too.

    :raises NotChecked: it can't be known which those are.
    """
    if code.problem:
        raise NotChecked(
            gettext_noop("The site's migrations can't be imported: %(reason)s"),
            hint=gettext_noop(
                "“manage.py showmigrations” shows why. Mend them, then check the backup again."
            ),
            reason=code.problem,
        )
    differences = (
        code.compare(code.leaves(recorded)) if recorded else ()
    )  # its tables may be nobody's migrations
    others = {each.partition(".")[0] for names in differences for each in names}
    found = []
    for model in _models(check.backup.database, connector.history_tables):
        if model._meta.app_label in others:
            continue
        try:
            rows = model._base_manager.using(alias).order_by("pk")
            rows.first(), rows.last()
        except Stopped:
            raise
        except Exception as error:
            check.job.control.raise_if_stopped()
            raise CheckFailed(
                gettext_noop("The model %(model)s can't read its table: %(reason)s"),
                model=model._meta.label,
                reason=" ".join(str(error).split()),
            ) from error
        found.append(model)
    if others:
        check.notes.append(
            f"Not read by models: {', '.join(sorted(others))}. The code has other migrations than this backup."
        )
    return found


def _models(database: str, without: Collection[str]) -> Iterator[type[models.Model]]:
    """Give the models of the site that belong to a database.

    :param without: tables that are in no backup.
    """
    for model in apps.get_models(include_auto_created=True):
        is_here = router.allow_migrate_model(database, model)
        if is_here and model._meta.managed and not model._meta.proxy and model._meta.db_table not in without:
            yield model


def _counted(model: type[models.Model]) -> Iterable[Any]:
    """Return the columns of a model that a sequence or a counter fills."""
    return [field for field in model._meta.local_concrete_fields if isinstance(field, models.AutoField)]


def _check_own(check: Check, own: Any, alias: str) -> None:
    if isinstance(own, dict):
        for label, limits in own.items():
            _check_limits(check, label, limits, alias)
        return
    try:
        import_string(own)(alias, check.backup)
    except Stopped:
        raise
    except Exception as error:
        check.job.control.raise_if_stopped()
        raise CheckFailed(
            gettext_noop("The check %(path)s of the site failed: %(reason)s"),
            path=own,
            reason=" ".join(f"{type(error).__name__}: {error}".split()),
        ) from error


def _check_limits(check: Check, label: str, limits: dict[str, Any], alias: str) -> None:
    """Check that a model has enough rows, and recent ones."""
    try:
        model = apps.get_model(label)
        rows = model._base_manager.using(alias)
        if (count := rows.count()) < limits.get("min_rows", 0):
            raise CheckFailed(
                gettext_noop("%(model)s has too few rows: %(found)d. VERIFY_CHECKS wants %(least)d."),
                model=label,
                found=count,
                least=limits["min_rows"],
            )
        if "newest" in limits:
            field, hours = limits["newest"]
            _check_newest(check, label, rows.aggregate(newest=Max(field))["newest"], hours)
    except BackupError:
        raise
    except (LookupError, FieldDoesNotExist, TypeError, ValueError) as error:
        raise CheckFailed(
            gettext_noop("VERIFY_CHECKS can't be applied to %(model)s: %(reason)s"),
            model=label,
            reason=" ".join(str(error).split()),
        ) from error


def _check_newest(check: Check, label: str, newest: Any, hours: float) -> None:
    backup = check.backup
    taken_at = backup.manifest.taken_at if backup.manifest else backup.taken_at
    assert taken_at is not None
    if newest is not None and not isinstance(newest, datetime):
        newest = datetime.combine(newest, datetime.min.time())
    if newest is not None and timezone.is_naive(newest):
        newest = timezone.make_aware(newest, timezone.get_default_timezone())
    if newest is None or taken_at - newest > timedelta(hours=hours):
        raise CheckFailed(
            gettext_noop(
                "The newest row of %(model)s was more than %(hours)s hours old when the backup was made: %(newest)s."
            ),
            model=label,
            hours=hours,
            newest=newest.isoformat() if newest else "-",
        )
