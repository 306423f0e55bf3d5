"""Local files and open streams as sources and sinks."""

from __future__ import annotations

import contextlib
import io
import os
import select
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..exceptions import ProgramFailed, Stopped, UsageError, gettext_noop
from .transfer import CHUNK

LOOK = 0.2
"""Seconds between two checks for a stop while a stream is not ready."""

UNREADABLE = gettext_noop("The file can't be read: %(reason)s.")
CHECK_FILE = gettext_noop("Nothing was changed. Check the file, its permissions and its disk.")
UNWRITABLE = gettext_noop("The file can't be written: %(reason)s.")
CHECK_FOLDER = gettext_noop(
    "Nothing is left under that name. Check the folder, its permissions and its free space."
)


class FileSource:
    """A local file or an open binary stream, such as standard input."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        self._file = file
        self._stream: IO[bytes] | None = None
        self._aborted = threading.Event()

    def open(self) -> None:
        try:
            self._stream = self._file.open("rb") if isinstance(self._file, Path) else self._file
        except OSError as error:
            raise UsageError(UNREADABLE, hint=CHECK_FILE, reason=error.strerror) from error

    def read(self) -> bytes:
        assert self._stream is not None
        fd = _descriptor(self._stream)
        while fd is not None and not select.select([fd], [], [], LOOK)[0]:
            if self._aborted.is_set():
                return b""
        # Read what is available, not a whole chunk: a pipe may deliver in parts, and we may be stopped between them.
        read = getattr(self._stream, "read1", self._stream.read)
        try:
            data: bytes = read(CHUNK)
        except OSError as error:
            raise ProgramFailed(UNREADABLE, hint=CHECK_FILE, reason=error.strerror) from error
        return data

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        self._aborted.set()

    def close(self) -> None:
        if self._stream and isinstance(self._file, Path):
            self._stream.close()


class FileSink:
    """A local file, readable only by us, that appears under its name only when it is complete.

    It is written under an unpredictable name, then renamed over the target. So a link or a readable file that another
    user has put there is replaced, never written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial: Path | None = None
        self._stream: IO[bytes] | None = None

    def open(self) -> None:
        try:
            self._refuse_others()
            # Fails if the file exists; the mode is 0600.
            descriptor, name = tempfile.mkstemp(prefix=f"{self._path.name}.partial-", dir=self._path.parent)
        except OSError as error:
            raise UsageError(UNWRITABLE, hint=CHECK_FOLDER, reason=error.strerror) from error
        self._partial, self._stream = Path(name), os.fdopen(descriptor, "wb")

    def _refuse_others(self) -> None:
        """Refuse a path like /dev/null, which a file would replace.

        :raises UsageError: the path exists and is not a regular file.
        """
        if self._path.exists() and not self._path.is_file():
            raise UsageError(
                gettext_noop("%(path)s exists and is not a regular file."),
                hint=gettext_noop("Name a file, or “-” for standard output."),
                path=self._path,
            )

    def write(self, data: bytes) -> None:
        assert self._stream is not None
        with _explained():
            self._stream.write(data)

    def commit(self) -> None:
        assert self._stream is not None
        assert self._partial is not None
        with _explained():
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._partial.replace(self._path)

    def abort(self) -> None:
        pass  # a write to a local file does not block

    def close(self) -> None:
        if self._stream:
            with contextlib.suppress(OSError):
                self._stream.close()
        if self._partial:
            self._partial.unlink(missing_ok=True)


class StreamSink:
    """An open binary stream, such as standard output. What was written can't be taken back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._aborted = threading.Event()

    def open(self) -> None:
        with _explained():
            self._stream.flush()  # earlier output comes first

    def write(self, data: bytes) -> None:
        fd = _descriptor(self._stream)
        with _explained():
            if fd is None:
                self._stream.write(data)
                return
            view = memoryview(data)
            while view:
                while not select.select([], [fd], [], LOOK)[1]:
                    self._check()
                self._check()
                # The amount that a ready pipe takes without blocking.
                view = view[os.write(fd, view[: select.PIPE_BUF]) :]

    def commit(self) -> None:
        with _explained():
            self._stream.flush()

    def abort(self) -> None:
        self._aborted.set()

    def close(self) -> None:
        pass

    def _check(self) -> None:
        if self._aborted.is_set():
            raise Stopped(gettext_noop("The work was stopped."))


def _descriptor(stream: IO[bytes]) -> int | None:
    """Return the file descriptor of a stream, or ``None`` for a stream without one, which never blocks."""
    try:
        return stream.fileno()
    except io.UnsupportedOperation:
        return None


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn write errors into typed errors."""
    try:
        yield
    except BrokenPipeError as error:
        raise ProgramFailed(
            gettext_noop("The program that read the output has ended."),
            hint=gettext_noop(
                "Check the messages of the program behind the pipe, then run the command again."
            ),
        ) from error
    except OSError as error:
        raise ProgramFailed(UNWRITABLE, hint=CHECK_FOLDER, reason=error.strerror) from error
