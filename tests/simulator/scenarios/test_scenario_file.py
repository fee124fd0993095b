"""Scenario files: what is wrong is named with file, line and key before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.scenarios.scenario_file import Scenario, load_scenario
from simulator.scenarios.shipped_scenarios import EXAMPLE, find_file, shipped_files
from station.core.installation_file.document import ConfigurationError

STEP = "[[step]]\nplug = {}\n"


def load(folder: Path, text: str, name: str = "case.toml") -> Scenario:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return load_scenario(file)


def errors(folder: Path, text: str, name: str = "case.toml") -> list[str]:
    """The sentences about a file, without its folder."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, name)
    return [sentence.replace(f"{folder}/", "") for sentence in caught.value.sentences]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "case.toml:1: step: is missing: each thing that a scenario does or expects is a [[step]]"),
        ("[scenari]\n" + STEP, "case.toml:1: scenari: is not a known table (did you mean scenario?)"),
        ('[scenario]\ntimer = "real"\n' + STEP, "case.toml:2: scenario.timer: is not a known key (did you mean time?)"),
        ('[scenario]\ntime = "fast"\n' + STEP, "case.toml:2: scenario.time: must be 'simulated' or 'real'"),
        ("[values]\nn = 5\n" + STEP, "case.toml:2: values.n: must be text in quotes"),
        ("[[step]]\nplugg = {}\n", "case.toml:2: step[0].plugg: is not a known word (did you mean plug?)"),
        (
            "[[step]]\nnote = 'x'\n",
            "case.toml:1: step[0]: must have exactly one word, such as plug, card or expect (has none)",
        ),
        (
            "[[step]]\nplug = {}\ncard = {}\n",
            "case.toml:1: step[0]: must have exactly one word, such as plug, card or expect (has plug, card)",
        ),
        ("[[step]]\nnote = 5\nplug = {}\n", "case.toml:2: step[0].note: must be text in quotes"),
        (
            "[[step]]\nplug.ev.phase = 3\n",
            "case.toml:2: step[0].plug.ev.phase: is not a known key (did you mean phases?)",
        ),
        ("[[step]]\nplug.ev.soc = 2\n", "case.toml:2: step[0].plug.ev.soc: must be less than or equal to 1"),
        ("[[step]]\nexpect.within_s = 5\n", "case.toml:2: step[0].expect.action: is missing"),
        (
            '[[step]]\nexpect.action = "TransactionEvents"\n',
            "case.toml:2: step[0].expect.action: OCPP 2.0.1 has no such action (did you mean TransactionEvent?)",
        ),
        (
            '[[step]]\nexpect.action = "TransactionEvent"\nexpect.payload.eventTyp = "Started"\n',
            "case.toml:3: step[0].expect.payload.eventTyp: does not exist (did you mean eventType?)",
        ),
        (
            '[[step]]\nexpect.action = "TransactionEvent"\nexpect.payload.eventType = "Startedd"\n',
            'case.toml:3: step[0].expect.payload.eventType: can never be "Startedd" (did you mean Started?)',
        ),
        (
            '[[step]]\nexpect.action = "TransactionEvent"\nexpect.payload.meterValue.timestamp = "*"\n',
            "case.toml:3: step[0].expect.payload.meterValue.timestamp: is a list: its keys are"
            ' "*" (one of the items) or the index of an item',
        ),
        (
            '[[step]]\nexpect.action = "Heartbeat"\nexpect.answer.currenttime = "*"\n',
            "case.toml:3: step[0].expect.answer.currenttime: does not exist (did you mean currentTime?)",
        ),
        (
            '[[step]]\ncall.action = "Reset"\ncall.payload.type = "Later"\n',
            'case.toml:3: step[0].call.payload.type: can never be "Later" (known: Immediate, OnIdle)',
        ),
        (
            '[[step]]\ncheck.values.charging_stat = "Charging"\n',
            "case.toml:2: step[0].check.values.charging_stat: does not exist (did you mean charging_state?)",
        ),
        (
            '[[step]]\ncheck.values.charging_state = "Loading"\n',
            'case.toml:2: step[0].check.values.charging_state: can never be "Loading"'
            " (known: Charging, EVConnected, Idle, SuspendedEV, SuspendedEVSE)",
        ),
        (
            '[[step]]\ncall.action = "RequestStopTransaction"\ncall.payload.transactionId = "${tx}"\n',
            "case.toml:3: step[0].call.payload: ${tx} is not captured by any step before it",
        ),
        (
            '[[step]]\nexpect_none.action = "TransactionEvent"\nexpect_none.payload.eventType = "${x}"\n',
            "case.toml:3: step[0].expect_none.payload: ${x} is not captured by any step before it",
        ),
        (
            "[[step]]\nunplug = {}\n",
            "case.toml:2: step[0].unplug: no step before it has plugged a vehicle in at EVSE 1",
        ),
        (STEP + STEP, "case.toml:4: step[1].plug: a vehicle is plugged in at EVSE 1 already"),
        ('[[step]]\nlink.state = "up"\n', "case.toml:2: step[0].link: the link is up already"),
        ('[[step]]\npower.action = "restore"\n', "case.toml:2: step[0].power: the power is not cut"),
        ('[[step]]\npower.action = "loss"\n' * 2, "case.toml:4: step[1].power: the power is cut already"),
        (
            "[[station.evse]]\n[[step]]\nplug.evse = 2\n",
            "case.toml:3: step[0].plug.evse: EVSE 2 does not exist: the station has 1",
        ),
        (
            "[[station.evse]]\nphase = 3\n" + STEP,
            "case.toml:2: station.evse[0].phase: is not a known key (did you mean phases?)",
        ),
        ("[[step]]\nwait = {}\n", "case.toml:2: step[0].wait: seconds or until: exactly one of them is required"),
        ("[[step]]\nplug = \n", "case.toml:2: is not valid TOML: Invalid value (column 8)"),
    ],
)
def test_a_mistake_is_named_with_line_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    assert errors(tmp_path, text) == [sentence]


def test_all_mistakes_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    text = "[scenario]\ntimer = 1\n[[step]]\nplugg = {}\n[[step]]\nwait.seconds = -1\n"
    assert [sentence.split(": ")[0] for sentence in errors(tmp_path, text)] == [
        "case.toml:2",
        "case.toml:4",
        "case.toml:6",
    ]


def test_captures_of_earlier_steps_values_and_moments_are_known(tmp_path: Path) -> None:
    scenario = load(
        tmp_path,
        """
[values]
token = "A"
[[step]]
expect.action = "TransactionEvent"
expect.payload.transactionInfo.transactionId = "${tx}"
[[step]]
call.action = "ReserveNow"
call.payload = { id = 1, expiryDateTime = "${now+60}", idToken = { idToken = "${token}", type = "Local" } }
[[step]]
call.action = "RequestStopTransaction"
call.payload.transactionId = "${tx}"
""",
    )
    assert [step.word for step in scenario.steps] == ["expect", "call", "call"]
    assert scenario.steps[0].line == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def broken(:\n", "case.py:1: invalid syntax"),
        (
            "import no_such_module\n",
            "case.py: cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("def scenario(bench): ...\n", "case.py: scenario: is missing: `async def scenario(bench: Bench) -> None`"),
        (
            "SCENARIO = {'timer': 'real'}\nasync def scenario(bench): ...\n",
            "case.py:1: SCENARIO.timer: is not a known key (did you mean time?)",
        ),
    ],
)
def test_a_mistake_in_a_python_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    assert errors(tmp_path, text, "case.py") == [sentence]


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    for name in ("no.toml", "no.py"):
        with pytest.raises(ConfigurationError, match=f"{name}: cannot be read"):
            load_scenario(tmp_path / name)


def test_the_example_is_valid_and_shipped_scenarios_are_found_by_name(tmp_path: Path) -> None:
    assert load(tmp_path, EXAMPLE).name == "A card, a charge, a bill"
    assert len(shipped_files()) >= 40
    assert find_file("boot-pending") in shipped_files()
    assert find_file("no-such") == Path("no-such")
    names = [load_scenario(file).name for file in shipped_files()]
    assert len(set(names)) == len(names)
    assert all(load_scenario(file).table.about for file in shipped_files())
