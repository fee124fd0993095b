"""Block F, trigger message: the CSMS asks for a message that the station would send of its own accord (F06)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from metering.sampling import Context, Measurand, sample
from ocpp_handlers import actions
from ocpp_handlers.session import Answer, Handlers

if TYPE_CHECKING:
    from ocpp_handlers import messages as m
    from ocpp_handlers.availability import Availability
    from ocpp_handlers.boot import Boot, BootGate
    from ocpp_handlers.link import Link
    from ocpp_handlers.meter_values import MeterValues
    from station.evse import Evse
    from station.settings import Settings
    from station.supervision import Errand


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
        self._known: Mapping[str, Callable[[Sequence[Evse]], tuple[m.TriggerMessageStatusEnumType, Errand | None]]] = {
            "BootNotification": self._boot_notification,
            "Heartbeat": self._heartbeat,
            "StatusNotification": self._status_notification,
            "MeterValues": self._meter_values_now,
            "TransactionEvent": self._transaction_event,
            "LogStatusNotification": self._log_status,
            "FirmwareStatusNotification": self._firmware_status,
        }

    def register(self, handlers: Handlers) -> None:
        """Answer what the CSMS asks of this block."""
        handlers.on(actions.TRIGGER_MESSAGE, self.trigger_message)

    async def trigger_message(self, request: m.TriggerMessageRequest) -> Answer[m.TriggerMessageResponse]:
        """F06.FR.05, F06.FR.08, F06.FR.10."""
        trigger = self._known.get(request["requestedMessage"])
        if trigger is None:
            return Answer({"status": "NotImplemented"})
        evse = request.get("evse")
        if evse is not None and evse["id"] not in self._evses:
            return Answer({"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}})
        meant = [self._evses[evse["id"]]] if evse is not None else list(self._evses.values())  # F06.FR.11
        status, errand = trigger(meant)
        return Answer({"status": status}, errand)

    def _boot_notification(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        del evses
        if self._gate.accepted:  # F06.FR.17
            return "Rejected", None

        async def ask_again() -> None:
            self._boot.ask_again()

        return "Accepted", ask_again

    def _heartbeat(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        del evses

        async def beat() -> None:
            await self._link.call(actions.HEARTBEAT, {}, requested=True)

        return "Accepted", beat

    def _status_notification(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        async def report() -> None:
            for evse in evses:
                await self._availability.report_now(evse)

        return "Accepted", report

    def _meter_values_now(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        async def report() -> None:
            """F06.FR.06: the most recent measurements of what AlignedDataMeasurands names."""
            for evse in evses:
                reading = await evse.meter.fresh()
                wanted = [Measurand(name) for name in self._settings.aligned_measurands]
                value = sample(reading, wanted, Context.TRIGGER, offered_a=evse.offered_a) if reading else None
                if value is not None:
                    await self._meter_values.send(evse.id, value, requested=True)

        return "Accepted", report

    def _transaction_event(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        charging = [evse for evse in evses if evse.transaction_id is not None and evse.sampler is not None]
        if not charging or not self._gate.accepted:
            return "Rejected", None

        async def report() -> None:
            """F06.FR.07."""
            for evse in charging:
                if evse.sampler is not None:
                    await evse.sampler.sample_now()

        return "Accepted", report

    def _log_status(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        del evses

        async def report() -> None:
            """F06.FR.15: no log is being uploaded."""
            await self._link.call(actions.LOG_STATUS_NOTIFICATION, {"status": "Idle"}, requested=True)

        return "Accepted", report

    def _firmware_status(self, evses: Sequence[Evse]) -> tuple[m.TriggerMessageStatusEnumType, Errand | None]:
        del evses

        async def report() -> None:
            """F06.FR.16: no firmware is being updated."""
            await self._link.call(actions.FIRMWARE_STATUS_NOTIFICATION, {"status": "Idle"}, requested=True)

        return "Accepted", report
