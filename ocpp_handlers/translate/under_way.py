"""Bounds how much is promised to the CSMS and not told yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.wire.session import Answer

if TYPE_CHECKING:
    from foundation.supervision import Errand

ResponseT = TypeVar("ResponseT")


class UnderWay:
    """Reports that were promised: each has its place from the answer on, also while its errand waits for its turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def full(self) -> bool:
        """Whether no other one may be promised now."""
        return self._taken >= self._most

    def promise(self, response: ResponseT, report: Errand) -> Answer[ResponseT]:
        """The answer that a report follows; its place is free again when it is told, or when it will not be."""
        self._taken += 1

        async def then() -> None:
            try:
                await report()
            finally:
                self._free()

        return Answer(response, then, self._free)

    def _free(self) -> None:
        self._taken -= 1
