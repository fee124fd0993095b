"""Vehicles that communicate, end to end: sessions, contracts, schedules, links that are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.communication_model import CommunicationModel
from simulator.pki.v2g_pki import TestPki
from station.charging.vehicle_state import Communication
from station.core.model import ChargingState
from tests.walk import Walk, walking

SECC: dict[str, Any] = {"evse": [{"secc": {"type": "simulated"}}]}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("pki"))


async def install_roots(walk: Walk, pki: TestPki) -> None:
    """The CSMS installs the roots of V2G and mobility operator."""
    for kind, name in (("V2GRootCertificate", "v2g-root"), ("MORootCertificate", "mo-root")):
        answer = await walk.csms.call(
            "InstallCertificate", {"certificateType": kind, "certificate": pki.authorities[name].pem}
        )
        assert answer == {"status": "Accepted"}


async def test_a_vehicle_with_a_contract_charges_without_a_card(tmp_path: Path, pki: TestPki) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await walk.plug(communication=CommunicationModel(contract=pki.contract("valid")))
        await walk.until(lambda: walk.evse.state.charging_state is ChargingState.CHARGING)
        assert walk.evse.state.vehicle.communication is Communication.SESSION
        (authorize,) = walk.csms.received("Authorize")
        assert authorize["idToken"] == {"idToken": "FRBRNC00000001X", "type": "eMAID"}
        assert len(authorize["iso15118CertificateHashData"]) == 3
        assert walk.csms.received("NotifyEVChargingNeeds")
        await walk.until(lambda: sum(walk.board.currents_a) > 90)
