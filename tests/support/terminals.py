"""A terminal for a program, which is read while the program runs."""

import os
import pty
import re
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Screen:
    """What a program has shown on a terminal so far."""

    def __init__(self) -> None:
        self.shown = bytearray()

    @property
    def frames(self) -> list[str]:
        """Every state of the line with the bar, oldest first."""
        text = bytes(self.shown).decode(errors="replace")
        return [each.strip() for each in re.split(r"[\r\n]", text) if each.strip()]

    def seconds(self, stage: str = "") -> list[int]:
        """The different seconds that were shown with a stage, or with any."""
        found = [
            re.search(r"\[(\d+):(\d+)[<,]", frame)
            for frame in self.frames
            if frame.startswith(f"{stage}: " if stage else "")
        ]
        return sorted({int(each[1]) * 60 + int(each[2]) for each in found if each})


@contextmanager
def terminal() -> Iterator[tuple[int, Screen]]:
    """Open a terminal; give the end for a program, and its screen."""
    theirs, ours = pty.openpty()
    termios.tcsetwinsize(ours, (25, 120))
    screen = Screen()

    def watch() -> None:
        with suppress(OSError):  # raised when the other end is closed
            while data := os.read(theirs, 4096):
                screen.shown += data

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield ours, screen
    finally:
        os.close(ours)
        watcher.join()
        os.close(theirs)
