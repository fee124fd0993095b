"""A factory reset by the service: contactors first, bills stay, people and settings go; and the printed label."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any, cast

import pytest

from station.maintenance.factory_reset import FactoryReset
from station.security.access.accounts import Role
from station.storage.database import StorageError
from tests.patience import until
from tests.walk import Walk, walking
from tests.walks.commissioned import commission, try_step
from tests.walks.steps import listed, token, tx_points
from tests.walks.visit import TOKEN, Api, visiting

REQUIRED = {"identity": "BORNE-TEST", "serial_number": "0001", "commissioning": "required"}
CODE = "ABCD-EFGH-JKLM"


async def test_a_reset_opens_the_contactor_keeps_the_bill_and_forgets_people_and_settings(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"station": REQUIRED, "http": {"installer_code": CODE}}
    async with walking(tmp_path, **tables) as walk, visiting(walk) as api:
        await walk.accepted()
        await commission(api)
        await api.post("/api/activation")
        await walk.parts.access.ensure_loaded()
        await walk.parts.access.accounts.set_password(Role.OWNER, "correct horse battery")
        before = walk.application.parts
        answer = await api.client.patch("/api/commissioning/settings", json={"protection": {"shunt_trip": "hold"}})
        assert answer.status_code == 202, answer.text
        await walk.until(lambda: walk.application.running and walk.application.parts is not before)
        update = {"updateType": "Full", "versionNumber": 3, "localAuthorizationList": [listed(token())]}
        assert (await walk.csms.call("SendLocalList", update))["status"] == "Accepted"
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        await walk.advance(60)
        charging = walk.application.parts
        unconfirmed = await api.client.post("/api/factory-reset", json={"confirm": "yes"})
        assert unconfirmed.status_code == 422
        assert walk.application.parts is charging
        await reset_while_time_passes(walk, api, status=202)
        assert sum(walk.board.currents_a) == 0
        await walk.until(lambda: walk.application.running and walk.application.parts is not charging)
        assert (await api.get("/api/commissioning"))["stage"] == "not-commissioned"
        assert await api.get("/api/commissioning/settings") == {}
        assert all(step["outcome"] is None for step in await api.get("/api/commissioning/steps"))
        assert (await api.client.get("/api/commissioning/report.pdf")).status_code == 404
        await walk.parts.access.ensure_loaded()
        assert not walk.parts.access.accounts.has_any_password
        assert walk.parts.access.accounts.label_code_is_unused(Role.INSTALLER)
        assert await api.get("/api/auth/list") == {"version": 0, "entries": 0, "tokens": []}
        *_, charge = (await api.get("/api/transactions"))[
            "transactions"
        ]  # a later one: the vehicle is still plugged in
        assert (charge["stopped_reason"], charge["energy_wh"] > 0.0) == ("Local", True)
        event_texts = [event["info"] for event in await api.get("/api/security-events")]
        assert "factory reset by this machine" in event_texts


async def test_a_reset_ends_a_transaction_that_waits_for_its_vehicle_to_leave(tmp_path: Path) -> None:
    """With EVConnected as the only stop point it outlives the authorization."""
    points = tx_points("EVConnected,Authorized", "EVConnected")
    async with walking(tmp_path, station=REQUIRED, variable=points) as walk, visiting(walk) as api:
        await walk.accepted()
        await commission(api)
        await api.post("/api/activation")
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        await api.post("/api/evses/1/stop")
        await walk.until(lambda: not walk.evse.state.observation.contactor_closed)
        assert walk.evse.transaction_id is not None
        before = walk.application.parts
        await reset_while_time_passes(walk, api, status=202)
        await walk.until(lambda: walk.application.running and walk.application.parts is not before)


async def test_a_contactor_that_does_not_open_keeps_no_other_evse_charging(tmp_path: Path) -> None:
    """Nobody charges, although the reset is refused."""
    two = [{"id": 1}, {"id": 2}]
    async with walking(tmp_path, station=REQUIRED, evse=two) as walk, visiting(walk) as api:
        await walk.accepted()
        await commission(api)
        await api.post("/api/activation")
        for evse_id in (1, 2):
            await api.post(f"/api/sim/evses/{evse_id}/plug", {"ev": {"phases": 1}})
            await api.post(f"/api/evses/{evse_id}/token", TOKEN)
            await walk.until(
                lambda evse_id=evse_id: walk.parts.station.evses[evse_id].state.observation.contactor_closed
            )
        walk.board.welded = True
        await reset_while_time_passes(walk, api, status=409)
        assert not walk.parts.station.evses[2].state.observation.contactor_closed


async def test_a_contactor_that_does_not_open_forbids_the_reset(tmp_path: Path) -> None:
    async with walking(tmp_path, station=REQUIRED) as walk, visiting(walk) as api:
        await walk.accepted()
        await commission(api)
        await api.post("/api/activation")
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        parts = walk.parts
        walk.board.welded = True
        refusal = await reset_while_time_passes(walk, api, status=409)
        assert "contactor" in refusal["detail"]
        assert walk.application.parts is parts.parts


async def test_after_a_reset_the_shunt_trip_is_to_be_tried_again(tmp_path: Path) -> None:
    async with walking(tmp_path, station=REQUIRED, protection={"shunt_trip": "pulse"}) as walk, visiting(walk) as api:
        await walk.accepted()
        trying = asyncio.create_task(walk.parts.residual.test_shunt_trip())
        await walk.until(trying.done)
        before = walk.application.parts
        await reset_while_time_passes(walk, api, status=202)
        await walk.until(lambda: walk.application.running and walk.application.parts is not before)
        result = await try_step(api, step="shunt-trip", tripped=True)
        assert result["reason"] == "energise the shunt trip first"


async def test_a_reset_that_the_disk_broke_off_is_completed_by_another_one(tmp_path: Path) -> None:
    """Everything is deleted again, in the same order; the security log tells of a complete reset only."""
    async with walking(tmp_path, station=REQUIRED) as walk:
        await walk.accepted()
        deleted: list[str] = []
        full_disks = [OSError(errno.ENOSPC, "No space left on device")]

        async def people() -> None:
            deleted.append("people")

        async def report() -> None:
            if full_disks:
                raise full_disks.pop()
            deleted.append("report")

        async def site_settings() -> None:
            deleted.append("site settings")

        parts = walk.parts
        clears = (people, report, site_settings)
        reset = FactoryReset(parts.station, parts.activation, clears, parts.security_events, parts.clock)
        with pytest.raises(StorageError, match="not all data could be deleted: No space left on device"):
            await reset.reset("the service")
        assert deleted == ["people"]
        assert not [entry for entry in await parts.security_events.entries() if "factory reset" in (entry.info or "")]
        await reset.reset("the service")
        assert deleted == ["people", "people", "report", "site settings"]
        event_texts = [entry.info for entry in await parts.security_events.entries()]
        assert event_texts.count("factory reset by the service") == 1


async def reset_while_time_passes(walk: Walk, api: Api, *, status: int) -> dict[str, Any]:
    """Request a factory reset, and advance the time until it is answered."""
    body = {"confirm": "FACTORY-RESET"}
    request = asyncio.create_task(api.post("/api/factory-reset", body, status=status, settled=False))
    await until(request.done, meanwhile=lambda: walk.advance(0.5))
    return cast("dict[str, Any]", await request)


async def test_the_label_shows_the_code_only_while_it_is_good(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"station": REQUIRED, "http": {"installer_code": CODE}}
    async with walking(tmp_path, **tables) as walk, visiting(walk) as api:
        await walk.accepted()
        plain = (await api.client.get("/api/label.svg")).text
        assert "BORNE-TEST" in plain
        assert "http://BORNE-TEST.local:" in plain
        assert CODE not in plain
        assert CODE in (await api.client.get("/api/label.svg?code=true")).text
        await commission(api)
        assert (await api.client.get("/api/label.svg?code=true")).status_code == 409
