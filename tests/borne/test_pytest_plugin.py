"""The fixtures of the pytest plugin, and the documented example."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from borne.scenarios.bench_station import BenchOptions, BenchStation
from foundation.json_values import object_of
from simulator.scenarios.bench import StepFailedError
from simulator.scenarios.driving import DEFAULT_CARD

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 0.3


async def test_a_station_is_driven_and_observed(borne_station: BenchStation) -> None:
    await borne_station.plug()
    await borne_station.expect(
        "TransactionEvent", {"transactionInfo": {"transactionId": "${transaction}"}}, eventType="Started"
    )
    await borne_station.card()
    await borne_station.check("evse", {"charging_state": "Charging"})
    await borne_station.wait(3600)
    assert (await borne_station.call("ClearCache"))["status"] in {"Accepted", "Rejected"}
    await borne_station.card()
    ended = await borne_station.expect(
        "TransactionEvent", {"transactionInfo": {"transactionId": "${transaction}"}}, eventType="Ended", within_s=60
    )
    assert object_of(ended.payload)["idToken"] == {"idToken": DEFAULT_CARD, "type": "ISO14443"}
    with pytest.raises(StepFailedError, match="expected Authorize"):
        await borne_station.expect("Authorize", within_s=1)


async def test_further_stations_have_identities_of_their_own(
    borne_fleet: Callable[[int], Awaitable[list[BenchStation]]],
) -> None:
    await borne_fleet(1)
    began = time.process_time()
    stations = await borne_fleet(3)
    assert (time.process_time() - began) / 3 <= READY_WITHIN_S, "processor time of one more station"
    assert len({station.identity for station in stations}) == 3
    for station in stations:
        await station.plug()
        await station.expect("TransactionEvent", eventType="Started")


class TestOptions:
    """A station in real time, with a second EVSE."""

    @pytest.fixture
    def borne_options(self) -> BenchOptions:
        """Options of the tests of this class."""
        return BenchOptions(identity="MINE-{n}", time="real", station={"evse": [{"id": 1}, {"id": 2}]})

    async def test_options_hold(self, borne_station: BenchStation) -> None:
        assert borne_station.identity.startswith("MINE-")
        await borne_station.plug(evse=2)
        event = await borne_station.expect("TransactionEvent", evse={"id": 2}, within_s=30)
        assert object_of(event.payload)["eventType"] == "Started"


def test_the_documented_example_passes_and_a_failed_test_shows_the_messages(pytester: pytest.Pytester) -> None:
    text = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    failing = found[1].replace('eventType="Started"', 'eventType="Ended", within_s=1')
    pytester.makepyfile(test_passes=found[1], test_fails=failing)
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    run.assert_outcomes(passed=1, failed=1)
    run.stdout.fnmatch_lines(
        ["*borne station BENCH-*", "1. the CSMS accepts the station: passed", "*TransactionEvent*"]
    )
