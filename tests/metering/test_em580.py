"""The EM580 over real Modbus: it begins, ends and signs a transaction, and everything that may go wrong is said."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from foundation.clock import SystemClock
from metering import ocmf
from metering.drivers.bus_registry import BusRegistry
from metering.drivers.em580 import Em580
from metering.drivers.modbus import ModbusTcpMeterConfig
from metering.meter import MeterError, SigningMeter
from metering.ocmf_bill import check_bill
from metering.ocmf_keys import read_key
from metering.ocmf_payload import SignedTransaction, UserAssignment
from metering.ocmf_signature import check_signature
from metering.reading import Phases, Reading
from metering.time_quality import TimeStatus
from tests.metering.em580_server import SERIAL, Em580Server, serving

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
READING = Reading(
    NOW,
    energy_import_wh=7_003_500.0,
    energy_export_wh=0.0,
    power_w=0.0,
    currents_a=Phases(0.0, 0.0, 0.0),
    voltages_v=Phases(230.1, 231.4, 229.7),
    powers_w=Phases(0.0, 0.0, 0.0),
    frequency_hz=50.0,
)
SUBJECT = SignedTransaction(
    "tx-4711", UserAssignment("ISO14443", "04A3B2C1D5E680", "HEARSAY", ("RFID_PLAIN", "OCPP_RS")), "0.30 EUR/kWh"
)


class StoppedClock(SystemClock):
    """The machine's clock with a wall time that stands still."""

    def now(self) -> datetime:
        return NOW


@asynccontextmanager
async def metering(register: list[float] | None = None) -> AsyncGenerator[tuple[Em580, Em580Server]]:
    """A meter, and the driver of it."""
    register_wh = register if register is not None else [7_003_500.0]
    async with serving(Em580Server(lambda: replace(READING, energy_import_wh=register_wh[0]))) as server:
        config = ModbusTcpMeterConfig(model="carlo-gavazzi-em580", host="127.0.0.1", port=server.port)
        meter = config.open(StoppedClock(), BusRegistry())
        assert isinstance(meter, Em580)
        try:
            yield meter, server
        finally:
            await meter.close()


async def test_it_reports_its_serial_number() -> None:
    async with metering() as (meter, _):
        assert (await meter.identity()).serial_number == SERIAL


async def test_a_transaction_is_begun_ended_signed_and_given_up_only_when_it_is_kept() -> None:
    register = [7_003_500.0]
    async with metering(register) as (meter, server):
        assert isinstance(meter, SigningMeter)
        key = read_key((await meter.public_key()).hex())
        assert (await meter.public_key(), key.curve) == (server.spki, "brainpoolp384r1")
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        register[0] += 12_300.0
        record = await meter.end()
        assert await meter.end() == record  # until it is confirmed
        assert server.state == 2
        await meter.confirm()
        assert server.state == 0
        found = ocmf.parse_record(record)
        assert check_signature(found, key).valid
        bill_check = check_bill([found])
        assert (bill_check.objections, bill_check.register_deltas[0].energy_wh) == ((), 12_300)
        assert found.text("TT") == "0.30 EUR/kWh<=>tx-4711"
        assert (await meter.read()).energy_import_wh == register[0]


async def test_a_long_tariff_leaves_the_transaction_its_place() -> None:
    async with metering() as (meter, server):
        await meter.begin(replace(SUBJECT, tariff="x" * 400), "STATION 1", TimeStatus.SYNCHRONIZED)
        stored_text = server.text(0x6900, 126)
        assert len(stored_text) == 250
        assert stored_text.endswith("x<=>tx-4711")


async def test_what_identifies_a_transaction_is_where_the_meter_wants_it() -> None:
    async with metering() as (meter, server):
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        assert [server.words[0x7000 + at] for at in range(7)] == [1, 1, 1, 1, 0, 0, 3]
        assert server.text(0x7007, 20) == "04A3B2C1D5E680"
        assert (server.words[0x701B], server.text(0x701C, 20)) == (1, "STATION 1")
        assert server.words[0x7036] == 0
        assert server.clock_s == int(NOW.timestamp())
        assert server.words[0x7060] == 1


@pytest.mark.parametrize(("time", "written_s"), [(TimeStatus.INFORMATIVE, 0), (TimeStatus.UNKNOWN, None)])
async def test_a_time_that_nobody_vouches_for_is_not_signed_as_synchronized(
    time: TimeStatus, written_s: int | None
) -> None:
    """OCMF: a clock of the CSMS is informative; one that was never set is nothing to set another one by."""
    async with metering() as (meter, server):
        await meter.begin(SUBJECT, "STATION 1", time)
        assert server.state == 1
        assert server.words.get(0x7060) == written_s
        assert server.clock_s == (int(NOW.timestamp()) if written_s is not None else 0)


async def test_the_clock_is_left_alone_where_it_is_right() -> None:
    async with metering() as (meter, server):
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        await meter.end()
        server.written.clear()
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        assert 0x7032 not in server.written


async def test_what_a_power_cut_left_open_is_aborted_before_the_next_begin() -> None:
    async with metering() as (meter, server):
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        await meter.begin(replace(SUBJECT, transaction_id="tx-2"), "STATION 1", TimeStatus.SYNCHRONIZED)
        assert (server.state, server.page) == (1, 1)
        assert "tx-2" in (ocmf.parse_record(await meter.end()).text("TT") or "")


async def test_an_aborted_transaction_says_so() -> None:
    async with metering() as (meter, _):
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        assert ocmf.parse_record(await meter.end(aborted=True)).readings[-1].reason == "A"


async def test_what_goes_wrong_is_said() -> None:
    async with metering() as (meter, server):
        with pytest.raises(MeterError, match="no transaction was started"):
            await meter.end()
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        server.corrupt = True
        with pytest.raises(MeterError, match="corrupted"):
            await meter.end()
        server.words[0x7100] = 9
        with pytest.raises(MeterError, match="unknown transaction state"):
            await meter.end()
        server.words[0x7100] = 2
        server.words[0x7101] = 0xFFFF
        with pytest.raises(MeterError, match="invalid record size of 65535 bytes"):
            await meter.end()


async def test_nothing_but_what_belongs_to_transactions_and_the_clock_is_written() -> None:
    """MID annex I, 8.1: nothing connected may change the measuring result."""
    async with metering() as (meter, server):
        await meter.begin(SUBJECT, "STATION 1", TimeStatus.SYNCHRONIZED)
        await meter.end()
        await meter.confirm()
        assert server.written
        assert all(0x6900 <= address < 0x697E or 0x7000 <= address <= 0x7100 for address in server.written)
