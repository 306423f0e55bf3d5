"""The page of the doctor: its parts are requested one by one, and shown as they finish."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import api
from .pages import APP, Pages, require_permission


class Doctor(Pages):
    """Examines the site on request; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [self.route("doctor/", self.doctor_view, "doctor"), *super().get_urls()]

    # A task that tests the executor must be visible to its worker at once.
    @transaction.non_atomic_requests
    def doctor_view(self, request: HttpRequest) -> HttpResponse:
        """Show the page; examine the site on POST, because that writes a probe to the remote.

        On a POST by htmx, the response contains a placeholder for each part, which then requests its own result.
        """
        require_permission(request, "view")
        context: dict[str, Any] = {"title": _("Doctor"), "parts": [], "subtitle": None}
        if request.method != "POST":
            return self.page(request, "doctor", context)
        if wanted := request.POST.get("part"):
            parts = [each for each in api.PARTS if each.id == wanted]
            if not parts:
                raise Http404
            return self._part(request, {"part": self._examined(parts[0])})
        LogEntry.objects.create(
            user_id=str(request.user.pk),
            content_type_id=ContentType.objects.get_for_model(self.model, for_concrete_model=False).pk,
            object_repr=_("Doctor"),
            action_flag=CHANGE,
            change_message=_("Examined."),
        )
        if "HX-Request" in request.headers:
            return self._part(
                request,
                {"waiting": [{"id": each.id, "title": gettext_lazy(each.title)} for each in api.PARTS]},
            )
        context["parts"] = [self._examined(each) for each in api.PARTS]
        return self.page(request, "doctor", context)

    def _part(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/{APP}/includes/doctor.html", context)

    def _examined(self, part: api.Part) -> dict[str, Any]:
        """Return the template context of one part."""
        try:
            lines, problem = list(api.examine(part.id)), ""
        except ImproperlyConfigured as error:
            lines, problem = [], str(error)
        return {"id": part.id, "title": gettext_lazy(part.title), "lines": lines, "problem": problem}
