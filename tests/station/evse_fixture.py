"""One EVSE at work on a real disk and a virtual clock, with a fake board and a fake meter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from msgspec.structs import replace

from energy.demand import Decision
from foundation.clock import Clock
from metering.ocmf_payload import Signatory
from simulator.clock import VirtualClock
from station.billing.transaction_log import TransactionLog
from station.charging.evse import EvseBehaviour
from station.charging.evse_assembly import EvseHardware, assemble_evse
from station.charging.evse_state import Authorization
from station.charging.meter_polling import MeterPoller
from station.charging.recording import RunningTransactions
from station.charging.sampling_settings import SamplingSettings
from station.charging.signing.meter_value_signing import SigningSetup
from station.charging.signing.reading_signer import ReadingSigner, SignatureSource
from station.charging.signing.signed_records import SignedRecords
from station.charging.signing.signing_key import SigningKey
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import SAFE_OUTPUTS, Observation
from station.core.model import ChargingState, PilotState, TransactionEvent, TriggerReason
from station.storage.database import Database
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database

PLUGGED = Observation(PilotState.B, cable_plugged=True)


class EvseFixture:
    """An EVSE with its hardware (fakes), outbox, settings and clock."""

    def __init__(
        self,
        database: Database,
        clock: VirtualClock,
        layout: EvseLayout,
        signatures: ReadingSigner | None,
        behaviour: EvseBehaviour | None = None,
    ) -> None:
        self.clock, self.database = clock, database
        self.board = fakes.FakeBoard()
        self.meter = fakes.FakeMeter(fakes.reading(1000.0))
        self.settings = fakes.evse_settings()
        self.settings.sampling.override(SamplingSettings.sampled_tx_updated_interval_s, 0)
        self.outbox = Outbox(database, clock, [TransactionLog(database)])
        self.recorded: list[TransactionEvent] = []
        self.outbox.appended.subscribe(self.recorded.append)
        poller = MeterPoller("meter", self.meter, clock)
        signing = SigningSetup(signatures, fakes.FakeTariff()) if signatures is not None else None
        recording = fakes.recording(self.outbox)
        hardware, running = EvseHardware(layout, self.board, poller), RunningTransactions()
        self.assembly = assemble_evse(
            hardware, recording, running, self.settings, clock, signing=signing, behaviour=behaviour
        )
        self.evse = self.assembly.evse
        self.records = SignedRecords(database, clock)

    async def observe(self, **changed: object) -> None:
        """The board reports another observation."""
        self.board.report(replace(self.board.observation, **changed))
        await self.clock.advance(0)

    async def switch_contactor(self) -> None:
        """The contactor reaches the state that was commanded last."""
        await self.observe(contactor_closed=self.board.commands[-1].contactor)

    async def until_open(self, within_s: int) -> None:
        """Wait for the command to open the contactor."""
        for _ in range(within_s):
            if not self.board.commands[-1].contactor:
                return
            await self.clock.advance(1)
        raise AssertionError(f"the contactor may stay closed for more than {within_s} s")

    async def charge(self, current_a: float = 16.0) -> None:
        """Plug in, authorize and charge until energy flows."""
        self.evse.apply_decision(Decision(current_a, ()))
        await self.observe(pilot=PilotState.B, cable_plugged=True)
        self.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await self.clock.advance(0)
        await self.observe(pilot=PilotState.C)
        await self.switch_contactor()
        self.meter.reading = fakes.reading(1000.0, current_a)
        await self.clock.advance(1)
        assert self.evse.state.charging_state is ChargingState.CHARGING

    @property
    def types_and_triggers(self) -> list[tuple[str, str]]:
        """Type and trigger of each recorded event."""
        return [(event.event_type.value, event.trigger.value) for event in self.recorded]


async def signing_with(key: Path, database: Database, clock: VirtualClock) -> ReadingSigner:
    """The signer of an EVSE's readings, with the key in this file."""
    signatory = Signatory("borne", "1-1", "0", "fake", "4711", "0", "STATION 1")
    records, facts = SignedRecords(database, clock), FactStore(database, "signing-key")
    source = SignatureSource(SigningKey(key), None, records, lambda: signatory)
    signatures = ReadingSigner(1, source, facts, fakes.FakeTime(), clock)
    await signatures.load()
    return signatures


@contextlib.asynccontextmanager
async def evse_fixture(
    path: Path,
    layout: EvseLayout | None = None,
    *,
    signed: bool = False,
    behaviour: EvseBehaviour | None = None,
    opener: Callable[[Path, Clock], AbstractAsyncContextManager[Database]] = open_database,
) -> AsyncGenerator[EvseFixture]:
    """An EVSE whose tasks run; `signed`: it signs its meter readings. `opener` opens its database."""
    clock = fakes.clock()
    async with opener(path / "db", clock) as database:
        signatures = await signing_with(path / "key.pem", database, clock) if signed else None
        fixture = EvseFixture(database, clock, layout or EvseLayout(1), signatures, behaviour)
        running = asyncio.create_task(fixture.assembly.run())
        await clock.advance(0)
        try:
            yield fixture
        finally:
            running.cancel()
            await asyncio.wait({running})
    assert running.cancelled()
    assert fixture.board.commands[-1] == SAFE_OUTPUTS, "whatever ends it leaves the contactor open"
    assert fixture.meter.closed
