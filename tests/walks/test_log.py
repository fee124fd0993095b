"""The log at INFO: who reads it alone can tell what happened at the station, in order."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from pathlib import Path

import pytest

from foundation.frozen import Frozen
from simulator.vehicle import VehicleModel
from station.billing.transaction_log import TransactionQuery
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.steps import answering, present_at, request_start, request_stop, token, variables

_EVSES = [{"id": 1}, {"id": 2}]
_ADMISSION = "station.charging.tokens.admission"
_BEGIN = re.compile(r"EVSE (\d+): transaction (\S+) begins: trigger (\w+), token (\S+), .*register [\d.]+ kWh")
_END = re.compile(r"EVSE (\d+): transaction (\S+) ended: reason (\w+), trigger (\w+), ([\d.]+) kWh, duration (\d+) s")


class _LoggedCharge(Frozen):
    """A charge as reconstructed from the log."""

    evse_id: int
    token: str
    reason: str
    energy_kwh: str


def _logged_charges(lines: list[str]) -> list[_LoggedCharge]:
    """Return the charges that the lines describe, in the order of their ends."""
    tokens = {found[2]: found[4] for line in lines if (found := _BEGIN.fullmatch(line))}
    ends = [found for line in lines if (found := _END.fullmatch(line))]
    return [_LoggedCharge(int(end[1]), tokens[end[2]], end[3], end[5]) for end in ends]


async def _stored_charges(walk: Walk) -> list[_LoggedCharge]:
    """Return the stored charges, in the order of their ends."""
    page = await walk.parts.transactions.find(TransactionQuery())
    return [
        _LoggedCharge(
            transaction.evse_id,
            f"{(transaction.token or '')[:4]}…{(transaction.token or '')[-2:]}",
            transaction.stopped_reason or "",
            f"{float(transaction.energy_wh or 0) / 1000:.3f}",
        )
        for transaction in sorted(
            page.transactions, key=lambda transaction: transaction.ended_at or transaction.began_at
        )
    ]


async def _charge_between_rejections(walk: Walk) -> None:
    """Present an unknown card, then charge with a known one, while the unknown one is rejected."""
    walk.csms.answers["Authorize"] = answering("Invalid")
    await present_at(walk, OTHER_CARD, 1)
    walk.csms.answers["Authorize"] = answering("Accepted")
    await present_at(walk, CARD, 1)
    walk.world.boards[1].plug(VehicleModel())
    await walk.until(lambda: sum(walk.world.boards[1].currents_a) > 0)
    await request_start(walk, card=OTHER_CARD)
    await walk.csms.call("ReserveNow", {"id": 4, "expiryDateTime": _later(walk), "idToken": token(), "evseId": 1})
    await walk.advance(600)
    await present_at(walk, CARD, 1)
    await walk.advance(10)
    walk.world.boards[1].unplug()
    await walk.advance(30)


async def _remote_charge_and_outage(walk: Walk) -> None:
    """Charge by remote start and stop, and take an EVSE out of service."""
    await request_start(walk, evse_id=2, remote_start_id=55)
    walk.world.boards[2].plug(VehicleModel())
    await walk.until(lambda: sum(walk.world.boards[2].currents_a) > 0)
    await walk.advance(300)
    assert await request_stop(walk, walk.events()[-1]["transactionInfo"]["transactionId"]) == "Accepted"
    await walk.advance(10)
    walk.world.boards[2].unplug()
    await walk.advance(30)
    await walk.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}})
    await walk.settle()
    await present_at(walk, CARD, 2)
    await walk.csms.call("TriggerMessage", {"requestedMessage": "PublishFirmwareStatusNotification"})
    await walk.csms.call("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 2}})
    await walk.settle()


def _later(walk: Walk) -> str:
    return (walk.csms.now() + timedelta(hours=1)).isoformat()


async def test_a_reader_reconstructs_the_day_of_a_station_from_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with walking(tmp_path, evse=_EVSES) as walk:
        await walk.accepted()
        caplog.clear()
        await _charge_between_rejections(walk)
        await _remote_charge_and_outage(walk)
        lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
        stored = await _stored_charges(walk)
    assert len(stored) == 2
    assert _logged_charges(lines) == stored
    messages = [_without_id(line) for line in lines if "may draw" not in line]
    assert messages == [
        "token 04FF…80: rejected: its authorization status is Invalid",
        "token 04A3…80: authorized at EVSE 1",
        "EVSE 1: transaction T begins: trigger Authorized, token 04A3…80, register R kWh",
        "EVSE 1: charging state EVConnected",
        "EVSE 1: charging state Charging",
        "RequestStartTransaction (EVSE 1, token 04FF…80, remote start 77) of the CSMS is answered Rejected:"
        " EVSE 1 is already authorized",
        "ReserveNow (EVSE 1, token 04A3…80, id 4) of the CSMS is answered Occupied: EVSE 1 is occupied or reserved",
        "token 04A3…80: stopped at EVSE 1",
        "EVSE 1: charging state EVConnected",
        "EVSE 1: transaction T ended: reason Local, trigger StopAuthorized, R kWh, duration D s",
        "EVSE 1: charging state Idle",
        "EVSE 2: remote start 55 authorizes token 04A3…80",
        "EVSE 2: transaction T begins: trigger RemoteStart, token 04A3…80, remote start 55, register R kWh",
        "EVSE 2: charging state EVConnected",
        "EVSE 2: charging state Charging",
        "EVSE 2: remote stop of transaction T",
        "EVSE 2: charging state EVConnected",
        "EVSE 2: transaction T ended: reason Remote, trigger RemoteStop, R kWh, duration D s",
        "EVSE 2: charging state Idle",
        "EVSE 2: out of service",
        "token 04A3…80: rejected: EVSE 2 is Unavailable",
        "TriggerMessage (PublishFirmwareStatusNotification) of the CSMS is answered NotImplemented",
        "EVSE 2: in service",
    ]


def _without_id(line: str) -> str:
    """Return the line without the parts that differ from run to run."""
    line = re.sub(r"transaction [0-9a-f-]{36}", "transaction T", line)
    return re.sub(r"duration \d+ s", "duration D s", re.sub(r"[\d.]+ kWh", "R kWh", line))


async def test_each_rejection_of_a_token_has_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, _ADMISSION)
    master = variables(AuthCtrlr__MasterPassGroupId="MASTERS")
    async with walking(tmp_path, evse=_EVSES, variable=master) as walk:
        await present_at(walk, OTHER_CARD, 1)  # before the CSMS has accepted the station
        await walk.accepted()
        await present_at(walk, CARD, 1)
        await present_at(walk, OTHER_CARD, 1)
        await walk.csms.call("ReserveNow", {"id": 4, "expiryDateTime": _later(walk), "idToken": token(), "evseId": 2})
        await walk.settle()
        await present_at(walk, OTHER_CARD, 2)
        await present_at(walk, CARD, 1)
        await walk.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative"})
        await walk.settle()
        walk.csms.answers["Authorize"] = answering("Accepted", {"idToken": "MASTERS", "type": "Central"})
        await present_at(walk, OTHER_CARD)
    assert [record.getMessage() for record in caplog.records if record.name == _ADMISSION] == [
        "token 04FF…80: not-checked: the CSMS cannot be asked about it",
        "token 04A3…80: authorized at EVSE 1",
        "token 04FF…80: rejected: EVSE 1 is in use by another token",
        "token 04FF…80: rejected: EVSE 2 is reserved for another token",
        "token 04A3…80: stopped at EVSE 1",
        "token 04FF…80: rejected: it is a master pass, and there is no charge to stop",
    ]
