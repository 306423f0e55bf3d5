"""The page of the doctor: its parts are asked for one by one, and shown as they come."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import api
from .pages import APP, Pages, require_permission


class Doctor(Pages):
    """Examines the site on request; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [self.route("doctor/", self.doctor_view, "doctor"), *super().get_urls()]

    # A task that the executor is tried with has to be seen by its worker at once.
    @transaction.non_atomic_requests
    def doctor_view(self, request: HttpRequest) -> HttpResponse:
        """Offer the examination; make it when it is posted, because it writes a probe to the remote.

        Posted by htmx, the page gets a place for each part, and each of these asks for its own.
        """
        require_permission(request, "view")
        context: dict[str, Any] = {"title": gettext("Doctor"), "parts": [], "subtitle": None}
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
            object_repr=gettext("Doctor"),
            action_flag=CHANGE,
            change_message=gettext("Examined."),
        )
        if "HX-Request" in request.headers:
            return self._part(
                request, {"waiting": [{"id": each.id, "title": _(each.title)} for each in api.PARTS]}
            )
        context["parts"] = [self._examined(each) for each in api.PARTS]
        return self.page(request, "doctor", context)

    def _part(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/{APP}/includes/doctor.html", context)

    def _examined(self, part: api.Part) -> dict[str, Any]:
        """Return what the template needs of one part."""
        try:
            lines, problem = list(api.examine(part.id)), ""
        except ImproperlyConfigured as error:
            lines, problem = [], str(error)
        return {"id": part.id, "title": _(part.title), "lines": lines, "problem": problem}
