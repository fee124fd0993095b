"""How far the pages of a signing key have come, kept beside the key: the count goes on where the database is lost.

OCMF counts the pages of a signing component up by one for its whole life, so that a record that is missing shows.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from station.storage import private_files

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

_MARK: Final = re.compile(r"([0-9a-f]{64}) ([TF]) ([0-9]{1,15})")


class PageCounter:
    """The newest page of each key and context. Everything here waits for the disk: call it from a thread.

    A mark is written once its page is in the database, and before anybody is told of that: alone it never makes a gap.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._pages: dict[tuple[str, str], int] | None = None

    def newest(self, fingerprint: str, context: str) -> int:
        """The newest page of a key in a context; 0: none is known here."""
        return self._known().get((fingerprint, context), 0)

    def note(self, fingerprint: str, context: str, page: int) -> None:
        """This page is in the database. A disk that refuses is told of, and tried again with the next page."""
        pages = self._known()
        pages[fingerprint, context] = page
        text = "".join(f"{key} {kind} {number}\n" for (key, kind), number in pages.items())
        try:
            private_files.write(self._file, text)
        except OSError as error:
            _log.error("%s: %s", self._file, error.strerror)

    def _known(self) -> dict[tuple[str, str], int]:
        if self._pages is None:
            try:
                text = private_files.read(self._file) or ""
            except OSError as error:
                _log.error("%s: %s", self._file, error.strerror)
                text = ""
            found = (_MARK.fullmatch(line) for line in text.splitlines())
            self._pages = {(mark[1], mark[2]): int(mark[3]) for mark in found if mark is not None}
        return self._pages
