"""A file whose readers wait, as those of a device file whose driver does not answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self


class HeldFile:
    """Within its context, each read of an existing file waits until `release`, and at the latest until its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = path.read_text()
        self._writer: int | None = None

    def __enter__(self) -> Self:
        fifo = self._path.with_suffix(".held")
        os.mkfifo(fifo)
        self._writer = os.open(fifo, os.O_RDWR)
        fifo.replace(self._path)
        return self

    def __exit__(self, *reason: object) -> None:
        self.release()

    @property
    def readers(self) -> int:
        """How many descriptors of this process wait for the content."""
        assert self._writer is not None
        fifo = os.fstat(self._writer)
        return sum(_is_open_on(number, fifo) for number in os.listdir("/proc/self/fd")) - 1

    def release(self, text: str | None = None) -> None:
        """Let the waiting reader read this text, by default what the file contained; later ones do not wait.

        A file that has taken the place of the held one meanwhile stays.
        """
        if self._writer is None:
            return
        if self._path.is_fifo():
            unheld = self._path.with_suffix(".unheld")
            unheld.write_text(self._text)
            unheld.replace(self._path)
        os.write(self._writer, (self._text if text is None else text).encode())
        os.close(self._writer)
        self._writer = None


def _is_open_on(number: str, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(f"/proc/self/fd/{number}"), file)
    except OSError:  # closed meanwhile
        return False
