"""What a person does with a station becomes a scenario that passes when it is played again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from borne.composition.station_assembly import event_loop_at
from borne.scenarios.bench_station import BenchOptions, BenchStations
from borne.scenarios.local_station import LocalStations
from foundation.json_values import object_of
from simulator.api.driver import SimulatedEv
from simulator.scenarios.bench import Bench
from simulator.scenarios.scenario_file import load_scenario
from simulator.scenarios.verdicts import Verdict
from tests.borne.scenarios.played import played

EVSES = {"evse": [{"id": 1, "phases": 3}, {"id": 2, "phases": 1}]}


async def _clicked(bench: Bench) -> str:
    """Drive a station as people do, on its page and by its CSMS; returns what was recorded."""
    await bench.request("POST", "/api/sim/recording")
    await bench.wait(3)
    await bench.plug(SimulatedEv(phases=1, max_current_a=16.0))
    await bench.wait(5)
    await bench.request("POST", "/api/evses/1/token", {"id_token": "04A3B2C1D5E680"})
    started = await bench.expect("TransactionEvent", eventType="Started", within_s=20)
    await bench.wait(40)
    await bench.plug(evse=2)
    await bench.call("TriggerMessage", {"requestedMessage": "Heartbeat"}, answer={"status": "Accepted"})
    await bench.wait(200)
    identity = object_of(object_of(started.payload)["transactionInfo"])["transactionId"]
    await bench.call("RequestStopTransaction", {"transactionId": identity}, answer={"status": "Accepted"})
    await bench.wait(10)
    await bench.request("POST", "/api/sim/network", {}, status=405)
    await bench.unplug(evse=1)
    await bench.unplug(evse=2)
    await bench.wait(10)
    await bench.drive("power", {"action": "cycle"})
    await bench.wait(30)
    text = await bench.request("GET", "/api/sim/recording/scenario")
    await bench.request("DELETE", "/api/sim/recording")
    await bench.request("GET", "/api/sim/recording/scenario", status=409)
    assert isinstance(text, str)
    return text


async def _recorded() -> str:
    with LocalStations().open() as stations:
        async with BenchStations(stations).running(BenchOptions(station=EVSES)) as bench:
            return await _clicked(bench)


def test_what_was_clicked_and_seen_is_a_scenario_that_passes(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=event_loop_at(0.0)) as runner:
        text = runner.run(_recorded())
    file = tmp_path / "recorded.toml"
    evses = "\n".join(f"[[station.evse]]\nid = {evse['id']}\nphases = {evse['phases']}" for evse in EVSES["evse"])
    file.write_text(f"{text}\n{evses}\n", encoding="utf-8")
    scenario = load_scenario(file)
    words = [step.word for step in scenario.steps]
    assert [word for word in words if word not in ("wait", "expect_all")] == [
        "plug",
        "request",
        "plug",
        "call",
        "call",
        "unplug",
        "unplug",
        "power",
    ]
    assert text.count("${transaction1}") == 2  # captured, and in the request of the CSMS
    (verdict,) = played([file])
    assert verdict.verdict is Verdict.PASSED, (verdict.reason, text)
    changed = tmp_path / "changed.toml"
    changed.write_text(file.read_text().replace('eventType = "Ended"', 'eventType = "Updated"'), encoding="utf-8")
    (verdict,) = played([changed])
    assert verdict.verdict is Verdict.FAILED
