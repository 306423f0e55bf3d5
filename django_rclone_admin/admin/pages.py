"""What the pages of both models share: permissions, wording, badges."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from .. import api, wording
from ..exceptions import BackupError, BackupNotFound
from ..models import Backup, Origin, Trigger

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
    """Whether the user has one of our permissions."""
    if api.is_tenant():
        return False
    if verb == "restore" and not api.may_restore():
        return False
    return request.user.has_perm(f"{APP}.{verb}_{model}")


def require_permission(request: HttpRequest, verb: str, model: str = "backup") -> None:
    """Refuse the request when the user lacks the permission.

    :raises PermissionDenied: 403.
    """
    if not has_permission(request, verb, model):
        raise PermissionDenied


def origin_of(request: HttpRequest) -> Origin:
    """Return what a run that starts here says of its origin."""
    return Origin(trigger=Trigger.ADMIN, requested_by=request.user.get_username())


def get_backup_or_404(object_id: str) -> Backup:
    """Find a backup in the listing, by its key as the URL has it.

    :raises Http404: the listing has no such backup.
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
    """Whether a message waits to be shown."""
    storage: Any = messages.get_messages(request)
    found = any(str(each) == text for each in storage)
    if hasattr(storage, "used"):
        storage.used = False  # they were only looked at
    return found


def shows_errors(view: Callable[P, R]) -> Callable[P, R | HttpResponse]:
    """Show an error of ours as a message above the backup list: the remote may fail at any moment, in any view."""

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
    """Render a page now, where its errors can still be caught."""
    if isinstance(response, SimpleTemplateResponse):
        response.render()
    return response


def is_uuid(text: str) -> bool:
    """Whether a text may be the id of a run."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def badge(state: str, word: Any) -> str:
    """Return a word in a colour that means something; the word says it too."""
    return format_html('<span class="dra-badge dra-{}">{}</span>', state, word)


def moment(time: datetime | None) -> str:
    """Return a time as people say it, and how long ago that was."""
    if time is None:
        return "–"
    return format_html(
        '<span class="dra-nowrap"><bdi>{}</bdi> <bdi class="dra-quiet">{}</bdi></span>',
        wording.time(time),
        wording.ago(time),
    )


ASKED = frozenset(["", "exact", "isnull", "gte", "lt", "year", "month", "day"])
"""The lookups that the filters of our lists, and the links of their dates, ask for."""


class Pages(ModelAdmin):
    """A model whose rows are made by runs: nothing is added or changed by hand."""

    class Media:
        css = {"all": [f"{APP}/backups.css"]}

    def lookup_allowed(self, lookup: str, value: Any, *request: Any) -> bool:
        """Answer what our own filters ask, and nothing else.

        By a regular expression in the address, a visitor who may only look could have the worker search for ever.
        """
        _field, _separator, kind = lookup.partition("__")
        return kind in ASKED and super().lookup_allowed(lookup, value, *request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def address(self, name: str, *args: object, **query: Any) -> str:
        """Return the address of one of our pages, in the admin site that this request came through.

        :param name: such as ``backup_changelist``.
        :param query: a value, or a list of values, by parameter; empty ones are left out.
        """
        found = reverse(f"admin:{APP}_{name}", args=args, current_app=self.admin_site.name)
        asked = urlencode({key: value for key, value in query.items() if value}, doseq=True)
        return f"{found}?{asked}" if asked else found

    def go(self, name: str, *args: object, **query: Any) -> HttpResponseRedirect:
        """Return a redirect to one of our pages; see :meth:`address`."""
        return HttpResponseRedirect(self.address(name, *args, **query))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return not api.is_tenant() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return not api.is_tenant() and super().has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return not api.is_tenant() and super().has_delete_permission(request, obj)

    def has_history(self, request: HttpRequest) -> bool:
        """Whether there is a run history to show, with stale runs closed; where there is none, the page says why."""
        if not api.has_history():
            messages.warning(request, _("There is no run history yet. Run “manage.py migrate”."))
            return False
        api.reap_stale()
        return True

    def route(self, address: str, view: Callable[..., HttpResponseBase], name: str) -> Any:
        """Return the URL of a further page of the model."""
        name = f"{APP}_{self.opts.model_name}_{name}"
        return path(address, self.admin_site.admin_view(view), name=name)

    def page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        """Return a page that is none of Django's own, by its template among those of the model."""
        request.current_app = self.admin_site.name  # the links of the page lead there
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": self.has_view_permission(request),
            **context,
        }
        return TemplateResponse(request, f"admin/{APP}/{self.opts.model_name}/{name}.html", context)
