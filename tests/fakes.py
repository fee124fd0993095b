"""Hand-written fakes of hardware and CSMS, and sample values for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.clock import Clock
from foundation.events import Event
from foundation.monitored_task import MonitoredTask
from foundation.supervision import AuxiliaryCalls
from metering.meter import MeterError
from metering.reading import Phases, Reading
from metering.time_quality import TimeStatus
from metering.uncounted_energy import UncountedEnergy
from simulator.clock import VirtualClock
from station.charging.evse_settings import EvseSettings
from station.charging.evse_state import Authorization
from station.charging.recording import Recording
from station.charging.sampling_settings import SamplingSettings
from station.charging.transaction_settings import TransactionSettings
from station.core.csms import AuthorizationAnswer, AuthorizationRequest, Csms, NoAnswerError, NoCsms
from station.core.hardware.board import BoardError, Observation, Outputs, SelfTest, Sensor
from station.core.model import (
    AuthorizationStatus,
    EventType,
    IdToken,
    IdTokenInfo,
    MessageContent,
    TransactionEvent,
    TriggerReason,
)
from station.storage.outbox import Outbox
from station.storage.record_settings import RecordSettings

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
CARD = IdToken("04A3B2C1D5E680", "ISO14443")
OTHER_CARD = IdToken("04FFFFFFFFFF80", "ISO14443")


def clock() -> VirtualClock:
    """A virtual clock that stands at noon until it is advanced."""
    return VirtualClock(start=NOON)


def event(
    transaction_id: str = "tx",
    event_type: EventType = EventType.UPDATED,
    trigger: TriggerReason = TriggerReason.METER_VALUE_PERIODIC,
    *,
    evse_id: int = 1,
) -> TransactionEvent:
    """A transaction event with required fields only."""
    return TransactionEvent(transaction_id, evse_id, event_type, trigger, NOON)


async def transaction_ids(outbox: Outbox) -> list[str]:
    """The transactions on record, the newest first."""
    recorded = [event for _, event in await outbox.begins_and_ends(0, 1_000)]
    return [event.transaction_id for event in reversed(recorded) if event.event_type is EventType.STARTED]


def reading(energy_wh: float = 1000.0, current_a: float = 0.0) -> Reading:
    """A reading of a three-phase meter."""
    return Reading(
        NOON, energy_import_wh=energy_wh, power_w=current_a * 690.0, currents_a=Phases[float | None].all(current_a)
    )


class FakeMeter:
    """A meter that returns a configured reading, which nothing checks; None: it does not answer."""

    def __init__(self, reading: Reading | None = None) -> None:
        self.serial_number: str | None = None
        self.uncounted_energy = UncountedEnergy()
        self.rolled_over = False
        self.reading = reading
        self.closed = False
        self.clock: Clock | None = None
        """if set, readings carry its present time"""
        self.read_duration_s = 0.0
        """duration of a reading, by that clock"""

    async def read(self) -> Reading:
        """Return the configured reading."""
        if self.clock is not None and self.read_duration_s:
            await self.clock.sleep(self.read_duration_s)
        if self.reading is None:
            raise MeterError("silent")
        return self.reading if self.clock is None else replace(self.reading, taken_at=self.clock.now())

    async def close(self) -> None:
        """Record that it was closed."""
        self.closed = True

    def accept_roll_over(self) -> None:
        """Do nothing."""

    def accept_exchange(self) -> None:
        """Do nothing."""

    def example_reading(self) -> Reading | None:
        """Return None: it supports all quantities."""
        return None


class FakeBoard:
    """A board that reports configured observations, and records every command."""

    def __init__(self) -> None:
        self.observation = Observation()
        self.commands: list[Outputs] = []
        self.fails = False
        self.clock: Clock | None = None
        """if set, a command takes `command_duration_s` by that clock"""
        self.command_duration_s = 0.0
        self.command_changed: Event[None] = Event()
        """published at the begin of each command, and at its end"""
        self.in_progress: Outputs | None = None
        """the command that the board carries out now"""
        self.lock_follows = True
        self.observation_task: MonitoredTask | None = None
        self.sensors = frozenset(Sensor)
        self.digital_pilot = True
        self._changed = ChangeSignal()

    async def observations(self) -> AsyncIterator[Observation]:
        """Yield the configured observations."""
        reported: Observation | None = None
        while True:
            changes = self._changed.count
            if self.observation != reported:
                reported = self.observation
                yield reported
            else:
                await self._changed.wait(changes)

    async def apply(self, outputs: Outputs) -> None:
        """Record the command; the lock follows it, the contactor does not."""
        self.in_progress = outputs
        self.command_changed.publish(None)
        if self.clock is not None:
            await self.clock.sleep(self.command_duration_s)
        if self.fails:
            raise BoardError("no answer")
        self.commands.append(outputs)
        self.in_progress = None
        self.command_changed.publish(None)
        if self.lock_follows:
            self.report(replace(self.observation, locked=outputs.lock))

    async def test_residual_monitor(self) -> SelfTest:
        """Report that there is no monitor."""
        return SelfTest.ABSENT

    async def close(self) -> None:
        """Do nothing."""

    def report(self, observation: Observation) -> None:
        """Report another observation from now on."""
        self.observation = observation
        self._changed.notify()


class RaisingCalls(AuxiliaryCalls):
    """Calls of auxiliary components whose errors fail the test."""

    def note(self, called: Callable[..., object], error: Exception) -> None:
        """Raise the error."""
        raise error


class FakeCsms:
    """A CSMS that knows some tokens; answers only while it is online."""

    def __init__(self, *, online: bool = True) -> None:
        self.online = online
        self.accepted = online
        self.answers: dict[tuple[str, str], IdTokenInfo] = {}
        self.certificate_status: str | None = None
        self.fails = False
        self.requested_tokens: list[IdToken] = []

    async def authorize(self, request: AuthorizationRequest) -> AuthorizationAnswer:
        """Return the configured info of a token, else Invalid."""
        id_token = request.id_token
        self.requested_tokens.append(id_token)
        await asyncio.sleep(0)
        if self.fails or not self.online:
            raise NoAnswerError("no answer")
        info = self.answers.get(id_token.key, IdTokenInfo(AuthorizationStatus.INVALID))
        return AuthorizationAnswer(info, self.certificate_status)


class FakeTime:
    """A time status source for an unsynchronized clock."""

    status = TimeStatus.UNKNOWN


class FakeTariff:
    """A tariff source without prices."""

    def tariff_of(self, _: Authorization) -> MessageContent | None:
        """Return None."""
        return None


def evse_settings() -> EvseSettings:
    """The settings of an EVSE, as they are by default."""
    return EvseSettings(TransactionSettings(), SamplingSettings(), RecordSettings())


def recording(outbox: Outbox, csms: Csms | None = None) -> Recording:
    """The recording of an EVSE; without a CSMS all events are offline."""
    return Recording(outbox, csms or NoCsms(), FakeTime())
