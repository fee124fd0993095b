"""Runs several steps although one fails: one broken wire must not keep the other outputs from their safe state."""

from __future__ import annotations

from station.core.hardware.board import BoardError


class CollectedErrors:
    """Lets several steps run although one fails: use it as context manager of each, then call `raise_first`.

    Suppresses OSError and ValueError only, and keeps the first.
    """

    def __init__(self) -> None:
        self._first: Exception | None = None

    @property
    def failed(self) -> bool:
        """Whether a step has failed so far."""
        return self._first is not None

    def raise_first(self) -> None:
        """Raise the first error as BoardError, after all steps; does nothing if none failed.

        Raises:
            BoardError: at least one step has failed.
        """
        if self._first is not None:
            raise BoardError(f"{self._first}") from self._first

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, *trace: object) -> bool:
        if not isinstance(error, (OSError, ValueError)):
            return False
        self._first = self._first or error
        return True
