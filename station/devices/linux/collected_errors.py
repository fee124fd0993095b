"""Steps that are all taken, whatever becomes of those before: one dead wire must not keep the others from rest."""

from __future__ import annotations

from station.core.hardware.board import BoardError


class CollectedErrors:
    """Each step in a `with`; what fails is kept until `conclude`."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    @property
    def failed(self) -> bool:
        """Whether any step has failed."""
        return self._first is not None

    def raise_first(self) -> None:
        """All steps have been taken.

        Raises:
            BoardError: at least one has failed; this is the first.
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
