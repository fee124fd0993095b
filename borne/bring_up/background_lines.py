"""Lines printed while an output is set: a terminal that takes none (Ctrl-S) must not hold up what ends the output."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread
from typing import Final

from borne.output import say


class BackgroundLines:
    """Prints lines to standard output in a thread of its own, in their order."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._error: OSError | None = None

    def say(self, line: str) -> None:
        """Have a line printed; returns at once.

        Raises:
            OSError: an earlier line could not be printed, since nobody reads the output any more.
        """
        if self._error is not None:
            raise self._error
        if self._thread is None:
            self._thread = Thread(target=self._print, daemon=True)
            self._thread.start()
        self._lines.put(line)

    def wait(self) -> None:
        """Wait until all lines are printed. Blocks, as long as the terminal takes none."""
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join()
            self._thread = None

    def _print(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                if self._error is None:
                    say(line)
            except OSError as error:
                self._error = error


background_lines: Final = BackgroundLines()
"""those of this process"""
