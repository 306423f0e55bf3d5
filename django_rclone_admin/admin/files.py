"""The files of a media backup: browse, search and download them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import urlencode
from django.utils.translation import gettext

from .. import api
from ..exceptions import BackupNotFound
from ..models import Backup
from .pages import Pages, get_backup_or_404, has_permission, require_permission, shows_errors
from .streams import download

PER_PAGE = 100
ORDERS: dict[str, Callable[[api.MediaFile], Any]] = {
    "path": lambda file: file.path,
    "size": lambda file: file.size,
    "time": lambda file: file.time,
}
"""The possible orderings of the list; a leading minus reverses one."""


class Files(Pages):
    """The pages about the files in a media backup; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [
            self.route("<path:object_id>/files/", self.files_view, "files"),
            self.route("<path:object_id>/file/", self.file_view, "file"),
            *super().get_urls(),
        ]

    @shows_errors
    def files_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One page of the file list, or of the files whose path matches the search."""
        require_permission(request, "view")
        backup = self._find(object_id)
        files, query = api.list_media_files(backup.path), request.GET.get("q", "").strip()
        total = len(files)
        if query:
            words = query.casefold().split()
            files = [each for each in files if all(word in each.path.casefold() for word in words)]
        order = request.GET.get("o", "")
        if key := ORDERS.get(order.removeprefix("-")):
            files = sorted(files, key=key, reverse=order.startswith("-"))
        paginator = Paginator(files, PER_PAGE)
        page = paginator.get_page(request.GET.get("p"))
        context = {
            "title": gettext("Files of %(name)s") % {"name": backup.name},
            "backup": backup,
            "page": page,
            "pages": paginator.get_elided_page_range(page.number),
            "total": total,
            "query": query,
            "order": order,
            "columns": [("path", gettext("path")), ("size", gettext("size")), ("time", gettext("modified"))],
            "others": urlencode({"q": query, "o": order}),
            "may_download": has_permission(request, "download"),
            "may_restore": has_permission(request, "restore"),
        }
        return self.page(request, "files", context)

    @shows_errors
    def file_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Stream one file, from the mirror or from the folder of the run that replaced it."""
        require_permission(request, "download")
        backup = self._find(object_id)
        try:
            file, stream = api.open_media_file(backup.path, request.GET.get("file", ""))
        except BackupNotFound as error:
            raise Http404 from error
        self.log_change(request, backup, gettext("Downloaded %(path)s.") % {"path": file.path})
        return download(request, file.path.rpartition("/")[2], file.size, stream)

    def _find(self, object_id: str) -> Backup:
        backup = get_backup_or_404(object_id)
        if not backup.is_media:
            raise Http404
        return backup
