"""Vehicles that hang, break off, are unplugged or lose their SECC at a random message lose no transaction."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from simulator.communication_model import CommunicationModel
from simulator.pki.v2g_pki import TestPki
from station.core.vehicle_link import VehicleEvent
from tests.examples import plays_all
from tests.walk import Walk, walking
from tests.walks.test_vehicles import SECC, install_roots, secc_of

CHARGES = 50
MESSAGES_OF_A_CHARGE = 9
KINDS = ("hang", "fail", "unplug", "secc", "secc that comes back")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("pki"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`make test` plays one seed, `make fuzz` all six: 300 charges."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(6 if plays_all() else 1))


class Death:
    """Lets the vehicle or its SECC fail right after one of its messages."""

    def __init__(self, walk: Walk, kind: str, message: int) -> None:
        self.happened = False
        self._walk = walk
        self._kind = kind
        self._left = message
        self.end = secc_of(walk).reported.subscribe(self._note)

    def _note(self, _: VehicleEvent) -> None:
        self._left -= 1
        if self._left == 0:
            self._walk.world.clock.call_later(0.0, self._happen)

    def _happen(self) -> None:
        secc, board = secc_of(self._walk), self._walk.board
        if board.vehicle is None or secc.evcc is None:
            return
        self.happened = True
        match self._kind:
            case "hang":
                secc.evcc.hang()
            case "fail":
                secc.evcc.fail()
            case "unplug":
                board.unplug(keep_cable=True)
            case _:
                secc.stop()
                if self._kind == "secc that comes back":
                    self._walk.world.clock.call_later(3.0, secc.start)


async def pass_time(walk: Walk, seconds: float) -> None:
    """Let time pass, and check each second that no energy flows without an authorization."""
    for _ in range(int(seconds)):
        await walk.advance(1.0)
        assert walk.evse.state.authorization is not None or sum(walk.board.currents_a) == 0.0


@pytest.mark.fuzz
async def test_deaths_at_any_message_lose_and_double_no_transaction(tmp_path: Path, seed: int, pki: TestPki) -> None:
    chance, deaths = random.Random(seed), 0
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        for _ in range(CHARGES):
            await walk.until(lambda: walk.evse.state.vehicle.linked)
            death = Death(walk, chance.choice(KINDS), chance.randrange(1, MESSAGES_OF_A_CHARGE))
            contract = pki.contract("valid") if chance.random() < 0.5 else None
            await walk.plug(communication=CommunicationModel(contract=contract, reports_soc=True))
            await pass_time(walk, chance.choice((2, 5, 30)))
            if walk.evse.state.authorization is None and walk.board.vehicle is not None:
                await walk.present()
            await pass_time(walk, chance.choice((5, 40, 90)))
            death.end()
            deaths += death.happened
            if walk.board.vehicle is not None:
                walk.board.unplug(keep_cable=True)
            await walk.until(lambda: walk.evse.state.transaction is None and not walk.board.locked, within_s=120)
            if walk.evse.state.observation.cable_plugged:
                walk.board.unplug()
            secc_of(walk).start()
            await walk.advance(2.0)
        await walk.until(lambda: not walk.parts.outbox.waiting, within_s=120)
        events = walk.events()
        began = [event["transactionInfo"]["transactionId"] for event in events if event["eventType"] == "Started"]
        ended = [event["transactionInfo"]["transactionId"] for event in events if event["eventType"] == "Ended"]
        assert len(set(began)) == len(began)
        assert began == ended
        assert len(began) >= CHARGES
        for transaction in began:
            numbers = [event["seqNo"] for event in events if event["transactionInfo"]["transactionId"] == transaction]
            assert numbers == list(range(len(numbers)))
        assert deaths >= CHARGES // 2, "most charges have seen a death"
