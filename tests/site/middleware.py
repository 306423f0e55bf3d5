"""Send a Content-Security-Policy with every page of the shop."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse


def content_security_policy(get_response: Callable[[HttpRequest], HttpResponse]):
    if not settings.SHOP_CONTENT_SECURITY_POLICY:
        raise MiddlewareNotUsed

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", settings.SHOP_CONTENT_SECURITY_POLICY)
        return response

    return middleware
