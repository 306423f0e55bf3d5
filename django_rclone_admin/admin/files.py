"""The files of a media backup: browse, search and download them, one or several at once."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from .. import api
from ..exceptions import BackupNotFound, UsageError, gettext_noop
from ..models import Backup
from .archive import zipped
from .folders import PICTURE_SIZE, arrange, look_into, picture_type, search, way
from .pages import Pages, get_backup_or_404, has_permission, require_permission, shows_errors
from .streams import download, streaming

PER_PAGE = 100
AT_ONCE = 1000
"""How many files come in one archive: each of them is a call of rclone."""


class Files(Pages):
    """The pages about the files in a media backup; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [
            self.route("<path:object_id>/files/", self.files_view, "files"),
            self.route("<path:object_id>/file/", self.file_view, "file"),
            self.route("<path:object_id>/picture/", self.picture_view, "picture"),
            self.route("<path:object_id>/archive/", require_POST(self.archive_view), "archive"),
            *super().get_urls(),
        ]

    @shows_errors
    def files_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One page of a folder, or of the files whose path matches the search."""
        require_permission(request, "view")
        backup = self._find(object_id)
        files, query = api.list_media_files(backup.path), request.GET.get("q", "").strip()
        folder, order = request.GET.get("dir", ""), request.GET.get("o", "")
        rows = arrange(search(files, query) if query else look_into(files, folder), order)
        is_folder = not folder or (folder.endswith("/") and (rows or query))
        if not is_folder:
            raise Http404
        paginator = Paginator(rows, PER_PAGE)
        page = paginator.get_page(request.GET.get("p"))
        may_download = has_permission(request, "download")
        has_pictures = may_download and any(row.is_picture for row in page)
        asked = {"dir": folder, "q": query, "o": order, "pictures": request.GET.get("pictures", "")}
        context = {
            "title": _("Files of %(name)s") % {"name": backup.name},
            "backup": backup,
            "page": page,
            "pages": paginator.get_elided_page_range(page.number),
            "total": len(files),
            "size": sum(row.size for row in rows),
            "query": query,
            "folder": folder,
            "way": way(folder),
            "order": order,
            "pictures": asked["pictures"],
            "has_pictures": has_pictures,
            "columns": [("path", _("path")), ("size", _("size")), ("time", _("modified"))],
            "in_order": _query(asked, "o"),
            "in_pages": _query(asked),
            "with_pictures": _query(asked, "pictures"),
            "in_folder": _query(asked, "dir", "q"),
            "may_download": may_download,
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
        self.log_change(request, backup, _("Downloaded %(path)s.") % {"path": file.path})
        return download(request, file.path.rpartition("/")[2], file.size, stream)

    def picture_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Stream a picture for a thumbnail. Other files are refused, by their names."""
        require_permission(request, "download")
        backup, path = self._find(object_id), request.GET.get("file", "")
        content_type = picture_type(path)
        files = [each for each in api.list_media_files(backup.path) if each.path == path]
        if not content_type or not files or files[0].size > PICTURE_SIZE:
            raise Http404
        _file, stream = api.open_media_file(backup.path, path)
        response = streaming(request, stream)
        response["Content-Type"] = content_type
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response["Cache-Control"] = "private, max-age=86400, immutable"  # a backup never changes
        return response

    @shows_errors
    def archive_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Stream the files and folders that were ticked, as one ZIP archive."""
        require_permission(request, "download")
        backup, chosen = self._find(object_id), request.POST.getlist("file")
        wanted, folders = set(chosen), tuple(each for each in chosen if each.endswith("/"))
        files = api.list_media_files(backup.path)
        count = sum(each.path in wanted or each.path.startswith(folders) for each in files)
        if not count or count > AT_ONCE:
            raise UsageError(
                gettext_noop("Choose between 1 and %(most)d files to download."),
                hint=gettext_noop("To get all of them, copy the mirror with rclone, or restore the backup."),
                most=AT_ONCE,
            )
        stream = zipped(api.open_media_files(backup.path, chosen))
        message = ngettext("Downloaded %(count)d file.", "Downloaded %(count)d files.", count)
        self.log_change(request, backup, message % {"count": count})
        name = backup.name.partition(".")[0] + ".zip"
        response = streaming(request, stream)
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def _find(self, object_id: str) -> Backup:
        backup = get_backup_or_404(object_id)
        if not backup.is_media:
            raise Http404
        return backup


def _query(asked: dict[str, str], *without: str) -> str:
    """Return the query of an address that asks for the same, but for some parts."""
    return urlencode({key: value for key, value in asked.items() if value and key not in without})
