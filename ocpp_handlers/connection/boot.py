"""BootNotification, Heartbeat, and which messages are allowed before the CSMS accepts the station (B01–B03)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.call_errors import InvalidRequestError, LinkLostError
from ocpp_handlers.wire.frame import CallError
from station.core.csms import NoAnswerError
from station.core.model import BootReason

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from ocpp_handlers.wire import messages as m
    from ocpp_handlers.wire.session import OcppSession

_log = logging.getLogger(__name__)

_DEFAULT_INTERVAL_S = 30.0
"""wait before the next BootNotification if the CSMS sends interval 0 (B02.FR.07, B03.FR.05)"""
_NO_ANSWER_WAIT_S = 10.0
_INVALID_WAIT_S = 3_600.0
"""wait after a BootNotification of which not even the required fields are valid"""
_LONGEST_HEARTBEAT_S = 86_400
_LONGEST_WAIT_S = 2**31
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""a currentTime outside _EARLIEST to _LATEST is ignored as wrong"""


class BootState(StrEnum):
    """The registration status of the station at the CSMS: RegistrationStatusEnumType, or Unknown."""

    UNKNOWN = "Unknown"
    """no answer to a BootNotification since the station started or changed to another CSMS"""
    PENDING = "Pending"
    REJECTED = "Rejected"
    ACCEPTED = "Accepted"


class Identification(Frozen):
    """What BootNotification says about the station: model, vendor, serial number, firmware, SIM card."""

    model: str
    vendor: str
    serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    """of the SIM card, if the station connects over a mobile network (ModemType); None: left out, as the others"""
    imsi: str | None = None


class BootMessageFilter:
    """Stores the registration status; decides by it which CALLs the station may send and answer (B01–B03)."""

    def __init__(self) -> None:
        self.state = BootState.UNKNOWN
        self.changed = ChangeSignal()

    def set_state(self, state: BootState) -> None:
        """Store the registration status that the CSMS sent (Unknown: forget it), and notify `changed` if it differs."""
        if state is not self.state:
            _log.info("registration status at the CSMS: %s", state)
            self.state = state
            self.changed.notify()

    def may_send(self, action: str, *, requested: bool) -> bool:
        """Return whether a CALL may be sent: until acceptance only BootNotification, while Pending also requested ones.

        B01.FR.08, B02.FR.02, B03.FR.02.
        """
        if self.accepted or action == actions.BOOT_NOTIFICATION.name:
            return True
        return requested and self.state is BootState.PENDING

    async def decided(self) -> None:
        """Wait until the CSMS has answered a BootNotification; nothing else may be sent before (B01.FR.08)."""
        count_before = self.changed.count
        while self.state is BootState.UNKNOWN:
            count_before = await self.changed.wait(count_before)

    def refusal_to_answer(self, _: str, /) -> CallError | None:
        """The SecurityError for a CALL of a CSMS that rejected the station (B03.FR.08), else None (B02.FR.01)."""
        if self.state is BootState.REJECTED:
            return CallError(
                "", "SecurityError", "the CSMS has rejected the station; requests are refused until it is accepted"
            )
        return None

    @property
    def accepted(self) -> bool:
        """Whether the registration status is Accepted, connected or not; else no remote start (B02.FR.05)."""
        return self.state is BootState.ACCEPTED


class Registration:
    """Registers the station at the CSMS: sends BootNotifications until it is accepted, then Heartbeats."""

    def __init__(
        self,
        gate: BootMessageFilter,
        identification: Identification,
        settings: CsmsLinkSettings,
        clock: Clock,
        auxiliary: AuxiliaryCalls,
        *,
        reason: BootReason,
    ) -> None:
        self._gate = gate
        self._identification = identification
        self._settings = settings
        self._clock = clock
        self._auxiliary = auxiliary
        self._reason = reason
        self._triggered = False
        self._notification_requested = ChangeSignal()
        self._next_attempt_s = 0.0
        """monotonic time before which no BootNotification is sent; a new link does not reset it"""
        self.time_received: Event[datetime] = Event()
        """the currentTime of each BootNotification and Heartbeat response"""

    async def obtain_acceptance(self, session: OcppSession) -> None:
        """Send BootNotifications, at the interval that the CSMS sets, until it accepts the station.

        Applies each response: time, heartbeat interval, status. Returns at once if the station is accepted already.

        Raises:
            LinkLostError: the session ended first.
        """
        while not self._gate.accepted:
            await self._wait_for_next_attempt()
            try:
                answer = await self._notify(session)
            except LinkLostError:
                raise
            except InvalidRequestError:  # the log has named the fault
                await self._wait(_INVALID_WAIT_S)
            except NoAnswerError as error:
                _log.warning("no answer to BootNotification: %s", error)
                await self._wait(_NO_ANSWER_WAIT_S)
            else:
                self._apply_response(answer)
        self._triggered = False

    async def _notify(self, session: OcppSession) -> m.BootNotificationResponse:
        """Send a BootNotification; without its optional fields if one of them is not valid.

        Raises:
            NoAnswerError: there is no answer.
            InvalidRequestError: the required fields are not valid either.
        """
        notification = self._notification()
        try:
            return await session.call(actions.BOOT_NOTIFICATION, notification)
        except InvalidRequestError:
            station = notification["chargingStation"]
            required: m.ChargingStationType = {"model": station["model"], "vendorName": station["vendorName"]}
            return await session.call(
                actions.BOOT_NOTIFICATION, {"reason": notification["reason"], "chargingStation": required}
            )

    def request_notification(self) -> None:
        """Make `obtain_acceptance` send its next BootNotification at once, with reason Triggered (B02.FR.04).

        Called for a TriggerMessage of the CSMS; sends nothing itself.
        """
        self._triggered = True
        self._notification_requested.notify()

    def reset(self) -> None:
        """Forget the registration, so that `obtain_acceptance` sends a BootNotification without waiting (B10.FR.10).

        Called when the CSMS may be another one than before; sends nothing itself.
        """
        self._next_attempt_s = 0.0
        self._gate.set_state(BootState.UNKNOWN)

    async def _wait_for_next_attempt(self) -> None:
        """Wait until the interval of the last response is over, also on a new link.

        B02.FR.04, B02.FR.08, B03.FR.02, B03.FR.06.
        """
        await self._wait(self._next_attempt_s - self._clock.monotonic())

    async def _wait(self, wait_s: float) -> None:
        """Wait, but end early if the CSMS triggers a BootNotification or has triggered one before its last answer."""
        count_before = self._notification_requested.count
        if wait_s > 0 and not self._triggered:
            await self._notification_requested.wait_for(count_before, self._clock, wait_s)

    async def send_heartbeats(self, session: OcppSession) -> None:
        """Send Heartbeats until the session ends; a new interval counts from when it is set (G02.FR.02).

        Raises:
            LinkLostError: the session ended.
        """
        changed = ChangeSignal()
        interval = self._settings.changed(CsmsLinkSettings.heartbeat_interval_s)
        unsubscribe = self._auxiliary.subscribe(interval, lambda _: changed.notify())
        try:
            while True:
                count_before, interval_s = changed.count, self._settings.heartbeat_interval_s
                if not await changed.wait_for(count_before, self._clock, interval_s):
                    await self._send_heartbeat(session)
        finally:
            unsubscribe()

    async def _send_heartbeat(self, session: OcppSession) -> None:
        try:
            answer = await session.call(actions.HEARTBEAT, {})
        except LinkLostError:
            raise
        except NoAnswerError as error:
            _log.warning("no answer to Heartbeat: %s", error)
        else:
            self.publish_time(answer["currentTime"])

    def _apply_response(self, answer: m.BootNotificationResponse) -> None:
        """Apply a BootNotification response: time, heartbeat interval, next attempt, status."""
        interval_s = min(int(answer["interval"]), _LONGEST_WAIT_S)
        self.publish_time(answer["currentTime"])
        if answer["status"] == "Accepted" and interval_s > 0:  # B01.FR.04
            setting = CsmsLinkSettings.heartbeat_interval_s
            self._settings.override(setting, min(interval_s, _LONGEST_HEARTBEAT_S))
        self._next_attempt_s = self._clock.monotonic() + (interval_s if interval_s > 0 else _DEFAULT_INTERVAL_S)
        self._gate.set_state(BootState(answer["status"]))

    def _notification(self) -> m.BootNotificationRequest:
        identification = self._identification
        station: m.ChargingStationType = {"model": identification.model, "vendorName": identification.vendor}
        if identification.serial_number is not None:
            station["serialNumber"] = identification.serial_number
        if identification.firmware_version is not None:
            station["firmwareVersion"] = identification.firmware_version
        modem: m.ModemType = {}
        if identification.iccid is not None:
            modem["iccid"] = identification.iccid
        if identification.imsi is not None:
            modem["imsi"] = identification.imsi
        if modem:
            station["modem"] = modem
        reason = BootReason.TRIGGERED if self._triggered else self._reason
        self._triggered = False
        return {"reason": reason.value, "chargingStation": station}

    def publish_time(self, text: str) -> None:
        """Publish `time_received` with a currentTime of the CSMS, unless it is implausible (B01.FR.06, G02.FR.06)."""
        try:
            moment = timestamps.decode(text)
        except ValueError as error:
            _log.warning("currentTime of the CSMS is ignored: %s", error)
            return
        if not _EARLIEST <= moment < _LATEST:
            _log.warning("currentTime of the CSMS is ignored: %s is implausible", text)
            return
        self.time_received.publish(moment)
