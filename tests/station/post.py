"""One EVSE at work on a real disk and a virtual clock, with a board and a meter that show what they are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from energy.demand import Decision
from metering.signed import Signatory
from simulator.clock import VirtualClock
from station.charging.evse import Evse
from station.charging.evse_state import Authorization
from station.charging.meter_polling import MeterWatch
from station.charging.recorder import Recorder
from station.charging.signing.signatures import Means, Signatures
from station.charging.signing.signed_records import SignedRecords
from station.charging.signing.signing import Signing
from station.charging.signing.signing_key import SigningKey
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import SAFE, Observation
from station.core.model import ChargingState, PilotState, TransactionEvent, TriggerReason
from station.core.settings import Settings
from station.storage.database import Database
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database

PLUGGED = Observation(PilotState.B, cable_plugged=True)


class Post:
    """An EVSE with everything around it."""

    def __init__(self, database: Database, clock: VirtualClock, layout: EvseLayout) -> None:
        self.clock, self.database = clock, database
        self.board = fakes.FakeBoard()
        self.meter = fakes.FakeMeter(fakes.reading(1000.0))
        self.settings = Settings()
        self.outbox = Outbox(database, clock)
        self.recorded: list[TransactionEvent] = []
        self.outbox.on_append.append(self.recorded.append)
        watch = MeterWatch("meter", self.meter, clock)
        recorder = Recorder(self.outbox, watch, self.settings, clock)
        self.evse = Evse(layout, self.board, watch, recorder, self.settings, clock)
        self.records = SignedRecords(database, clock)

    async def sign(self, key: Path) -> None:
        """From now on what the meter shows is signed, with the key in this file; before anything runs."""
        where = Signatory("borne", "1-1", "0", "fake", "4711", "0", "STATION 1")
        means = Means(SigningKey(key), None, self.records, FactStore(self.database, "signing-key"), lambda: where)
        signatures = Signatures(1, means, self.clock)
        await signatures.load()
        self.evse.sign_with(Signing(self.evse, signatures, self.outbox, self.settings, self.clock))

    async def see(self, **changed: object) -> None:
        """The board sees something else."""
        self.board.see(replace(self.board.seen, **changed))
        await self.clock.advance(0)

    async def obey(self) -> None:
        """The contactor does what was ordered last."""
        await self.see(contactor_closed=self.board.commands[-1].contactor)

    async def until_open(self, within_s: int) -> None:
        """Wait for the order to open the contactor."""
        for _ in range(within_s):
            if not self.board.commands[-1].contactor:
                return
            await self.clock.advance(1)
        raise AssertionError(f"the contactor may stay closed for more than {within_s} s")

    async def charge(self, current_a: float = 16.0) -> None:
        """From nothing to energy."""
        self.evse.offer(Decision(current_a, ()))
        await self.see(pilot=PilotState.B, cable_plugged=True)
        self.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await self.clock.advance(0)
        await self.see(pilot=PilotState.C)
        await self.obey()
        self.meter.shows = fakes.reading(1000.0, current_a)
        await self.clock.advance(1)
        assert self.evse.state.charging_state is ChargingState.CHARGING

    @property
    def told(self) -> list[tuple[str, str]]:
        """Type and trigger of what is on disk."""
        return [(event.event_type.value, event.trigger.value) for event in self.recorded]


@contextlib.asynccontextmanager
async def post(path: Path, layout: EvseLayout | None = None, *, signed: bool = False) -> AsyncGenerator[Post]:
    """An EVSE at work; with `signed` it signs what its meter shows."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        made = Post(database, clock, layout or EvseLayout(1))
        if signed:
            await made.sign(path / "key.pem")
        running = asyncio.create_task(made.evse.run())
        await clock.advance(0)
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.wait({running})
    assert running.cancelled()
    assert made.board.commands[-1] == SAFE, "whatever ends it leaves the contactor open"
    assert made.meter.closed
