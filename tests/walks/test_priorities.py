"""The owner says who is served first where not all can charge at once; that outlives a restart, not a factory reset."""

from __future__ import annotations

from pathlib import Path

from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.visit import visiting

EVSES = [{"id": 1}, {"id": 2, "priority": 1}]
SCARCE = {"current_a": 10.0, "for_s": 80_000.0}


async def offered(walk: Walk) -> list[float]:
    """Amperes per EVSE, once it is decided."""
    await walk.advance(2)
    return [evse.offered_a for evse in walk.life.station.evses.values()]


async def test_the_higher_number_is_served_first_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=EVSES) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.put("/api/load-management/limits/user", SCARCE)
        for evse_id, card in ((1, CARD), (2, OTHER_CARD)):
            await api.post(f"/api/sim/evses/{evse_id}/plug", {"ev": {"phases": 3}})
            await api.post(f"/api/evses/{evse_id}/token", {"id_token": card.value, "type": card.type})
        assert await offered(walk) == [0.0, 10.0]
        assert (await api.get("/api/load-management"))["priorities"] == {"1": 0, "2": 1}
        await api.put("/api/load-management/priorities/1", {"priority": 2})
        assert await offered(walk) == [10.0, 0.0]
        refused = await api.client.put("/api/load-management/priorities/1", json={"priority": 10})
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "priority"])
        assert (await api.client.put("/api/load-management/priorities/3", json={"priority": 1})).status_code == 404
        await api.post("/api/sim/power", {"action": "cycle"})
        await walk.accepted()
        assert (await api.get("/api/load-management"))["priorities"] == {"1": 2, "2": 1}
        await walk.life.load.priorities.forget()
        await api.post("/api/sim/power", {"action": "cycle"})
        await walk.accepted()
        assert (await api.get("/api/load-management"))["priorities"] == {"1": 0, "2": 1}
