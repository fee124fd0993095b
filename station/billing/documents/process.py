"""Draws each document in a short-lived process, so that the memory of the PDF library is freed.

The order goes to its standard input, the document comes from its standard output. Neither is ever in an argument,
an environment variable or a log: an order contains card numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.expected_error import ExpectedError

if TYPE_CHECKING:
    from station.billing.documents.orders import DocumentOrder

_log = logging.getLogger(__name__)

_WITHIN_S: Final = 60.0
"""timeout in real seconds: a small board takes several to load the library, and one for a few hundred table rows"""
_INHERITED_VARIABLES: Final = frozenset(
    {"PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "PYTHONTZPATH", "LANG", "LC_ALL"}
)
"""the environment variables that are passed on; others may be passwords (BORNE_…) or for the service manager"""
_PACKAGES: Final = Path(__file__).parents[3]
"""the directory of the package `station`, so that the working directory does not matter"""


class DocumentError(ExpectedError):
    """A document was not made; the message says why. Retrying may help."""


class DocumentDrawing:
    """Queue for drawing PDF documents, one at a time, since each takes a CPU core and the memory of a process."""

    def __init__(self) -> None:
        self._drawing_lock = asyncio.Lock()

    async def draw(self, order: DocumentOrder) -> bytes:
        """Wait until the documents requested before are drawn; then as the function `draw`, with its errors."""
        async with self._drawing_lock:
            return await draw(order)


async def draw(order: DocumentOrder, *, within_s: float = _WITHIN_S) -> bytes:
    """Draw a document in a process of its own and return it as PDF; cancellation kills the process.

    `within_s` is the timeout in real seconds.

    Raises:
        DocumentError: the document was not made.
    """
    pipe = asyncio.subprocess.PIPE
    command = (
        sys.executable,
        "-P",
        "-m",
        "station.billing.documents",
    )  # -P: do not import from the working directory
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment()
        )
    except OSError as error:
        raise DocumentError(f"the process cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(within_s):
            document, errors = await process.communicate(pickle.dumps(order))
    except TimeoutError:
        raise DocumentError(f"not finished after {within_s:g} s") from None
    finally:
        await _kill_process(process)
    if process.returncode != 0:
        _log.error(
            "a document could not be drawn: %s", errors.decode(errors="replace").strip() or "the process was killed"
        )
        raise DocumentError(f"the process ended with exit status {process.returncode}")
    return document


async def _kill_process(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED_VARIABLES}
    paths = [str(_PACKAGES), *([inherited["PYTHONPATH"]] if inherited.get("PYTHONPATH") else [])]
    return inherited | {"PYTHONPATH": os.pathsep.join(paths)}
