"""The power fails at each message boundary of a Plug & Charge charge: it is billed once, wholly, and goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from simulator.communication_model import CommunicationModel
from simulator.pki.v2g_pki import TestPki
from station.core.vehicle_link import VehicleEvent
from tests.walk import Walk, walking

BOUNDARIES = 12
"""events of a charge, from the begin of the session to the end: the power is cut after each, and once after the last"""
REGISTER = "Energy.Active.Import.Register"
MODEL: dict[str, Any] = {"reports_soc": True, "renegotiate_after_s": 20.0}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("pki"))


class CutAfter:
    """Cuts the power of a station after a number of events of its SECC."""

    def __init__(self, walk: Walk, events: int) -> None:
        self._walk = walk
        self._left = events
        self.cut: asyncio.Task[None] | None = None

    def note(self, _: VehicleEvent) -> None:
        """Count an event of the SECC."""
        self._left -= 1
        if self._left == 0:
            self.cut = asyncio.ensure_future(self._walk.application.cut_power())


def of_type(walk: Walk, kind: str) -> dict[str, dict[str, Any]]:
    """The events of a type that the CSMS has received, by transaction."""
    return {event["transactionInfo"]["transactionId"]: event for event in walk.events() if event["eventType"] == kind}


def register_of(event: dict[str, Any], moment: str) -> float:
    """The import register of an event at the begin or end of its transaction, in Wh."""
    (register_wh,) = [
        float(sample["value"])
        for value in event["meterValue"]
        for sample in value["sampledValue"]
        if (sample.get("context"), sample.get("measurand")) == (f"Transaction.{moment}", REGISTER)
    ]
    return register_wh


@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 1))
async def test_a_power_cut_at_each_event_of_a_contract_charge(tmp_path: Path, boundary: int, pki: TestPki) -> None:
    async with walking(tmp_path, evse=[{"secc": {"type": "simulated"}}]) as walk:
        await walk.accepted()
        for action, status in (("NotifyEVChargingNeeds", "Rejected"), ("NotifyEVChargingSchedule", "Accepted")):
            walk.csms.answers[action] = lambda _, status=status: {"status": status}
        for name, kind in (("v2g-root", "V2GRootCertificate"), ("mo-root", "MORootCertificate")):
            pem = pki.authorities[name].pem
            answer = await walk.csms.call("InstallCertificate", {"certificateType": kind, "certificate": pem})
            assert answer == {"status": "Accepted"}
        secc = walk.board.secc
        assert secc is not None
        trap = CutAfter(walk, boundary)
        secc.reported.subscribe(trap.note)
        first_wh = walk.board.register_wh
        await walk.plug(communication=CommunicationModel(contract=pki.contract("valid"), **MODEL))
        await walk.until(lambda: trap.cut is not None, within_s=120)
        assert trap.cut is not None
        await trap.cut
        await walk.advance(5)
        await walk.application.restore_power()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2, within_s=300)
        await walk.advance(90)
        await walk.unplug(ev_side=True)
        await walk.until(lambda: walk.evse.state.transaction is None)
        last_wh = walk.board.register_wh
        await walk.until(lambda: of_type(walk, "Started").keys() == of_type(walk, "Ended").keys(), within_s=300)
        began, ended = of_type(walk, "Started"), of_type(walk, "Ended")
        assert began, "the vehicle has charged"
        assert len([event for event in walk.events() if event["eventType"] != "Updated"]) == 2 * len(began)
        billed_wh = sum(register_of(ended[each], "End") - register_of(began[each], "Begin") for each in began)
        assert billed_wh > 0.0
        assert billed_wh == pytest.approx(last_wh - first_wh, abs=0.01)
