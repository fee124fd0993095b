"""Reservations by the local API: the owner's, where no CSMS is configured, and what others see of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from station.charging.tokens.admission import TokenOutcome
from station.core.model import ConnectorStatus
from station.security.access.accounts import Role
from tests.csms import Csms
from tests.walk import CARD, OTHER_CARD, configuration, powered, walking
from tests.walks.reservations import reserve
from tests.walks.steps import present_at
from tests.walks.test_access import away, enter, give_password
from tests.walks.visit import visiting


async def test_the_owner_reserves_for_a_card_and_cancels_where_there_is_no_csms(tmp_path: Path) -> None:
    async with powered(configuration(tmp_path, None), Csms()) as walk, visiting(walk) as api:
        name = await walk.parts.cards.add(CARD, "Anna")
        await walk.parts.cards.add(OTHER_CARD, "Ben")
        reservation = await api.post("/api/evses/1/reservation", {"card": name, "for_s": 3600}, status=201)
        listed = await api.get("/api/reservations")
        assert listed["by_owner"] is True
        (row,) = listed["reservations"]
        assert row == {
            "id": reservation["id"],
            "evse": 1,
            "connector_type": None,
            "id_token": "04A3…80",
            "card": "Anna",
            "group": False,
            "expires_at": reservation["expires_at"],
        }
        evse = await api.evse()
        assert (evse["connector_status"], evse["reserved_until"]) == ("Reserved", reservation["expires_at"])
        assert evse["reservation"] == {"id": 1, "id_token": "04A3…80", "expires_at": reservation["expires_at"]}
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.REJECTED
        refused = await api.post("/api/evses/1/reservation", {"card": name, "for_s": 60}, status=409)
        assert refused["detail"] == "EVSE 1 is occupied or reserved"
        await api.delete("/api/evses/1/reservation")
        assert (await api.evse())["connector_status"] == "Available"
        assert (await api.client.delete("/api/evses/1/reservation")).status_code == 404
        await api.post("/api/evses/1/reservation", {"card": name, "for_s": 3600}, status=201)
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED
        assert (await api.get("/api/reservations"))["reservations"] == []


async def test_a_removed_card_loses_its_reservation(tmp_path: Path) -> None:
    async with powered(configuration(tmp_path, None), Csms()) as walk, visiting(walk) as api:
        name = await walk.parts.cards.add(CARD, "Anna")
        await api.post("/api/evses/1/reservation", {"card": name, "for_s": 3600}, status=201)
        await api.delete(f"/api/cards/{name}")
        assert walk.evse.connector_status is ConnectorStatus.AVAILABLE
        assert walk.parts.reservations.pending == ()


async def test_an_expired_reservation_of_the_owner_leaves_nothing_behind(tmp_path: Path) -> None:
    """Nobody has to be notified."""
    async with powered(configuration(tmp_path, None), Csms()) as walk, visiting(walk) as api:
        name = await walk.parts.cards.add(CARD, "Anna")
        await api.post("/api/evses/1/reservation", {"card": name, "for_s": 60}, status=201)
        await walk.advance(61)
        assert walk.evse.connector_status is ConnectorStatus.AVAILABLE
        assert await walk.parts.reservations.oldest_unreported() is None
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert walk.parts.reservations.pending == ()


async def test_bad_input_is_named(tmp_path: Path) -> None:
    async with powered(configuration(tmp_path, None), Csms()) as walk, visiting(walk) as api:
        name = await walk.parts.cards.add(CARD, "Anna")
        bodies: tuple[tuple[Mapping[str, Any], str], ...] = (
            ({"card": name, "for_s": 59}, "for_s"),
            ({"card": name, "for_s": 8 * 86_400}, "for_s"),
            ({"for_s": 60}, "card"),
            ({"card": name, "for_s": 60, "evse": 1}, "evse"),
        )
        for body, field in bodies:
            answer = await api.post("/api/evses/1/reservation", body, status=422)
            assert answer["detail"][0]["loc"][-1] == field
        await api.post("/api/evses/1/reservation", {"card": "nobody", "for_s": 60}, status=404)
        await api.post("/api/evses/2/reservation", {"card": name, "for_s": 60}, status=404)


async def test_with_a_csms_the_owner_sees_reservations_and_makes_none(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        name = await walk.parts.cards.add(OTHER_CARD, "Ben")
        assert await reserve(walk, number=7, evseId=1) == "Accepted"
        listed = await api.get("/api/reservations")
        assert (listed["by_owner"], [row["id"] for row in listed["reservations"]]) == (False, [7])
        refused = await api.post("/api/evses/1/reservation", {"card": name, "for_s": 60}, status=409)
        assert "operator" in refused["detail"]
        assert (await api.client.delete("/api/evses/1/reservation")).status_code == 409


async def test_strangers_and_drivers_see_until_when_and_not_for_whom(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await give_password(walk, Role.DRIVER, Role.OWNER)
        assert await reserve(walk, evseId=1) == "Accepted"
        expires_at = walk.parts.reservations.pending[0].expires_at.isoformat()
        for role in (None, Role.DRIVER, Role.OWNER):
            async with away(walk) as client:
                if role is not None:
                    await enter(client, role.label)
                (evse,) = (await client.get("/api/status")).json()["evses"]
                assert evse["reserved_until"] == expires_at
                assert ("reservation" in evse) is (role is Role.OWNER)
                listed = await client.get("/api/reservations")
                assert listed.status_code == (200 if role is Role.OWNER else 401 if role is None else 403)


async def test_metrics_and_the_event_stream_have_the_status(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await reserve(walk, evseId=1)
        metrics = (await api.client.get("/metrics")).text
        assert 'borne_connector_status{evse="1",status="Reserved"} 1.0' in metrics
