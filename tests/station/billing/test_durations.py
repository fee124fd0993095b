"""Billed durations do not depend on the wall clock, which may be set to anything during a charge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import ocmf
from metering.ocmf_bill import check_bill
from metering.time_quality import TimeSource
from station.billing.price import Bill, PriceList
from station.charging.recovery import end_open_transactions
from station.core.model import PilotState
from tests import fakes
from tests.examples import examples
from tests.station.billing_fixture import BillingFixture, running_journal
from tests.station.evse_fixture import evse_fixture

BY_TIME = PriceList("EUR", Decimal("0.30"), (), Decimal("7.20"), Decimal("3.60"))
YEARS = timedelta(days=3_650)


@dataclass(frozen=True)
class Span:
    """A part of a charge, and by how much the clock is set at its end."""

    idle: bool
    seconds: int
    jump: timedelta
    source: TimeSource


async def charge(billing: BillingFixture, spans: Sequence[Span]) -> None:
    """Charge or idle for each span, and set the clock at its end."""
    fixture = billing.evse_fixture
    fixture.meter.clock = fixture.clock
    await fixture.charge()
    for span in spans:
        await fixture.observe(pilot=PilotState.B if span.idle else PilotState.C)
        await fixture.switch_contactor()
        fixture.meter.reading = fakes.reading(1500.0, 0.0 if span.idle else 16.0)
        await fixture.clock.advance(span.seconds)
        fixture.clock.adjust(span.jump)
        billing.time_quality.note_time_set(span.source, span.jump)
        await fixture.clock.advance(0)


async def billed(path: Path, spans: Sequence[Span]) -> tuple[Bill, timedelta, float]:
    """The bill, the duration on record and the duration of the signed record, in seconds."""
    async with evse_fixture(path, signed=True) as fixture, running_journal(BillingFixture(fixture, path)) as billing:
        await billing.prices.load(BY_TIME)
        await charge(billing, spans)
        running = await billing.billing.bill_so_far(fixture.evse)
        await billing.stop_charge(2000.0)
        found = await billing.only_transaction()
        ((_, bill),) = billing.billed
        assert running is not None
        assert found.bill == bill
        assert found.duration is not None
        records = [ocmf.parse_record(record.text.encode()) for record in await fixture.records.of(found.transaction_id)]
        verification = check_bill(records)
        assert verification.register_deltas[0].duration_s is not None
        return bill, found.duration, verification.register_deltas[0].duration_s


SPANS = st.builds(
    Span,
    st.booleans(),
    st.integers(0, 3_000),
    st.timedeltas(-YEARS, YEARS),
    st.sampled_from([TimeSource.CSMS, TimeSource.NTP]),
)


@examples(15)
@given(spans=st.lists(SPANS, min_size=1, max_size=4))
async def test_no_jump_of_the_clock_changes_what_is_billed(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Span]
) -> None:
    untouched = [replace(span, jump=timedelta(0)) for span in spans]
    expected = await billed(tmp_path_factory.mktemp("untouched"), untouched)
    assert await billed(tmp_path_factory.mktemp("moved"), spans) == expected


@pytest.mark.parametrize("set_to", [YEARS, -YEARS])
async def test_what_a_power_cut_ended_is_billed_until_its_last_event_and_not_for_the_time_without_power(
    tmp_path: Path, set_to: timedelta
) -> None:
    """Nothing measured how long the power was away; the clock may have stood anywhere since (no battery, no NTP)."""
    async with evse_fixture(tmp_path) as fixture, running_journal(BillingFixture(fixture, tmp_path)) as billing:
        await billing.prices.load(BY_TIME)
        await charge(billing, [Span(False, 1_800, timedelta(0), TimeSource.CSMS)])
        await fixture.observe(pilot=PilotState.B)  # the last event before the cut
        await fixture.switch_contactor()
        await fixture.clock.advance(600)
    async with evse_fixture(tmp_path) as fixture:
        fixture.clock.adjust(set_to)
        await end_open_transactions(fixture.outbox, {1: fixture.assembly}, fixture.settings.sampling, fixture.clock)
        async with running_journal(BillingFixture(fixture, tmp_path)) as billing:
            found = await billing.only_transaction()
            assert found.bill is not None
            assert found.stopped_reason == "PowerLoss"
            assert found.duration is not None
            assert timedelta(seconds=1_800) <= found.duration <= timedelta(seconds=1_805)
            hours = {line.what: line.quantity for line in found.bill.lines}
            assert hours["time"] == pytest.approx(Decimal("0.5"), abs=Decimal("0.002"))
            assert "idle" not in hours
