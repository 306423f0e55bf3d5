"""Redirects of a monitor that is pinged. Imported when one is pinged: it needs all that speaks HTTP."""

from __future__ import annotations

import urllib.request
from typing import Any
from urllib.parse import urlsplit


class OwnHost(urllib.request.HTTPRedirectHandler):
    """Follow redirects within the monitor's own host only: it must not make this machine send requests to others."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        is_own = (after.hostname, after.port) == (before.hostname, before.port)
        is_web = after.scheme in ("http", "https")
        return super().redirect_request(req, fp, code, msg, headers, newurl) if is_own and is_web else None
