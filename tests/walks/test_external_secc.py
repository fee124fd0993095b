"""An SECC in a process of its own: charges over its socket, deaths at every line, silence, floods and lies."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from simulator.communication_model import CommunicationModel
from simulator.pki.v2g_pki import TestPki
from simulator.secc_server import SeccServer
from station.charging.vehicle_state import Communication
from station.core.model import ChargingState
from station.devices.secc.secc_protocol import MAX_LINES, VERSION, HelloAnswer
from tests.examples import plays_all
from tests.loop_turns import measured_turns
from tests.walk import Walk, walking

CHARGING = ChargingState.CHARGING
EIM = CommunicationModel()
LINES_OF_A_CHARGE = 30
"""lines, in both directions, until the energy flows and some more: each death is at one of them"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def external(tmp_path: Path) -> AsyncGenerator[tuple[Walk, SeccServer]]:
    """A station whose SECC is served on a socket by the simulated one."""
    socket = str(tmp_path / "secc.sock")
    async with walking(tmp_path, evse=[{"secc": {"type": "external", "socket": socket}}]) as walk:
        assert walk.board.secc is not None
        server = SeccServer(walk.board.secc, 1, socket)
        await server.start()
        try:
            await walk.accepted()
            for action, status in (("NotifyEVChargingNeeds", "Rejected"), ("NotifyEVChargingSchedule", "Accepted")):
                walk.csms.answers[action] = lambda _, status=status: {"status": status}
            await linked(walk)
            yield walk, server
        finally:
            await server.stop()


async def leave(walk: Walk) -> None:
    """The driver ends the charge and unplugs; the CSMS has the end."""
    answer = await walk.csms.call("RequestStopTransaction", {"transactionId": walk.evse.transaction_id})
    assert answer == {"status": "Accepted"}
    await walk.until(lambda: walk.evse.state.transaction is None)
    await walk.unplug()


async def linked(walk: Walk) -> None:
    await walk.until(lambda: walk.evse.state.vehicle.linked, within_s=120)


async def charging(walk: Walk) -> None:
    await walk.until(
        lambda: walk.evse.state.charging_state is CHARGING and sum(walk.board.currents_a) > 1.0, within_s=120
    )


def events_of(walk: Walk) -> list[tuple[str, str]]:
    """Type and transaction of each event that the CSMS has received."""
    return [
        (event["eventType"], event["transactionInfo"]["transactionId"])
        for event in walk.csms.received("TransactionEvent")
    ]


async def test_a_vehicle_charges_by_an_secc_on_a_socket(tmp_path: Path) -> None:
    async with external(tmp_path) as (walk, _):
        await walk.plug(communication=EIM)
        await walk.present()
        await charging(walk)
        assert walk.evse.state.vehicle.communication is Communication.SESSION
        assert walk.csms.received("NotifyEVChargingNeeds")


async def test_a_killed_secc_ends_no_charge_and_serves_the_next_vehicle(tmp_path: Path) -> None:
    async with external(tmp_path) as (walk, server):
        await walk.plug(communication=EIM)
        await walk.present()
        await charging(walk)
        transaction = walk.evse.transaction_id
        await server.stop()
        await walk.until(lambda: walk.evse.state.vehicle.communication is Communication.BASIC)
        await charging(walk)
        await server.start()
        await linked(walk)
        assert walk.evse.transaction_id == transaction
        await leave(walk)
        await walk.plug(communication=EIM)
        await walk.present()
        await charging(walk)
        assert walk.evse.state.vehicle.communication is Communication.SESSION


async def test_a_silent_secc_is_left_and_the_charge_goes_on(tmp_path: Path) -> None:
    async with external(tmp_path) as (walk, server):
        await walk.plug(communication=EIM)
        await walk.present()
        await charging(walk)
        server.faults.silent = True
        await walk.until(lambda: not walk.evse.state.vehicle.linked, within_s=60)
        await charging(walk)
        assert [kind for kind, _ in events_of(walk)].count("Ended") == 0


BROKEN = {
    "no JSON": (b"energy\n", "malformed"),
    "an unknown event": (b'{"event":"session_begun"}\n', "session_begun"),
    "a wrong type": (b'{"event":"state_of_charge","soc":"full"}\n', "$.soc"),
    "out of its bounds": (b'{"event":"state_of_charge","soc":7}\n', "$.soc"),
    "no text": (b'{"event":"session_started","evccid":"\xff\xfe"}\n', "utf-8"),
    "nested too deeply": (b"[" * 60_000 + b"\n", "line of the SECC"),
    "a line of 1 MiB": (b"x" * 1_048_576 + b"\n", "more than 65536 bytes"),
    "a flood": (b'{"event":"pong","number":1}\n' * (MAX_LINES + 1), f"more than {MAX_LINES} lines"),
    "hello again": (b'{"event":"hello","version":1,"evse":1}\n', "twice"),
    "a chain of 1 MiB": (
        b'{"event":"authorization_requested","contract":{"emaid":"X","chain":"' + b"A" * 60_000 + b'"}}\n',
        "$.contract.chain",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_secc_that_breaks_the_protocol_is_left_with_its_fault_in_the_log(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, said = BROKEN[name]
    async with external(tmp_path) as (walk, server):
        await walk.plug(communication=EIM)
        await walk.present()
        await charging(walk)
        server.send_raw(data)
        await walk.until(lambda: not walk.evse.state.vehicle.linked)
        await charging(walk)
        assert said in caplog.text
        await linked(walk)


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (HelloAnswer(VERSION, 2), "evse: the SECC serves EVSE 2 on the socket of EVSE 1"),
        (HelloAnswer(VERSION + 1, 1), f"version: the SECC speaks {VERSION + 1}"),
    ],
)
async def test_an_secc_of_another_evse_or_version_is_not_used(
    tmp_path: Path, hello: HelloAnswer, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with external(tmp_path) as (walk, server):
        server.faults.hello = hello
        server.disconnect()
        await walk.until(lambda: said in caplog.text, within_s=60)
        assert not walk.evse.state.vehicle.linked
        server.faults.hello = None
        await linked(walk)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`make test` plays one seed of the deaths, `make fuzz` all six: 300 charges."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(6 if plays_all() else 1))


@pytest.mark.fuzz
async def test_deaths_at_any_line_lose_and_double_no_transaction(tmp_path: Path, seed: int, pki: TestPki) -> None:
    """50 charges: the SECC dies at a random line of each, at the begin, in the middle or never; some come back."""
    chance = random.Random(seed)
    async with external(tmp_path) as (walk, server):
        for name, kind in (("v2g-root", "V2GRootCertificate"), ("mo-root", "MORootCertificate")):
            pem = pki.authorities[name].pem
            answer = await walk.csms.call("InstallCertificate", {"certificateType": kind, "certificate": pem})
            assert answer == {"status": "Accepted"}
        for _ in range(50):
            await linked(walk)
            server.disconnect_after(chance.randrange(1, LINES_OF_A_CHARGE))
            model: dict[str, Any] = {"contract": pki.contract("valid")} if chance.random() < 0.5 else {}
            await walk.plug(communication=CommunicationModel(**model))
            await walk.advance(chance.choice((0.0, 1.0, 5.0, 30.0)))
            assert walk.evse.state.authorization is not None or sum(walk.board.currents_a) == 0.0
            if walk.evse.state.authorization is None:
                await walk.present()
            if chance.random() < 0.3:
                server.disconnect_after(None)
            await charging(walk)
            await leave(walk)
        await walk.until(lambda: [kind for kind, _ in events_of(walk)].count("Ended") == 50, within_s=120)
        began = [transaction for kind, transaction in events_of(walk) if kind == "Started"]
        ended = [transaction for kind, transaction in events_of(walk) if kind == "Ended"]
        assert len(set(began)) == 50
        assert began == ended
        assert server.disconnections >= 25, "most charges have seen a death"


@pytest.mark.parametrize("chains", [1_000, 150])
async def test_a_thousand_chains_hold_the_loop_for_less_than_20_ms(tmp_path: Path, chains: int, pki: TestPki) -> None:
    """Real chains in the wrong order; those above the bound cost the SECC its connection, and none authorizes."""
    chain = json.dumps(pki.contract("wrong-chain").chain).encode()
    line = b'{"event":"authorization_requested","contract":{"emaid":"FRBRNC00000006X","chain":' + chain + b"}}\n"
    async with external(tmp_path) as (walk, server):
        await walk.plug(communication=CommunicationModel(contract=pki.contract("wrong-chain")))
        await walk.until(lambda: walk.evse.state.vehicle.communication is Communication.SESSION)
        with measured_turns() as turns:
            server.send_raw(line * chains)
            if chains > 400:
                await walk.until(lambda: not walk.evse.state.vehicle.linked)
            await walk.advance(5)
        assert max(turns) < 0.020
        assert walk.evse.state.authorization is None
        assert sum(walk.board.currents_a) == 0.0
