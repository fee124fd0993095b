"""Bounds how much is promised to the CSMS and not told yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.wire.session import HandlerResult

if TYPE_CHECKING:
    from foundation.supervision import FollowUp

ResponseT = TypeVar("ResponseT")


class PendingReports:
    """Reports that were promised: each has its place from the answer on, also while its errand waits for its turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether no other one may be promised now."""
        return self._taken >= self._most

    def response_with_report(self, response: ResponseT, report: FollowUp) -> HandlerResult[ResponseT]:
        """The answer that a report follows; its place is free again when it is told, or when it will not be."""
        self._taken += 1

        async def then() -> None:
            try:
                await report()
            finally:
                self._free()

        return HandlerResult(response, then, self._free)

    def _free(self) -> None:
        self._taken -= 1
