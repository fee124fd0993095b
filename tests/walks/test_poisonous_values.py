"""Poisonous values in every field of every message of the CSMS: no station fails, stops charging, or loses an event.

`make test` plays a sample, `make fuzz` all. A failure names its cases: `--fuzz-case NAME` plays them alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.examples import plays_all
from tests.fuzz.play import AnswerPlayer, Player, Tally, answer_cases, request_cases, setting_cases
from tests.fuzz.poison import Case, missing_objects
from tests.fuzz.valid import ANSWERS, REFUSED, REQUESTS
from tests.walks.test_tls import Authority

_SAMPLE = {"request": (4, 40), "setting": (1, 100), "answer": (2, 15)}
"""by kind of case: tests, and cases in each, of `make test`"""
_CASES_OF_A_TEST = 100
"""of `make fuzz`"""
_SETTINGS = 3_300
"""cases of the settings, of which only a running station knows the number"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the cases over tests that can run side by side."""
    marker = metafunc.definition.get_closest_marker("fuzz")
    if marker is None:
        return
    (kind,) = marker.args
    tests, _ = _SAMPLE[kind]
    if plays_all() and metafunc.config.getoption("--fuzz-case") is None:
        counts = {"request": len(request_cases()), "setting": _SETTINGS, "answer": len(answer_cases())}
        tests = -(-counts[kind] // _CASES_OF_A_TEST)
    metafunc.parametrize("part", [pytest.param((number, tests), id=str(number)) for number in range(tests)])


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """A root certificate of an authority, as PEM."""
    return Authority(tmp_path, "root").file.read_text()


def _selected(cases: Sequence[Case], part: tuple[int, int], request: pytest.FixtureRequest) -> list[Case]:
    """Return the cases of one test: its part of all cases, or of the sample, in random order."""
    number, tests = part
    text: str | None = request.config.getoption("--fuzz-case")
    if text is not None:
        return [case for case in cases if text in case.name][number::tests]
    shuffled = random.Random(request.config.getoption("--fuzz-seed")).sample(cases, len(cases))
    if not plays_all():
        marker = request.node.get_closest_marker("fuzz")
        del shuffled[tests * _SAMPLE[marker.args[0]][1] :]
    return shuffled[number::tests]


def _check(tally: Tally, request: pytest.FixtureRequest) -> None:
    print(tally.summary)  # noqa: T201  # pytest -rP shows it
    seed = request.config.getoption("--fuzz-seed")
    faults = "\n\n".join(tally.faults)
    assert not tally.faults, (
        f"{len(tally.faults)} faults; the cases of --fuzz-seed {seed}, each with --fuzz-case:\n{faults}"
    )


@pytest.mark.fuzz("request")
async def test_every_request_is_answered_and_none_that_is_accepted_hurts_a_charge_or_a_restart(
    tmp_path: Path, certificate: str, part: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    cases = _selected(request_cases(), part, request)
    _check(await Player(tmp_path, certificate).play(cases), request)


@pytest.mark.fuzz("setting")
async def test_every_text_in_every_variable_is_answered_and_none_hurts_a_charge_or_a_restart(
    tmp_path: Path, certificate: str, part: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    cases = _selected(await setting_cases(tmp_path / "variables"), part, request)
    _check(await Player(tmp_path, certificate).play(cases), request)


@pytest.mark.fuzz("answer")
async def test_no_answer_to_a_request_of_the_station_hurts_a_charge_or_a_restart(
    tmp_path: Path, certificate: str, part: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    cases = _selected(answer_cases(), part, request)
    _check(await AnswerPlayer(tmp_path, certificate).play(cases), request)


@pytest.mark.parametrize("action", REQUESTS)
def test_every_object_of_a_request_is_in_one_of_its_examples(action: str) -> None:
    first, *further = (set(missing_objects(f"{action}Request", example)) for example in REQUESTS[action])
    assert first.intersection(*further) == set()


@pytest.mark.parametrize("action", ANSWERS)
def test_every_object_of_an_answer_is_in_its_example(action: str) -> None:
    assert missing_objects(f"{action}Response", ANSWERS[action]) == []


async def test_the_examples_without_poison_are_accepted(tmp_path: Path, certificate: str) -> None:
    """Otherwise a poisonous value is refused for another reason."""
    cases = [
        Case(f"{action}Request", number, (), "as it is", json.dumps(example))
        for action, examples in REQUESTS.items()
        for number, example in enumerate(examples)
    ]
    tally = await Player(tmp_path, certificate, restarts=False).play(cases)
    assert tally.faults == []
    assert {(case.action, case.example) for case in cases if case not in tally.accepted} == REFUSED
