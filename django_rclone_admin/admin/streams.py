"""Streams a download in chunks, under WSGI and ASGI."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header


class AsyncChunks:
    """Gives the chunks of a blocking generator. Given the generator itself, ASGI would collect all of it in memory."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self.chunks = chunks

    def __aiter__(self) -> AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        chunk = await sync_to_async(self._next, thread_sensitive=False)()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _next(self) -> bytes:
        return next(self.chunks, b"")

    def close(self) -> None:
        """End the generator; if it is running in a thread, it ends after its chunk."""
        with contextlib.suppress(ValueError):
            self.chunks.close()


def streaming(request: HttpRequest, chunks: Iterator[bytes]) -> StreamingHttpResponse:
    """Return the response that sends the chunks of a generator."""
    content: Any = AsyncChunks(chunks) if isinstance(request, ASGIRequest) else chunks  # type: ignore[arg-type]
    return StreamingHttpResponse(content, content_type="application/octet-stream")


def download(request: HttpRequest, name: str, size: int, chunks: Iterator[bytes]) -> StreamingHttpResponse:
    """Return the response that sends a file of this name and size."""
    response = streaming(request, chunks)
    response["Content-Length"] = str(size)
    # A name from a remote may contain characters that are not allowed in a header.
    header = content_disposition_header(True, "".join(each if each.isprintable() else "_" for each in name))
    response["Content-Disposition"] = header
    return response
