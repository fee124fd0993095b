"""Block F: sends a message because the CSMS triggers it (F06)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ocpp_handlers.wire import actions
from ocpp_handlers.wire.reason_codes import unknown_evse_code
from ocpp_handlers.wire.session import HandlerResult, Handlers

if TYPE_CHECKING:
    from foundation.supervision import FollowUp
    from ocpp_handlers.connection.boot import Registration
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.evse import Evse

TriggerResult = tuple["m.TriggerMessageStatusEnumType", "FollowUp | None"]
"""the response status, and the follow-up, an async function to be called after the response (F06.FR.04)"""
StationTrigger = Callable[[], TriggerResult]
"""triggers a message of the whole station; sends nothing itself"""
EvseTrigger = Callable[[Sequence["Evse"]], TriggerResult]
"""triggers a message about each of these EVSEs; sends nothing itself"""


class TriggerMessage:
    """Handles TriggerMessage: calls the trigger of the block that sends the requested message."""

    def __init__(
        self,
        evses: Mapping[int, Evse],
        of_station: Mapping[str, StationTrigger],
        of_evses: Mapping[str, EvseTrigger],
    ) -> None:
        """`of_station` and `of_evses`: the triggers by requested message (MessageTriggerEnumType)."""
        self._evses = evses
        self._of_station = of_station
        self._of_evses = of_evses

    def register(self, handlers: Handlers) -> None:
        """Register the handler of TriggerMessage."""
        handlers.on(actions.TRIGGER_MESSAGE, self.trigger_message)

    async def trigger_message(self, request: m.TriggerMessageRequest) -> HandlerResult[m.TriggerMessageResponse]:
        """Answer TriggerMessage; follow-up: send the requested message (F06.FR.05, F06.FR.08, F06.FR.10).

        NotImplemented for a message without trigger; Rejected for an unknown EVSE or connector.
        """
        message = request["requestedMessage"]
        if (of_station := self._of_station.get(message)) is not None:  # F06.FR.03: a given evse is ignored
            status, follow_up = of_station()
        elif (of_evses := self._of_evses.get(message)) is not None:
            place = request.get("evse")
            if (addressed := self._addressed_evses(place)) is None:
                code = unknown_evse_code(self._evses, int(place["id"]) if place is not None else 0)
                return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": code}})
            status, follow_up = of_evses(addressed)
        else:
            return HandlerResult({"status": "NotImplemented"})
        return HandlerResult({"status": status}, follow_up)

    def _addressed_evses(self, wire: m.EVSEType | None) -> Sequence[Evse] | None:
        """The EVSEs of a request, all if it names none (F06.FR.11); None if the EVSE or connector does not exist."""
        if wire is None:
            return list(self._evses.values())
        evse = self._evses.get(int(wire["id"]))
        if evse is None or wire.get("connectorId", evse.layout.connector_id) != evse.layout.connector_id:
            return None
        return [evse]


class BootTriggers:
    """The triggers of BootNotification and Heartbeat for TriggerMessage.

    Each sends nothing itself, and returns the status and a follow-up, an async function to be called after the
    response (None if rejected).
    """

    def __init__(self, link: Link, boot: Registration) -> None:
        self._link = link
        self._boot = boot

    def trigger_boot_notification(self) -> TriggerResult:
        """Return the status and the follow-up that requests a BootNotification; Rejected once accepted (F06.FR.17)."""
        if self._link.accepted:
            return "Rejected", None

        async def request_notification() -> None:
            self._boot.request_notification()

        return "Accepted", request_notification

    def trigger_heartbeat(self) -> TriggerResult:
        """Return Accepted and the follow-up that sends a Heartbeat and publishes the time in its response."""

        async def send_heartbeat() -> None:
            answer = await self._link.call(actions.HEARTBEAT, {}, requested=True)
            self._boot.publish_time(answer["currentTime"])

        return "Accepted", send_heartbeat
