"""`borne sim` against a station: what it lists, reads and does, and how it says that something is wrong."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from starlette.routing import Route

from simulator.api_client import ACTIONS, SimulatorRequestError, listing, send_action
from station.interfaces.application import build_application
from tests.walk import CARD, Walk, walking


async def sim(walk: Walk, name: str, body: object = None, method: str | None = None) -> str:
    """Call the command's function, as the command does in a process of its own."""
    api = f"http://127.0.0.1:{walk.web.port}"
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    return await asyncio.to_thread(send_action, api, name, text, method)


async def refusal(walk: Walk, name: str, body: object = None) -> str:
    """What is said in place of an answer."""
    with pytest.raises(SimulatorRequestError) as refused:
        await sim(walk, name, body)
    return str(refused.value)


async def test_every_action_of_the_api_is_listed_and_every_listed_one_exists(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        routes = [one for one in build_application(walk.application.further_routes).routes if isinstance(one, Route)]
        there = {
            (method, re.sub(r"\{\w+\}", "1", route.path.removeprefix("/api/sim/")))
            for route in routes
            if route.path.startswith("/api/sim/")
            for method in route.methods or ()
        }
    listed = {(one.method, one.name) for one in ACTIONS if one.name != "status"}
    assert listed == there - {("HEAD", "evses/1/circuit")}
    assert all(f"borne sim {one.name}" in listing() for one in ACTIONS)
    assert all(json.loads(one.body) for one in ACTIONS if one.body)


async def test_it_reads_and_acts_and_finds_the_method_of_any_path(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert json.loads(await sim(walk, "status"))["identity"] == "BORNE-TEST"
        assert json.loads(await sim(walk, "/api/status"))["identity"] == "BORNE-TEST"
        assert json.loads(await sim(walk, "/api/load-management/limits/user", {"current_a": 9}))["accepted"]
        assert walk.parts.load.controller.shared_limits["user"].current_a == 9.0
        await sim(walk, "evses/1/plug")
        await sim(walk, "/api/evses/1/token", {"id_token": CARD.value})
        await walk.charging()
        assert "currents_a" in await sim(walk, "evses/1/circuit")
        await sim(walk, "faults", {"code": "ground-fault"})
        await walk.settle()
        assert walk.evse.state.seen.faults
        await sim(walk, "faults", {"code": "ground-fault"}, "DELETE")
        await walk.settle()
        assert not walk.evse.state.seen.faults


async def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Not in the JSON that programs get."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await refusal(walk, "evses/9/plug") == "the station rejects the request: EVSE 9 does not exist"
        assert await refusal(walk, "fly") == "the station has no route /api/sim/fly; `borne sim` lists the actions"
        told = await refusal(walk, "evses/1/plug", {"ev": {"phases": 4}})
        assert told == "the station rejects the request: ev.phases: must be 1, 2 or 3"
        assert await refusal(walk, "evses/1/plug", {"car": 1}) == "the station rejects the request: car: is not known"
        assert await refusal(walk, "faults") == "the station rejects the request: code: is missing"
        with pytest.raises(SimulatorRequestError, match=r"^the station allows only GET(, HEAD)? at /api/status$"):
            await sim(walk, "status", method="DELETE")
        assert (await refusal(walk, "grid", "{")).startswith("the body is not valid JSON: ")
        assert (await refusal(walk, "évses/é b")).startswith("the station has no route /api/sim/")
    assert re.fullmatch(
        r"cannot connect to a station at http://127\.0\.0\.1:\d+: Connection refused", await _unanswered()
    )
    with pytest.raises(SimulatorRequestError, match="--api: must be an address"):
        send_action("nonsense", "status")


async def _unanswered() -> str:
    with pytest.raises(SimulatorRequestError) as refused:
        await asyncio.to_thread(send_action, "http://127.0.0.1:9", "status")
    return str(refused.value)
