"""The log file of `[log] file`, which logrotate may move or remove at any time."""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper
from pathlib import Path

from foundation.supervision import contained_call


class RotatedFileHandler(logging.StreamHandler[TextIOWrapper]):
    """Log handler that appends to a file, and reopens it by name if logrotate has moved or removed it.

    Unlike logging.handlers.WatchedFileHandler it keeps the old file while the new one cannot be opened (no free
    descriptor, read-only directory); that one would raise into the code that logs.
    """

    def __init__(self, file: Path) -> None:
        """Open the file for appending, creating it if missing.

        Raises:
            OSError: it cannot be opened.
        """
        self._file = file
        super().__init__(_open_for_append(file))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; called by logging. Never raises: the code that logs may be what charges."""
        contained_call(self._reopen)
        super().emit(record)

    def _reopen(self) -> None:
        """Write to the file of this name from now on, if it is not the open one; to the old one if it cannot be opened.

        Raises:
            OSError: it cannot be opened, or the old one not be closed, on a full disk for one.
        """
        if self._moved():
            old, self.stream = self.stream, _open_for_append(self._file)
            old.close()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()
        super().close()

    def _moved(self) -> bool:
        """Return whether the file of this name is missing, or not the open one."""
        try:
            named_file = self._file.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        open_file = os.fstat(self.stream.fileno())
        return (named_file.st_dev, named_file.st_ino) != (open_file.st_dev, open_file.st_ino)


def _open_for_append(file: Path) -> TextIOWrapper:
    return file.open("a", encoding="utf-8", errors="backslashreplace")
