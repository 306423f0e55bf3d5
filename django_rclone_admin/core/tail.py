"""Keeps the end of a program's error output."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import IO

from .latch import Latch

TAIL_BYTES = 16 * 1024
"""How many bytes of error output are kept: the end explains a failure."""
LINE_BYTES = 256 * 1024
"""The longest line that a listener receives; longer lines are truncated."""
LAST_WORDS_SECONDS = 1.0
"""Seconds to wait for the end of the output after the program has ended."""


class Tail(threading.Thread):
    """Reads a pipe to its end, so that the writer never blocks, and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes] | None, on_line: Callable[[str], None] | None) -> None:
        super().__init__(daemon=True)
        assert pipe is not None
        self._pipe = pipe
        self._on_line = on_line
        self._kept = b""
        self._patience = LAST_WORDS_SECONDS
        self._is_over = Latch()
        self.start()

    def run(self) -> None:
        try:
            self._read()
        finally:
            self._is_over.set()

    def _read(self) -> None:
        line = b""
        with self._pipe:
            while chunk := self._pipe.read(65536):
                self._kept = (self._kept + chunk)[-TAIL_BYTES:]
                if self._on_line:
                    first, *others = chunk.split(b"\n")
                    line += first[: LINE_BYTES - len(line)]
                    for each in others:
                        self._on_line(line.decode(errors="replace"))
                        line = each

    def wait(self, seconds: float) -> None:
        """Wait for the end of the pipe, at most some seconds."""
        self._is_over.wait(seconds)

    def settle(self) -> None:
        """Wait for the end of the pipe, with a limit: a child of the program may keep it open."""
        self.wait(self._patience)
        self._patience = 0

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")
