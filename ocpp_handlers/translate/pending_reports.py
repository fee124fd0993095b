"""Limits the number of reports that were accepted and are not sent yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.wire.session import HandlerResult

if TYPE_CHECKING:
    from foundation.supervision import FollowUp

ResponseT = TypeVar("ResponseT")


class PendingReports:
    """Limits how many reports of one kind are pending: accepted, but not sent or dropped yet. Stores no report."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached, so that a further report must be refused."""
        return self._taken >= self._most

    def response_with_report(self, response: ResponseT, report: FollowUp) -> HandlerResult[ResponseT]:
        """Count a report as pending, and return the response with `report` as its follow-up.

        It stops counting when `report` ends, or when the response cannot be sent.
        """
        self._taken += 1

        async def then() -> None:
            try:
                await report()
            finally:
                self._free()

        return HandlerResult(response, then, self._free)

    def _free(self) -> None:
        self._taken -= 1
