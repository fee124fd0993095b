"""A whole station whose meter signs itself, over real Modbus: its record is the one that everybody gets."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from metering import ocmf
from metering.ocmf_bill import check_bill
from metering.ocmf_keys import read_key
from metering.ocmf_signature import check_signature
from metering.reading import Phases, Reading
from tests.fakes import NOON
from tests.metering.em580_server import Em580Server, serving
from tests.walk import CARD, Walk, walking
from tests.walks.steps import charge, event, variables
from tests.walks.test_signing import signed_values
from tests.walks.visit import visiting

IDLE = Reading(
    NOON,
    energy_import_wh=0.0,
    energy_export_wh=0.0,
    power_w=0.0,
    currents_a=Phases(0.0, 0.0, 0.0),
    voltages_v=Phases(230.0, 230.0, 230.0),
    powers_w=Phases(0.0, 0.0, 0.0),
    frequency_hz=50.0,
)


@asynccontextmanager
async def station_with_em580(folder: Path) -> AsyncGenerator[tuple[Walk, Em580Server]]:
    """Run a station with an EM580, which reads what its circuit carries."""
    async with serving(Em580Server(lambda: IDLE)) as server:
        meter = {"type": "modbus-tcp", "model": "carlo-gavazzi-em580", "host": "127.0.0.1", "port": server.port}
        rows = variables(SampledDataCtrlr__SignReadings=True)
        async with walking(folder, variable=rows, evse=[{"meter": meter}]) as walk:
            # Registers of a tenth of a kWh, as the meter has them.
            server.read_meter = lambda: _rounded_reading(walk.board.read_meter())
            yield walk, server


def _rounded_reading(reading: Reading) -> Reading:
    """Return the reading with the register rounded down to 0.1 kWh."""
    assert reading.energy_import_wh is not None
    return replace(reading, energy_import_wh=reading.energy_import_wh // 100 * 100.0)


async def test_the_record_of_the_meter_is_sent_once_with_the_end(tmp_path: Path) -> None:
    """OCA note, 4.1.2: begin and end in one record go with Transaction.End."""
    async with station_with_em580(tmp_path) as (walk, server), visiting(walk) as api:
        await charge(walk)
        await walk.advance(600)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        ((context, _, signed),) = signed_values(ended)
        assert context == "Transaction.End"
        record = ocmf.parse_record(base64.b64decode(signed["signedMeterData"]))
        assert check_signature(record, read_key(base64.b64decode(signed["publicKey"]).decode())).valid
        bill = check_bill([record])
        assert bill.objections == ()
        assert bill.register_deltas[0].energy_wh > 3000
        assert record.text("ID") == CARD.value
        identity = ended["transactionInfo"]["transactionId"]
        assert identity in (record.text("TT") or "")
        text = (await api.client.get(f"/api/transactions/{identity}/record", params={"form": "text"})).text
        assert text.strip().encode() == base64.b64decode(signed["signedMeterData"])
        key = await api.get("/api/evses/1/public-key")
        assert (key["signer"], key["hex"]) == ("meter", server.spki.hex())
        assert server.state == 0  # confirmed once it was on disk
        assert not (tmp_path / "signing").exists()


async def test_without_a_begin_of_the_meter_no_energy_flows(tmp_path: Path) -> None:
    """Where billing is on, the contactor waits for the begin."""
    async with station_with_em580(tmp_path) as (walk, server):
        await walk.accepted()
        await walk.plug()
        server.refuses_begin = True
        await walk.present()
        await walk.advance(10)
        assert sum(walk.board.currents_a) == 0
        server.refuses_begin = False
        await walk.charging()


async def test_a_power_cut_ends_the_transaction_of_the_meter_too(tmp_path: Path) -> None:
    async with station_with_em580(tmp_path) as (walk, server), visiting(walk) as api:
        await charge(walk)
        await walk.advance(300)
        await api.post("/api/sim/power", {"action": "loss"})
        await api.post("/api/sim/power", {"action": "restore"})
        ended = await event(walk, "Ended", "AbnormalCondition")
        ((_, _, signed),) = signed_values(ended)
        record = ocmf.parse_record(base64.b64decode(signed["signedMeterData"]))
        assert record.readings[-1].reason == "A"
        assert server.state == 0
