"""The last page number of each signing key, stored beside the key, so that counting survives loss of the database.

OCMF increments the page number of a signing component by one for its whole lifetime, so that gaps are detectable.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from station.storage import private_files

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

_LINE: Final = r"([0-9a-f]{64}) ([TF]) ([0-9]{1,15})"
"""a line of the file: fingerprint of the key, context, page number"""


class PageCounter:
    """A file with the last OCMF page number signed by a key in each context (T or F). Blocking: call it from a thread.

    A page is noted after its record is stored and before the record is used, so this file never causes a gap.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._pages: dict[tuple[str, str], int] | None = None

    def last_page(self, fingerprint: str, context: str) -> int:
        """Return the last page number of a key (by fingerprint) in a context; 0: none is known."""
        return self._loaded_pages().get((fingerprint, context), 0)

    def store_page(self, fingerprint: str, context: str, page: int) -> None:
        """Write the number of a page whose record is in the database to the file.

        A disk error is logged; the next page retries.
        """
        pages = self._loaded_pages()
        pages[fingerprint, context] = page
        text = "".join(
            f"{key_fingerprint} {key_context} {last_page}\n"
            for (key_fingerprint, key_context), last_page in pages.items()
        )
        try:
            private_files.write(self._file, text)
        except OSError as error:
            _log.error("%s: the page counter cannot be written: %s", self._file, error.strerror)

    def _loaded_pages(self) -> dict[tuple[str, str], int]:
        if self._pages is None:
            try:
                text = private_files.read(self._file) or ""
            except OSError as error:
                _log.error("%s: the page counter cannot be read: %s", self._file, error.strerror)
                text = ""
            matches = (re.fullmatch(_LINE, line) for line in text.splitlines())
            self._pages = {(match[1], match[2]): int(match[3]) for match in matches if match is not None}
        return self._pages
