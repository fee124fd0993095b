"""The energy of a thousand transactions is what the register counted, to the last watt-hour, in every record of it."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from energy.demand import Decision
from metering import ocmf
from metering.ocmf_bill import check_bill
from metering.reading import Reading
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.charging.evse_state import Authorization
from station.core.model import PilotState, StoppedReason, TriggerReason
from tests import fakes
from tests.station.evse_fixture import EvseFixture, evse_fixture

TRANSACTIONS = 1_000


class Meter:
    """A register with the resolution of a watt-hour, which counts only while the contactor is closed."""

    def __init__(self, fixture: EvseFixture) -> None:
        self._fixture = fixture
        self.wh = Decimal(random.Random(5).randrange(10**8))
        fixture.meter.reading = self.reading()

    def reading(self, current_a: float = 0.0) -> Reading:
        """The reading now."""
        return replace(fakes.reading(float(self.wh), current_a), taken_at=self._fixture.clock.now())

    async def draw(self, energy_wh: int) -> None:
        """Draw energy for two seconds; the register counts only while the contactor is closed."""
        if self._fixture.board.observation.contactor_closed:
            self.wh += energy_wh
        self._fixture.meter.reading = self.reading(16.0)
        await self._fixture.clock.advance(2)


async def charge_once(fixture: EvseFixture, meter: Meter, rng: random.Random) -> None:
    """Run one transaction of random length and stop reason."""
    await fixture.observe(pilot=PilotState.B, cable_plugged=True)
    fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
    await fixture.clock.advance(1)
    await fixture.observe(pilot=PilotState.C)
    await fixture.switch_contactor()
    for _ in range(rng.randrange(3)):
        await meter.draw(rng.choice((0, 1, 7, rng.randrange(80_000))))
    reason = rng.choice((StoppedReason.LOCAL, StoppedReason.REMOTE, StoppedReason.EMERGENCY_STOP))
    fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, reason, id_token=fakes.CARD)
    await fixture.observe(pilot=PilotState.B)
    await fixture.switch_contactor()
    fixture.meter.reading = meter.reading()
    while fixture.evse.state.transaction is not None or fixture.evse.count_unrecorded(None):
        await fixture.clock.advance(1)
    await fixture.observe(pilot=PilotState.A, cable_plugged=False)


async def test_a_thousand_transactions_add_up_to_the_register(tmp_path: Path) -> None:
    rng = random.Random(2_026)
    async with evse_fixture(tmp_path, signed=True) as fixture:
        await fixture.database.rows("PRAGMA synchronous=OFF")  # nobody cuts the power here
        meter = Meter(fixture)
        begun_wh = meter.wh
        fixture.evse.apply_decision(Decision(16.0, ()))
        await fixture.clock.advance(1)
        for _ in range(TRANSACTIONS):
            await charge_once(fixture, meter, rng)
        log = TransactionLog(fixture.database)
        found = await log.find(TransactionQuery(), most=TRANSACTIONS + 1)
        assert found.total == TRANSACTIONS
        counted = [transaction.energy_wh for transaction in found.transactions]
        assert None not in counted
        assert sum((energy for energy in counted if energy is not None), Decimal(0)) == meter.wh - begun_wh
        assert meter.wh > begun_wh
        billed, pages = Decimal(0), list[int]()
        for transaction in found.transactions:
            records = await fixture.records.of(transaction.transaction_id)
            verification = check_bill([ocmf.parse_record(record.text.encode()) for record in records])
            assert verification.objections == ()
            billed += verification.register_deltas[0].energy_wh
            pages += [record.page for record in records]
        assert billed == meter.wh - begun_wh
        assert sorted(pages) == list(range(1, 2 * TRANSACTIONS + 1))
