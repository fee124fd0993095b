"""A CSMS that asks and answers nonsense in perfect form: all of it is answered, and nothing of the station fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocpp_handlers.wire.edition import V21, V201, Edition
from tests.csms import CallErrorAnswer, Csms
from tests.walk import Walk, walking
from tests.walks.nonsense import FRACTIONS, MOMENTS, NUMBERS, TEXTS, actions, random_payload
from tests.walks.written_variables import address, reconnected_after

VALUES = (*map(str, NUMBERS), *map(str, FRACTIONS), *TEXTS, *MOMENTS, "true", "false", "1,1", ",")


def _no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Check that nothing was logged with a traceback: that would be an unforeseen error."""
    surprises = [record for record in caplog.records if record.exc_info is not None and record.exc_info[0] is not None]
    assert not surprises, [(record.getMessage(), record.exc_info) for record in surprises]


async def _check_alive(walk: Walk) -> None:
    """Check after an hour that the station is accepted and answers."""
    await walk.advance(3_600)
    await walk.until(lambda: walk.stack.link.online, within_s=600)
    place = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"}}
    answer = await walk.csms.call("GetVariables", {"getVariableData": [place]})
    assert answer["getVariableResult"][0]["attributeStatus"] == "Accepted"


@pytest.mark.parametrize(("seed", "edition"), [(0, V201), (1, V201), (2, V21), (3, V21)])
async def test_every_request_gets_an_answer_and_none_is_an_internal_error(
    tmp_path: Path, seed: int, edition: Edition, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    async with walking(tmp_path, Csms(subprotocol=edition.subprotocol)) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        for action in actions(edition):
            for _ in range(10 if action != "Reset" else 0):  # a reset ends the link: tests/walks/test_reset.py
                payload = random_payload(f"{action}Request", rng, edition)
                answer = await walk.csms.request(action, payload)
                assert answer[0] == 3 or answer[2] != "InternalError", (action, payload, answer)
            await walk.advance(10)
        await _check_alive(walk)
    _no_traceback(caplog)


@pytest.mark.parametrize(("seed", "edition"), [(0, V201), (1, V201), (2, V21), (3, V21)])
async def test_every_variable_that_can_be_written_takes_or_refuses_any_text(
    tmp_path: Path, seed: int, edition: Edition, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    async with walking(tmp_path, Csms(subprotocol=edition.subprotocol)) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        written = [
            candidate
            for candidate in walk.device_model
            if candidate.writable
            and candidate.name != "BasicAuthPassword"
            and edition.includes(candidate.description.since)
        ]
        for variable in written:
            value, item = rng.choice(VALUES), address(variable)
            before = await walk.csms.call("GetVariables", {"getVariableData": [item]})
            answer = await walk.csms.call("SetVariables", {"setVariableData": [address(variable, value)]})
            status = answer["setVariableResult"][0]["attributeStatus"]
            assert status in {"Accepted", "Rejected", "RebootRequired"}, (variable.name, value, answer)
            if status == "Rejected":
                assert before == await walk.csms.call("GetVariables", {"getVariableData": [item]}), variable.name
            else:
                await reconnected_after(walk, variable)
        await _check_alive(walk)
    _no_traceback(caplog)


@pytest.mark.parametrize(("seed", "edition"), [(0, V201), (1, V201), (2, V21), (3, V21)])
async def test_any_answer_is_survived(
    tmp_path: Path, seed: int, edition: Edition, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)

    def nonsense(action: str) -> Callable[[dict[str, Any]], Any]:
        return lambda _: (
            random_payload(f"{action}Response", rng, edition) if rng.random() < 0.8 else CallErrorAnswer("GenericError")
        )

    csms = Csms(subprotocol=edition.subprotocol)
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        usual = dict(csms.answers)
        for action in actions(edition):
            csms.answers[action] = nonsense(action)
        await walk.plug()
        await walk.present()
        await walk.advance(3_600)
        await walk.unplug()
        await walk.advance(600)
        csms.answers.clear()
        csms.answers.update(usual)
        await _check_alive(walk)
    _no_traceback(caplog)
