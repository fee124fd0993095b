"""The owner says who is served first where not all can charge at once; that outlives a restart, not a factory reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.vehicle import VehicleModel
from station.load.shared_limits import LimitRequest, LimitSetter
from tests.csms import Rule, running_csms
from tests.walk import CARD, OTHER_CARD, Walk, configuration, powered, walking
from tests.walks.steps import tx_points
from tests.walks.visit import visiting

EVSES = [{"id": 1}, {"id": 2, "priority": 1}]
SCARCE = {"current_a": 10.0, "for_s": 80_000.0}


async def offered_a(walk: Walk) -> list[float]:
    """Return the offered current of each EVSE, after the next decision."""
    await walk.advance(2)
    return [evse.offered_a for evse in walk.parts.station.evses.values()]


async def test_the_higher_number_is_served_first_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=EVSES) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.put("/api/load-management/limits/user", SCARCE)
        for evse_id, card in ((1, CARD), (2, OTHER_CARD)):
            await api.post(f"/api/sim/evses/{evse_id}/plug", {"ev": {"phases": 3}})
            await api.post(f"/api/evses/{evse_id}/token", {"id_token": card.value, "type": card.type})
        assert await offered_a(walk) == [0.0, 10.0]
        assert (await api.get("/api/load-management"))["priorities"] == {"1": 0, "2": 1}
        await api.put("/api/load-management/priorities/1", {"priority": 2})
        assert await offered_a(walk) == [10.0, 0.0]
        refused = await api.client.put("/api/load-management/priorities/1", json={"priority": 10})
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "priority"])
        assert (await api.client.put("/api/load-management/priorities/3", json={"priority": 1})).status_code == 404
        await api.post("/api/sim/power", {"action": "cycle"})
        await walk.accepted()
        assert (await api.get("/api/load-management"))["priorities"] == {"1": 2, "2": 1}
        await walk.parts.load.priorities.forget()
        await api.post("/api/sim/power", {"action": "cycle"})
        await walk.accepted()
        assert (await api.get("/api/load-management"))["priorities"] == {"1": 0, "2": 1}


async def test_a_charge_that_a_fault_holds_up_leaves_its_share_to_the_others(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=EVSES) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.put("/api/load-management/limits/user", SCARCE)
        for evse_id, card in ((1, CARD), (2, OTHER_CARD)):
            await api.post(f"/api/sim/evses/{evse_id}/plug", {"ev": {"phases": 3}})
            await api.post(f"/api/evses/{evse_id}/token", {"id_token": card.value, "type": card.type})
        await walk.advance(20)
        assert await offered_a(walk) == [0.0, 10.0]
        walk.world.fail_meter(2, True)
        await walk.advance(20)
        assert await offered_a(walk) == [10.0, 0.0]
        walk.world.fail_meter(2, False)
        await walk.advance(20)
        assert await offered_a(walk) == [0.0, 10.0]


def _rule_with_priorities(of_token: int | None, of_transaction: int | None = None) -> Rule:
    """Return an answer rule with charging priorities for the token and the transaction of CARD."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if (card := request.get("idToken")) is None or card["idToken"] != CARD.value:
            return {"idTokenInfo": {"status": "Accepted"}} if card is not None else {}
        info = {"status": "Accepted"} | ({"chargingPriority": of_token} if of_token is not None else {})
        of_this = {"chargingPriority": of_transaction} if of_transaction is not None and "seqNo" in request else {}
        return {"idTokenInfo": info} | of_this

    return answer


@pytest.mark.parametrize(
    ("of_token", "of_transaction", "served"),
    [(None, None, 2), (-9, None, 2), (2, None, 1), (-1, 2, 1), (9, -1, 2), (None, 99, 1)],
)
@pytest.mark.parametrize("point", ["Authorized", "EnergyTransfer"])
async def test_the_csms_raises_and_lowers_a_charge_beside_what_the_owner_has_said(
    tmp_path: Path, of_token: int | None, of_transaction: int | None, served: int, point: str
) -> None:
    """IdTokenInfoType and TransactionEventResponse: default 0, the higher is more important, the latter overrules."""
    async with running_csms() as csms:
        csms.answers["Authorize"] = csms.answers["TransactionEvent"] = _rule_with_priorities(of_token, of_transaction)
        rows = tx_points(point, "EVConnected")
        config = configuration(tmp_path, csms.url, evse=EVSES, variable=rows)
        async with powered(config, csms) as walk, visiting(walk) as api:
            await walk.accepted()
            await walk.parts.shared_limits.set_limit(LimitSetter.USER, LimitRequest(current_a=20.0, for_s=80_000.0))
            for evse_id, card in ((1, CARD), (2, OTHER_CARD)):
                walk.world.boards[evse_id].plug(VehicleModel())
                await walk.settle()
                await walk.until(walk.parts.station.present_token(card, evse_id).done)
            await walk.advance(10)
            await walk.parts.shared_limits.set_limit(LimitSetter.USER, LimitRequest(current_a=10.0, for_s=80_000.0))
            await walk.until(lambda: [e.offered_a > 0.0 for e in walk.parts.station.evses.values()].count(True) == 1)
            assert walk.parts.station.evses[served].offered_a == 10.0
            assert (await api.get("/api/load-management"))["priorities"] == {"1": 0, "2": 1}


async def test_what_the_csms_says_of_one_transaction_does_not_hold_for_the_next(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        priorities = walk.parts.load.priorities
        priorities.set_csms_priority(1, "one", 5, overrules=True)
        priorities.set_csms_priority(1, "one", -5, overrules=False)
        assert priorities.of_charge(1, "one", 0) == 5
        assert priorities.of_charge(1, "two", -3) == -3
        priorities.set_csms_priority(1, "two", 1, overrules=False)
        assert priorities.of_charge(1, "two", -3) == 1
