"""Block F, trigger message: the CSMS asks for a message that the station would send of its own accord (F06)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ocpp_handlers.wire import actions
from ocpp_handlers.wire.reason_codes import unknown_place_code
from ocpp_handlers.wire.session import Answer, Handlers
from station.charging.evse_state import all_faults
from station.core.model import Fault

if TYPE_CHECKING:
    from foundation.supervision import Errand
    from ocpp_handlers.blocks.g_availability import Availability
    from ocpp_handlers.blocks.j_meter_values import MeterValues
    from ocpp_handlers.connection.boot import Boot, BootGate
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.evse import Evse
    from station.core.settings import Settings


StationTrigger = Callable[[], "tuple[m.TriggerMessageStatusEnumType, Errand | None]"]
"""says whether a message of the whole station will be sent, and what sends it"""
EvseTrigger = Callable[[Sequence["Evse"]], "tuple[m.TriggerMessageStatusEnumType, Errand | None]"]
"""the same for a message that is about EVSEs"""


class TriggerMessage:
    """Says whether the message will be sent, and sends it once that answer has left (F06.FR.04)."""

    def __init__(
        self,
        link: Link,
        gate: BootGate,
        boot: Boot,
        availability: Availability,
        meter_values: MeterValues,
        evses: Mapping[int, Evse],
        settings: Settings,
    ) -> None:
        self._link = link
        self._gate = gate
        self._boot = boot
        self._availability = availability
        self._meter_values = meter_values
        self._evses = evses
        self._settings = settings
        self._of_station: dict[str, StationTrigger] = {
            "BootNotification": self._boot_notification,
            "Heartbeat": self._heartbeat,
        }
        self._of_evses: Mapping[str, EvseTrigger] = {
            "StatusNotification": self._status_notification,
            "MeterValues": self._meter_values_now,
            "TransactionEvent": self._transaction_event,
        }

    def register(self, handlers: Handlers) -> None:
        """Answer what the CSMS asks of this block."""
        handlers.on(actions.TRIGGER_MESSAGE, self.trigger_message)

    def on(self, message: str, trigger: StationTrigger) -> None:
        """Another block sends this message of the whole station when the CSMS asks for it."""
        self._of_station[message] = trigger

    async def trigger_message(self, request: m.TriggerMessageRequest) -> Answer[m.TriggerMessageResponse]:
        """F06.FR.05, F06.FR.08, F06.FR.10."""
        message = request["requestedMessage"]
        if (of_station := self._of_station.get(message)) is not None:  # F06.FR.03: an evse means nothing to it
            status, errand = of_station()
        elif (of_evses := self._of_evses.get(message)) is not None:
            place = request.get("evse")
            if (meant := self._meant(place)) is None:
                code = unknown_place_code(self._evses, int(place["id"]) if place is not None else 0)
                return Answer({"status": "Rejected", "statusInfo": {"reasonCode": code}})
            status, errand = of_evses(meant)
        else:
            return Answer({"status": "NotImplemented"})
        return Answer({"status": status}, errand)

    def _meant(self, wire: m.EVSEType | None) -> Sequence[Evse] | None:
        """The EVSEs of a request, all where it names none (F06.FR.11); None for one that does not exist."""
        if wire is None:
            return list(self._evses.values())
        evse = self._evses.get(int(wire["id"]))
        if evse is None or wire.get("connectorId", evse.layout.connector_id) != evse.layout.connector_id:
            return None
        return [evse]

    def _boot_notification(self) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        if self._gate.accepted:  # F06.FR.17
            return "Rejected", None

        async def ask_again() -> None:
            self._boot.ask_again()

        return "Accepted", ask_again

    def _heartbeat(self) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        async def beat() -> None:
            answer = await self._link.call(actions.HEARTBEAT, {}, requested=True)
            self._boot.heed_time(answer["currentTime"])

        return "Accepted", beat

    def _status_notification(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        async def report() -> None:
            for evse in evses:
                await self._availability.report_now(evse)

        return "Accepted", report

    def _meter_values_now(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        metered = [evse for evse in evses if Fault.METER not in all_faults(evse.state)]
        if not metered or not self._settings.aligned_measurands:
            return "Rejected", None  # F06.FR.10: nothing could be sent

        async def report() -> None:
            """F06.FR.06: the most recent measurements of what AlignedDataMeasurands names."""
            for evse in metered:
                if (value := await evse.sampler.aligned_now()) is not None:
                    await self._meter_values.send(evse.id, value, requested=True)

        return "Accepted", report

    def _transaction_event(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        charging = [evse for evse in evses if evse.transaction_id is not None]
        if not charging or not self._gate.accepted:
            return "Rejected", None

        async def report() -> None:
            """F06.FR.07."""
            for evse in charging:
                await evse.sampler.sample_now()

        return "Accepted", report
