"""The module of tasks on a site without Django's tasks framework."""

import importlib.util
import sys

import pytest

from django_rclone_admin import api, executors


def test_module_can_be_imported_where_there_is_no_framework(monkeypatch, settings):
    """Celery's ``autodiscover_tasks`` and Procrastinate import the module ``tasks`` of every installed app."""
    for name in ("django.tasks", "django_tasks"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.find_spec("django_rclone_admin.tasks")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "django_rclone_admin.tasks", module)
    monkeypatch.setattr("django_rclone_admin.tasks", module, raising=False)
    monkeypatch.setattr(executors, "_executors", {})
    settings.DJANGO_RCLONE = {"REMOTE": "x:", "EXECUTOR": "django_rclone_admin.tasks.TasksExecutor"}
    with pytest.raises(ImportError, match="django-tasks"):
        executors.get_executor()


@pytest.mark.django_db(databases=["default", "analytics"])
def test_doctor_says_what_the_executor_lacks(monkeypatch, backups):
    monkeypatch.setattr(executors, "_executors", {})
    monkeypatch.setattr("django_rclone_admin.tasks.carry_out", lambda run_id: None)
    backups.configure(EXECUTOR="django_rclone_admin.tasks.TasksExecutor")
    [line] = [each for each in api.examine("site") if each.id == "runs.executor"]
    assert (line.outcome, "django-tasks" in line.sentence) == ("failed", True)
