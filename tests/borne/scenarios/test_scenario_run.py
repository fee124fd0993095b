"""Scenarios that fail, that a CSMS cannot play, that are interrupted, and their reports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from borne.commands import scenario as commands
from borne.composition.station_assembly import event_loop_at
from borne.scenarios.scenario_run import RunOptions, ScenarioRun
from foundation.clock import machine_time
from simulator.csms.csms import DemoCsms
from simulator.scenarios import reports
from simulator.scenarios.scenario_file import load_scenario
from simulator.scenarios.verdicts import ScenarioVerdict, Verdict
from station.interfaces.http.connection_limits import connection_limits
from station.interfaces.http.server import WebServer
from tests.borne.scenarios.played import played
from tests.command_line import invoke
from tests.markdown_blocks import blocks_of
from tests.patience import PATIENCE_S
from tests.project import ROOT
from tests.walk import walking

PLUG_AND_CARD = "[[step]]\nplug = {}\n[[step]]\ncard = {}\n"
STARTED = '[[step]]\nexpect.action = "TransactionEvent"\nexpect.payload.eventType = "Started"\n'


def written(folder: Path, text: str, name: str = "case.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_step_that_fails_says_what_was_expected_what_came_and_the_messages_around_it(tmp_path: Path) -> None:
    text = PLUG_AND_CARD + STARTED.replace('"Started"', '"Ended"') + "expect.within_s = 3\n[[step]]\nunplug = {}\n"
    (verdict,) = played([written(tmp_path, text)])
    assert verdict.verdict is Verdict.FAILED
    failed = verdict.failed_step
    assert failed is not None
    assert (failed.number, failed.line) == (4, 5)
    assert failed.reason == verdict.reason
    assert failed.reason.startswith('expected TransactionEvent {"eventType": "Ended"}, but 3 TransactionEvent came')
    assert 'eventType: expected "Ended", was "Updated"' in failed.reason
    assert any("→ TransactionEvent" in line for line in failed.messages)
    assert 3.0 <= failed.station_s < 4.0
    assert [step.verdict for step in verdict.steps] == [Verdict.PASSED] * 3 + [Verdict.FAILED, Verdict.NOT_RUN]
    lines = list(reports.lines_of(verdict))
    assert lines[1].strip().startswith(f"{tmp_path}/case.toml:5: step 4: expect TransactionEvent")


def test_an_unwanted_message_and_a_wrong_state_fail(tmp_path: Path) -> None:
    unwanted = PLUG_AND_CARD + STARTED + '[[step]]\nexpect_none.action = "TransactionEvent"\nexpect_none.for_s = 90\n'
    state = PLUG_AND_CARD + '[[step]]\ncheck.values.offered_a = "> 100"\ncheck.within_s = 2\n'
    first, second = played([written(tmp_path, unwanted), written(tmp_path, state, "state.toml")], RunOptions(jobs=2))
    assert "expected no TransactionEvent, but it came" in first.reason
    assert second.reason.startswith("evse: offered_a: expected > 100, was ")
    assert first.identity != second.identity


def test_a_refused_request_fails_and_an_expected_refusal_passes(tmp_path: Path) -> None:
    refused = '[[step]]\nrequest.path = "/api/sim/selector"\nrequest.body = { position = "7" }\n'
    (verdict,) = played([written(tmp_path, refused)])
    assert verdict.reason.startswith("expected success, was 422")
    (verdict,) = played([written(tmp_path, refused + "request.status = 422\n")])
    assert verdict.verdict is Verdict.PASSED


def test_what_the_csms_cannot_be_told_is_not_run(tmp_path: Path) -> None:
    text = '[[step]]\ncsms_answers.action = "Heartbeat"\n[[step]]\nwait.seconds = 1\n'

    async def play() -> ScenarioVerdict:
        csms = DemoCsms(machine_time)
        async with csms.listening():
            run = ScenarioRun([load_scenario(written(tmp_path, text))], RunOptions(csms_url=csms.url))
            await run.run(lambda _: None)
        return run.verdicts[0]

    with asyncio.Runner(loop_factory=event_loop_at(0.0)) as runner:
        verdict = runner.run(play())
    assert (verdict.verdict, verdict.reason) == (Verdict.NOT_RUN, "nobody can choose how this CSMS answers Heartbeat")
    assert verdict.csms.startswith("ws://")
    assert not reports.all_passed([verdict])


def test_a_csms_that_never_answers_ends_in_time_with_a_verdict(tmp_path: Path) -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def play() -> ScenarioVerdict:
        async with serve(silent, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp2.0.1")]) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            options = RunOptions(csms_url=f"ws://127.0.0.1:{port}")
            run = ScenarioRun([load_scenario(written(tmp_path, "[scenario]\nlimit_s = 1\n" + PLUG_AND_CARD))], options)
            await run.run(lambda _: None)
        return run.verdicts[0]

    with asyncio.Runner(loop_factory=event_loop_at(0.0)) as runner:
        verdict = runner.run(play())
    assert (verdict.verdict, verdict.reason) == (Verdict.FAILED, "took longer than scenario.limit_s, 1 s")
    assert verdict.real_s < 20.0


def test_a_csms_that_floods_ends_in_time_with_a_verdict(tmp_path: Path) -> None:
    """It accepts the station, then sends requests without an end, and reads none of the answers."""

    async def flooding(connection: ServerConnection) -> None:
        boot = json.loads(await connection.recv())
        accepted = {"currentTime": machine_time().isoformat(), "interval": 60, "status": "Accepted"}
        await connection.send(json.dumps([3, boot[1], accepted]))
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send('[2,"f","ClearCache",{}]')

    async def play() -> ScenarioVerdict:
        async with serve(
            flooding, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp2.0.1")], close_timeout=0.1
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            options = RunOptions(csms_url=f"ws://127.0.0.1:{port}")
            text = "[scenario]\nlimit_s = 1\n" + PLUG_AND_CARD + STARTED.replace("Started", "Ended")
            run = ScenarioRun([load_scenario(written(tmp_path, text))], options)
            await run.run(lambda _: None)
        return run.verdicts[0]

    with asyncio.Runner(loop_factory=event_loop_at(0.0)) as runner:
        verdict = runner.run(play())
    assert verdict.verdict is Verdict.FAILED
    assert verdict.real_s < PATIENCE_S


def test_an_interrupt_ends_what_is_played_with_a_verdict(tmp_path: Path) -> None:
    long = written(tmp_path, "[[step]]\nwait.seconds = 800000\n")
    run = ScenarioRun([load_scenario(long), load_scenario(long)], RunOptions(jobs=1))

    async def play() -> bool:
        asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), signal.SIGINT)
        return await run.run(lambda _: None)

    with asyncio.Runner(loop_factory=event_loop_at(0.0)) as runner:
        assert not runner.run(play())
    assert [verdict.verdict for verdict in run.verdicts] == [Verdict.NOT_RUN, Verdict.NOT_RUN]
    assert run.verdicts[0].reason == "was interrupted"
    assert run.verdicts[1].reason == "was interrupted before its begin"


def test_a_python_scenario_uses_the_same_words(tmp_path: Path) -> None:
    text = """
from simulator.api.driver import SimulatedEv

SCENARIO = {"name": "in Python"}
STATION = {"evse": [{"max_current_a": 10}]}

async def scenario(bench):
    await bench.plug(SimulatedEv(phases=1))
    await bench.card()
    started = await bench.expect("TransactionEvent", {"eventType": "Started"})
    assert started.sender == "station"
    evse = await bench.check("evse", {"charging_state": "Charging", "offered_a": "<= 10"})
    assert evse["transaction_id"] == started.payload["transactionInfo"]["transactionId"]
    answer = await bench.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    assert answer == {"status": "Accepted"}
    await bench.expect("Heartbeat", sender="station")
"""
    (verdict,) = played([written(tmp_path, text, "case.py")])
    assert verdict.verdict is Verdict.PASSED, verdict.reason
    assert verdict.name == "in Python"
    assert len(verdict.steps) == 7
    (verdict,) = played([written(tmp_path, text.replace("assert answer ==", 'assert {}["no"] =='), "broken.py")])
    assert (verdict.verdict, verdict.reason) == (Verdict.FAILED, "KeyError: 'no'")


def test_the_documented_python_scenario_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    (block,) = (block for block in blocks_of("docs/scenarios.md", page) if block.language == "python")
    (verdict,) = played([written(tmp_path, block.text, "slow.py")])
    assert verdict.verdict is Verdict.PASSED, verdict.reason
    assert "'eventType': 'Started'" in capsys.readouterr().out


def test_a_scenario_in_real_time_takes_it(tmp_path: Path) -> None:
    text = '[scenario]\ntime = "real"\n' + PLUG_AND_CARD + STARTED + "[[step]]\nwait.seconds = 1\n"
    (verdict,) = played([written(tmp_path, text)])
    assert verdict.verdict is Verdict.PASSED, verdict.reason
    assert verdict.time == "real"
    assert verdict.real_s >= 1.0


def test_the_command_plays_checks_lists_and_writes_reports(tmp_path: Path) -> None:
    file, junit, html = tmp_path / "first.toml", tmp_path / "out.xml", tmp_path / "out.html"
    assert invoke(["scenario", "init", str(file)]).exit_code == 0
    assert invoke(["scenario", "init", str(file)]).exit_code == 2
    assert f"{file}: ok: A card, a charge, a bill" in invoke(["scenario", "check", str(file)]).stdout
    listed = invoke(["scenario", "list"]).stdout
    assert "boot-pending" in listed
    bad = written(tmp_path, PLUG_AND_CARD + "[[step]]\ncheck.values.plugged = false\ncheck.within_s = 1\n", "bad.toml")
    result = invoke(["scenario", "run", "boot-rejected", str(bad), "--junit", str(junit), "--html", str(html)])
    assert result.exit_code == 1
    assert "✓ Boot: Rejected" in result.stdout
    assert "2 scenarios: 1 passed, 1 failed" in result.stdout
    root = ElementTree.parse(junit).getroot()
    assert [suite.get("failures") for suite in root.iter("testsuite")] == ["0", "1"]
    (failure,) = root.iter("failure")
    assert failure.get("message") == "evse: plugged: expected false, was true"
    page = html.read_text(encoding="utf-8")
    assert "1 passed, 1 failed" in page
    assert "evse: plugged: expected false, was true" in page
    assert invoke(["scenario", "run", "no-such-scenario"]).exit_code == 2
    assert invoke(["scenario", "run"]).exit_code == 2
    assert commands.COMMANDS.keys() == {f"scenario {name}" for name in ("run", "check", "init", "list", "record")}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--value", "x"], "must be NAME=TEXT (is x)"),
        (["--identity", "{m}"], "may have no other placeholder than {n}"),
        (["--jobs", "0"], "must be 1 to 200 (is 0)"),
        (["--junit", "/no/such/folder/out.xml"], "--junit: /no/such/folder: is no folder"),
        (["--installation", "/no/such/file"], "/no/such/file: cannot be read"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], sentence: str) -> None:
    result = invoke(["scenario", "run", "boot-pending", *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr


async def test_a_running_station_is_played_with_and_left_as_it_was_found(tmp_path: Path) -> None:
    """Charges end, vehicles leave, link and power are back; what the station or its CSMS cannot do is not run."""
    left = written(tmp_path, PLUG_AND_CARD + STARTED + '[[step]]\nlink.state = "down"\n', "left.toml")
    other = written(tmp_path, PLUG_AND_CARD + STARTED + '[[step]]\npower.action = "loss"\n', "other.toml")
    bill = written(tmp_path, PLUG_AND_CARD + "[[step]]\ncheck.of = 'bill'\ncheck.values.ended = true\n", "bill.toml")
    own = written(tmp_path, "[[station.evse]]\n[[step]]\nplug = {}\n", "own.toml")
    async with walking(tmp_path / "storage", reader=[{"type": "simulated", "name": "reader"}]) as walk:
        await walk.accepted()
        options = RunOptions(station_url=f"http://127.0.0.1:{walk.web.port}")
        run = ScenarioRun([load_scenario(file) for file in (left, other, bill, own)], options)
        assert await run.run(lambda _: None)
        kinds = [verdict.verdict for verdict in run.verdicts]
        assert kinds == [Verdict.PASSED, Verdict.PASSED, Verdict.NOT_RUN, Verdict.NOT_RUN], [
            one.reason for one in run.verdicts
        ]
        assert run.verdicts[2].reason == "nobody can read the bills of this CSMS"
        assert run.verdicts[3].reason == "it has a table [station], and the station runs already"
        assert {verdict.identity for verdict in run.verdicts[:3]} == {"BORNE-TEST"}
        assert walk.application.running
        assert walk.board.vehicle is None
        assert walk.world.clock.rate == 0.0
        await walk.until(lambda: walk.stack.link.online)


@pytest.mark.parametrize(("body", "status"), [("<html>", 200), ('{"detail": "sign in"}', 401), ('{"clock": 5}', 200)])
async def test_an_address_that_is_no_station_fails_with_its_answer(tmp_path: Path, body: str, status: int) -> None:
    async def answer(_: object) -> Response:
        return Response(body, status)

    server = WebServer("127.0.0.1", 0, connection_limits(tls=False))
    server.bind()
    async with asyncio.TaskGroup() as group:
        application = Starlette(routes=[Route("/{path:path}", answer)])
        serving = group.create_task(server.run(lambda: application, None))
        file = written(tmp_path, PLUG_AND_CARD)
        run = ScenarioRun([load_scenario(file)], RunOptions(station_url=f"http://127.0.0.1:{server.port}"))
        assert await run.run(lambda _: None)
        serving.cancel()
    assert run.verdicts[0].verdict is Verdict.FAILED
    assert run.verdicts[0].reason.startswith(f"GET /api/status ({status}) is not answered as by a station: ")


def test_in_real_time_the_waits_of_the_steps_come_on_top_of_the_limit(tmp_path: Path) -> None:
    file = written(tmp_path, '[scenario]\ntime = "real"\nlimit_s = 2\n[[step]]\nwait.seconds = 4\n')
    run = ScenarioRun([load_scenario(file)], RunOptions())
    with asyncio.Runner(loop_factory=event_loop_at(0.0)) as runner:
        runner.run(run.run(lambda _: None))
    (verdict,) = run.verdicts
    assert (verdict.verdict, verdict.time) == (Verdict.PASSED, "real")
    assert verdict.real_s >= 4.0
