"""`borne sim` against a station: what it lists, reads and does, and how it says that something is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.routing import Route

from borne.composition.simulated import world_of
from simulator.api_client import ACTIONS, ApiConnection, SimulatorRequestError, listing, send_action, with_contract
from simulator.pki.contracts import read_contract
from simulator.pki.v2g_pki import TestPki
from station.configuration.installation_file import load_configuration
from station.core.vehicle_link import Contract
from station.interfaces.application import build_application
from station.security.access.accounts import Role
from tests.command_line import Outcome, invoke
from tests.patience import PATIENCE_S, until
from tests.walk import CARD, Walk, walking


async def sim(walk: Walk, name: str, body: object = None, method: str | None = None) -> str:
    """Call the function of `borne sim`, as the command does in a process of its own."""
    api = ApiConnection(f"http://127.0.0.1:{walk.web.port}")
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    return await asyncio.to_thread(send_action, api, name, text, method)


async def refusal(walk: Walk, name: str, body: object = None) -> str:
    """Return the message with which `borne sim` refuses a command."""
    with pytest.raises(SimulatorRequestError) as refused:
        await sim(walk, name, body)
    return str(refused.value)


async def test_every_action_of_the_api_is_listed_and_every_listed_one_exists(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        routes = [
            candidate
            for candidate in build_application(walk.application.further_routes).routes
            if isinstance(candidate, Route)
        ]
        api_actions = {
            (method, re.sub(r"\{\w+\}", "1", route.path.removeprefix("/api/sim/")))
            for route in routes
            if route.path.startswith("/api/sim/")
            for method in route.methods or ()
        }
    listed = {(action.method, action.name) for action in ACTIONS if action.name != "status"}
    assert listed == api_actions - {("HEAD", "evses/1/circuit")}
    assert all(f"borne sim {action.name}" in listing() for action in ACTIONS)
    assert all(json.loads(action.body) for action in ACTIONS if action.body)


async def test_it_reads_and_acts_and_finds_the_method_of_any_path(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert json.loads(await sim(walk, "status"))["identity"] == "BORNE-TEST"
        assert json.loads(await sim(walk, "/api/status"))["identity"] == "BORNE-TEST"
        assert json.loads(await sim(walk, "/api/load-management/limits/user", {"current_a": 9}))["accepted"]
        assert walk.parts.load.limits.shared["user"].current_a == 9.0
        await sim(walk, "evses/1/plug")
        await sim(walk, "/api/evses/1/token", {"id_token": CARD.value})
        await walk.charging()
        assert "currents_a" in await sim(walk, "evses/1/circuit")
        await sim(walk, "faults", {"code": "ground-fault"})
        await walk.settle()
        assert walk.evse.state.observation.faults
        await sim(walk, "faults", {"code": "ground-fault"}, "DELETE")
        await walk.settle()
        assert not walk.evse.state.observation.faults


async def test_it_plugs_in_a_vehicle_with_a_contract_and_leads_its_session(tmp_path: Path) -> None:
    pki = TestPki.create(tmp_path / "pki")
    contract = read_contract(tmp_path / "pki" / "contracts" / "valid.pem")
    async with walking(tmp_path, evse=[{"secc": {"type": "simulated"}}]) as walk:
        await walk.accepted()
        for use, pem in pki.vehicle_roots.items():
            await sim(walk, "certificates", {"type": use, "pem": pem}, "PUT")
        await sim(walk, "evses/1/plug", with_contract('{"ev": {"iso15118": {"departs_in_s": 3600}}}', contract))
        await walk.charging()
        assert walk.evse.state.authorization is not None
        assert walk.evse.state.authorization.id_token.value == contract.emaid
        offers = len(walk.csms.received("NotifyEVChargingNeeds"))
        await sim(walk, "evses/1/vehicle", {"session": "renegotiate"})
        await walk.until(lambda: len(walk.csms.received("NotifyEVChargingNeeds")) == offers + 1)
        await sim(walk, "evses/1/vehicle", {"session": "hang"})
        await sim(walk, "evses/1/vehicle", {"secc": "stop"})
        await walk.until(lambda: not walk.evse.state.vehicle.linked)
        await sim(walk, "evses/1/vehicle", {"secc": "start"})
        await walk.until(lambda: walk.evse.state.vehicle.linked)


def test_a_contract_needs_a_vehicle_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(SimulatorRequestError, match=r"^--contract: the body must be an object"):
        with_contract("[]", Contract("FRBRNC00000001X", "chain"))
    with pytest.raises(SimulatorRequestError, match=r"^--contract: the body must be an object"):
        with_contract('{"ev": 1}', Contract("FRBRNC00000001X", "chain"))
    missing = invoke(["sim", "evses/1/plug", "--contract", str(tmp_path / "none.pem")])
    assert missing.exit_code == 2
    assert missing.stderr.endswith("none.pem: No such file or directory\n")


async def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Not in the JSON that programs get."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await refusal(walk, "evses/9/plug") == "the station rejects the request: EVSE 9 does not exist"
        assert await refusal(walk, "fly") == "the station has no route /api/sim/fly; `borne sim` lists the actions"
        message = await refusal(walk, "evses/1/plug", {"ev": {"phases": 4}})
        assert message == "the station rejects the request: ev.phases: must be 1, 2 or 3"
        assert await refusal(walk, "evses/1/plug", {"car": 1}) == "the station rejects the request: car: is not known"
        assert await refusal(walk, "faults") == "the station rejects the request: code: is missing"
        with pytest.raises(SimulatorRequestError, match=r"^the station allows only GET(, HEAD)? at /api/status$"):
            await sim(walk, "status", method="DELETE")
        assert (await refusal(walk, "grid", "{")).startswith("the body is not valid JSON: ")
        assert (await refusal(walk, "évses/é b")).startswith("the station has no route /api/sim/")
    assert re.fullmatch(
        r"cannot connect to a station at http://127\.0\.0\.1:\d+: Connection refused", await _unanswered()
    )
    with pytest.raises(SimulatorRequestError, match="--url: must be an address"):
        send_action(ApiConnection("nonsense"), "status")


async def _unanswered() -> str:
    with pytest.raises(SimulatorRequestError) as refused:
        await asyncio.to_thread(send_action, ApiConnection("http://127.0.0.1:9"), "status")
    return str(refused.value)


def stopped_clock(walk: Walk) -> AbstractContextManager[None]:
    """Let no virtual time pass during the block, even if the clock is to be advanced."""
    return world_of(walk.application.hardware).clock.outside_wait(10 * PATIENCE_S)


async def test_advancing_the_clock_has_no_time_limit_of_its_own_and_shows_its_progress(tmp_path: Path) -> None:
    printed: list[str] = []
    async with walking(tmp_path) as walk:
        await walk.accepted()
        api = ApiConnection(f"http://127.0.0.1:{walk.web.port}", show_progress=printed.append)
        before_s = walk.application.clock.monotonic()
        with stopped_clock(walk):  # the response waits until the progress has been shown
            request = asyncio.create_task(asyncio.to_thread(send_action, api, "clock", '{"advance_s": 36000}'))
            await until(lambda: printed)
        assert json.loads(await request)["monotonic_s"] >= before_s + 36_000
    assert re.fullmatch(r"[\d,]+ of 36,000 s", printed[0])
    assert printed[-1] == ""


async def test_a_response_that_takes_longer_than_the_timeout_is_reported_as_such(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        api = ApiConnection(f"http://127.0.0.1:{walk.web.port}", timeout_s=0.2)
        with (
            stopped_clock(walk),
            pytest.raises(
                SimulatorRequestError, match=r" within 0.2 s, and may still process the request; see --timeout"
            ),
        ):
            await asyncio.to_thread(send_action, api, "clock", '{"advance_s": 36000}')


async def test_it_signs_in_with_an_access_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from another machine: this one trusts nobody by the address."""
    async with walking(tmp_path, http={"trust_loopback": False}) as walk:
        await walk.accepted()
        await walk.parts.access.accounts.set_password(Role.OWNER, "a password of the owner")
        token = await walk.parts.access.create_token("bench", Role.SERVICE, timedelta(days=1))
        url = f"http://127.0.0.1:{walk.web.port}"
        order = ["sim", "faults", '{"code": "ground-fault"}', "--url", url]

        async def run(*more: str) -> Outcome:
            return await asyncio.to_thread(invoke, [*order, *more])

        refused = await run()
        assert refused.exit_code == 2
        assert refused.stderr.endswith("; sign in with an access token: --token or BORNE_TOKEN\n")
        assert (await run("--token", "wrong")).exit_code == 2
        assert (await run("--token", "a\nb")).stderr.startswith("the access token is not valid")
        assert (await run("--token", token)).exit_code == 0
        monkeypatch.setenv("BORNE_TOKEN", token)
        assert (await run("--method", "DELETE")).exit_code == 0
        assert load_configuration(_minimal_file(tmp_path), os.environ), "the variable is no key of the file"


def _minimal_file(folder: Path) -> Path:
    file = folder / "station.toml"
    file.write_text('[station]\nidentity = "A"\n', encoding="utf-8")
    return file
