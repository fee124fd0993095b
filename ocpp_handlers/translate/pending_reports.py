"""Limits the number of reports that were accepted and are not sent yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.wire.session import HandlerResult

if TYPE_CHECKING:
    from foundation.supervision import FollowUp

ResponseT = TypeVar("ResponseT")


class PendingReports:
    """Limits how many reports of one kind are pending: accepted, but not sent or dropped yet. Stores no report."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._pending = 0

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached, so that a further report must be refused."""
        return self._pending >= self._maximum

    def response_with_report(self, response: ResponseT, report: FollowUp) -> HandlerResult[ResponseT]:
        """Count a report as pending, and return the response with `report` as its follow-up.

        It stops counting when `report` ends, or when the response cannot be sent.
        """
        self._pending += 1

        async def send_report() -> None:
            try:
                await report()
            finally:
                self._end_pending()

        return HandlerResult(response, send_report, self._end_pending)

    def _end_pending(self) -> None:
        self._pending -= 1
