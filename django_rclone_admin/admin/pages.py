"""Shared by the pages of all models: permissions, messages, badges, redirects."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import api, wording
from ..exceptions import BackupError, BackupNotFound
from ..models import Backup, BackupRun, Origin, Trigger
from ..models.runs import is_run_id

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[models.Model]
else:
    ModelAdmin = admin.ModelAdmin

APP = "django_rclone_admin"
LIST, DETAIL, RUN = "backup_changelist", "backup_change", "backuprun_change"
"""Names of pages, for :meth:`Pages.address`."""
P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)


def has_permission(request: HttpRequest, verb: str, model: str = "backup") -> bool:
    """Whether the user has one of this app's permissions."""
    if api.is_tenant():
        return False
    if verb == "restore" and not api.may_restore():
        return False
    return request.user.has_perm(f"{APP}.{verb}_{model}")


def require_permission(request: HttpRequest, verb: str, model: str = "backup") -> None:
    """Refuse the request if the user lacks the permission.

    :raises PermissionDenied: 403.
    """
    if not has_permission(request, verb, model):
        raise PermissionDenied


def origin_of(request: HttpRequest) -> Origin:
    """Return the origin of a run that this request starts."""
    return Origin(trigger=Trigger.ADMIN, requested_by=request.user.get_username())


def get_backup_or_404(object_id: str) -> Backup:
    """Find a backup in the backup list, by its key in the URL.

    :raises Http404: the backup list does not contain it.
    """
    try:
        return Backup.objects.get(path=unquote(object_id))
    except (Backup.DoesNotExist, BackupNotFound) as error:
        raise Http404 from error


def show_error(request: HttpRequest, error: Exception) -> None:
    """Show an error with its hint as a message of the admin, once."""
    sentence, hint = wording.describe(error)
    text = format_html('{} <span class="dra-hint">{}</span>', sentence, hint)
    if not is_said(request, text):
        messages.error(request, text)


def is_said(request: HttpRequest, text: str) -> bool:
    """Whether a message with this text is pending."""
    storage: Any = messages.get_messages(request)
    found = any(str(each) == text for each in storage)
    if hasattr(storage, "used"):
        storage.used = False  # reading them does not count as showing
    return found


def shows_errors(view: Callable[P, R]) -> Callable[P, R | HttpResponse]:
    """Show our errors as a message above the backup list, because the remote may fail in any view."""

    @functools.wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | HttpResponse:
        try:
            return rendered(view(*args, **kwargs))
        except BackupError as error:
            page, request, *_rest = args
            assert isinstance(page, Pages)
            assert isinstance(request, HttpRequest)
            show_error(request, error)
            return page.go(LIST)

    return wrapper


def rendered(response: R) -> R:
    """Render a page now, while its errors can still be caught."""
    if isinstance(response, SimpleTemplateResponse):
        response.render()
    return response


def badge(state: str, word: Any) -> str:
    """Return a word in the colour of a state."""
    return format_html('<span class="dra-badge dra-{}">{}</span>', state, word)


def moment(time: datetime | None) -> str:
    """Return a time in words, and how long ago that was."""
    if time is None:
        return "–"
    return format_html(
        '<span class="dra-nowrap"><bdi>{}</bdi> <bdi class="dra-quiet">{}</bdi></span>',
        wording.time(time),
        wording.ago(time),
    )


def with_heading(heading: str, value: str) -> str:
    """Return a value, with the heading of its column where a narrow window shows none."""
    return format_html(
        '<span class="dra-nowrap"><span class="dra-narrow">{}</span> <bdi>{}</bdi></span>', heading, value
    )


UNNARROWED = frozenset([ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR])
"""Parameters with which a list still has all of its rows."""
ASKED = frozenset(["", "exact", "isnull", "gte", "lt", "year", "month", "day"])
"""The lookups that our filters and date links use."""


class Pages(ModelAdmin):
    """A model whose rows are created by runs: nothing is added or changed by hand."""

    class Media:
        css = {"all": [f"{APP}/backups.css"]}

    def lookup_allowed(self, lookup: str, value: Any, *request: Any) -> bool:
        """Allow only the lookups of our own filters.

        With a regular expression in the URL, a visitor with only view permission could block the worker.
        """
        _field, _separator, kind = lookup.partition("__")
        return kind in ASKED and super().lookup_allowed(lookup, value, *request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def address(self, name: str, *args: object, **query: Any) -> str:
        """Return the URL of one of our pages, in the admin site of this request.

        :param name: such as ``backup_changelist``.
        :param query: a value, or a list of values, by parameter; empty ones are omitted.
        """
        found = reverse(f"admin:{APP}_{name}", args=args, current_app=self.admin_site.name)
        asked = urlencode({key: value for key, value in query.items() if value}, doseq=True)
        return f"{found}?{asked}" if asked else found

    def go(self, name: str, *args: object, **query: Any) -> HttpResponseRedirect:
        """Return a redirect to one of our pages; see :meth:`address`."""
        return HttpResponseRedirect(self.address(name, *args, **query))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list. Where nothing was searched or filtered, the number of results is not said above it, too."""
        changelist = super().get_changelist_instance(request)
        if not request.GET.keys() - UNNARROWED:
            changelist.full_result_count = changelist.result_count
        return changelist

    def run_link(self, run_id: str) -> str:
        """Return a link to a run, in words; empty if the run history lacks it: it is of another site, or long ago."""
        run = BackupRun.objects.filter(pk=run_id).first() if is_run_id(run_id) and api.has_history() else None
        if run is None:
            return ""
        words = _("%(run)s, started %(time)s") % {
            "run": run.get_kind_display(),
            "time": wording.time(run.created_at),
        }
        return format_html('<a href="{}">{}</a>', self.address(RUN, run.pk), words)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return not api.is_tenant() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return not api.is_tenant() and super().has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return not api.is_tenant() and super().has_delete_permission(request, obj)

    def has_history(self, request: HttpRequest) -> bool:
        """Whether the run history exists; if so, close stale runs, otherwise the page says why it is empty."""
        if not api.has_history():
            messages.warning(
                request, gettext_lazy("The run history does not exist yet. Run “manage.py migrate”.")
            )
            return False
        api.reap_stale()
        return True

    def route(self, address: str, view: Callable[..., HttpResponseBase], name: str) -> Any:
        """Return the URL pattern of a further page of the model."""
        name = f"{APP}_{self.opts.model_name}_{name}"
        return path(address, self.admin_site.admin_view(view), name=name)

    def page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        """Return a page of our own, by its template among those of the model."""
        request.current_app = self.admin_site.name  # for the links of the page
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": self.has_view_permission(request),
            **context,
        }
        return TemplateResponse(request, f"admin/{APP}/{self.opts.model_name}/{name}.html", context)
