"""The pages for monitors. They query only the database of the history, and require a token or a permission."""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from . import api, wording
from .exceptions import UsageError
from .monitoring import health_json, metrics

View = Callable[[HttpRequest], HttpResponse]
PERMISSION = "django_rclone_admin.view_backup"


def _closed(view: View) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answer only who has the token or the permission; all others get one and the same answer."""

    only_read = require_safe(view)

    @csrf_exempt  # it would answer first, by a page of its own, and there is nothing to protect: nothing is changed
    @transaction.non_atomic_requests
    @never_cache
    @functools.wraps(view)
    def wrapper(request: HttpRequest) -> HttpResponseBase:
        if not _is_allowed(request):
            return HttpResponse("Forbidden\n", status=403, content_type="text/plain")
        return only_read(request)

    return wrapper


def _is_allowed(request: HttpRequest) -> bool:
    if api.is_tenant():
        return False
    if "Authorization" in request.headers:
        return api.is_monitor(request.headers["Authorization"])
    user = getattr(request, "user", None)  # a site without sessions has none
    return bool(user and user.is_active and user.is_staff and user.has_perm(PERMISSION))


@_closed
def health(request: HttpRequest) -> HttpResponse:
    """The health as JSON: 200 if it is good or a warning, 503 if it is critical or unknown."""
    try:
        found = api.last_health(request.GET.getlist("database"))
    except UsageError as error:
        return JsonResponse({"status": "fail", "output": wording.describe(error)[0]}, status=404)
    document = health_json.health_document(found)
    response = JsonResponse(
        document,
        status=503 if document["status"] == "fail" else 200,
        content_type=health_json.CONTENT_TYPE,
        json_dumps_params={"ensure_ascii": False},
    )
    # Else Django reports each 503 to ADMINS as an error of the site: by one e-mail each time that a monitor asks.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@_closed
def metrics_view(request: HttpRequest) -> HttpResponse:
    """The health as metrics, for Prometheus."""
    return HttpResponse(metrics.metrics_text(api.last_health()), content_type=metrics.CONTENT_TYPE)
