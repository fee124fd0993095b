"""The error of the database, and the context that raises it for those of SQLite."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from foundation.expected_error import ExpectedError
from station.storage.sql import STATEMENT_ERRORS


class StorageError(ExpectedError):
    """A database read or write failed; a failed write changed nothing. Trying again may help."""


@contextlib.contextmanager
def storage_errors(path: Path | None = None) -> Generator[None]:
    """Raise a StorageError for each error of a statement in the block; `path`: the file to name in its message."""
    try:
        yield
    except STATEMENT_ERRORS as error:
        raise StorageError(f"{path}: {error}" if path is not None else str(error)) from error
