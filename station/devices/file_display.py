"""Writes each screen of a display to a file as JSON, for programs that drive screens of other makes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING

from station.core.screen import DisplayError, Screen, screen_to_json

if TYPE_CHECKING:
    from pathlib import Path


class FileDisplay:
    """The `DisplayOutput` that replaces a file with each screen; a reader never sees half of one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return f"display file {self._path}"

    async def show(self, screen: Screen) -> None:
        """Replace the file, in a thread: it may be on a slow disk.

        Raises:
            DisplayError: it cannot be written.
        """
        text = json.dumps(screen_to_json(screen), ensure_ascii=False)
        try:
            await asyncio.to_thread(self._write, f"{text}\n")
        except OSError as error:
            raise DisplayError(f"{error}") from error

    async def close(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _write(self, text: str) -> None:
        temporary = self._path.with_name(f".{self._path.name}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)  # whatever the umask of the service: other users' programs read it
        os.replace(temporary, self._path)
