"""Limits the number of reports that were accepted and are not sent yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.wire.session import HandlerResult

if TYPE_CHECKING:
    from foundation.supervision import FollowUp

ResponseT = TypeVar("ResponseT")


class PendingReports:
    """Counts accepted reports, from the response until the report is sent or dropped."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether no further report may be accepted now."""
        return self._taken >= self._most

    def response_with_report(self, response: ResponseT, report: FollowUp) -> HandlerResult[ResponseT]:
        """A response followed by a report; the report counts as pending until it is sent or cannot be sent."""
        self._taken += 1

        async def then() -> None:
            try:
                await report()
            finally:
                self._free()

        return HandlerResult(response, then, self._free)

    def _free(self) -> None:
        self._taken -= 1
