"""A message on the index of the admin if the backups need attention.

It uses Django's messages, because every theme shows them, while themes replace the blocks of the index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from .. import api
from .pages import APP, LIST, has_permission, is_said

if TYPE_CHECKING:
    from ..api import Health

SHOWN = "_dra_banner"
CRITICAL = 2


def show_banner(request: HttpRequest, site: str) -> None:
    """Add the message, once a request, if the page is the index. It makes one small query and calls no rclone.

    :param site: the name of the admin site.
    """
    match = request.resolver_match
    is_index = match is not None and match.url_name == "index" and request.method == "GET"
    if not is_index or hasattr(request, SHOWN) or not has_permission(request, "view"):
        return
    setattr(request, SHOWN, True)
    found = api.last_health()
    if found.level == 0:
        return
    text = _text(found, site)
    if not is_said(request, text):  # some themes show messages only on other pages
        show = messages.error if found.level == CRITICAL else messages.warning
        show(request, text, fail_silently=True)


def _text(found: Health, site: str) -> str:
    sentence = " ".join(filter(None, (_("Backups:"), found.sentence, found.detail)))
    try:
        address = reverse(f"admin:{APP}_{LIST}", current_app=site)
    except NoReverseMatch:
        return sentence
    return format_html('{} <a href="{}">{}</a>', sentence, address, _("See the backups"))
