"""Plays a scenario on a bench, and gives its verdict."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from foundation.supervision import result_or_exception
from simulator.csms.orders import ChosenAnswer
from simulator.scenarios.bench import StepFailedError, StepNotPossibleError
from simulator.scenarios.driving import DEFAULT_CARD
from simulator.scenarios.expectations import ExpectedMessage
from simulator.scenarios.steps import (
    CallStep,
    CheckStep,
    CsmsAnswerStep,
    ExpectAllStep,
    ExpectNoneStep,
    ExpectStep,
    FrameStep,
    MessagePattern,
    RequestStep,
    WaitStep,
)
from simulator.scenarios.verdicts import ScenarioVerdict, StepVerdict, Verdict

if TYPE_CHECKING:
    from simulator.scenarios.bench import Bench
    from simulator.scenarios.scenario_file import Scenario
    from simulator.scenarios.steps import Step
    from station.interfaces.api.dependencies import Command

_DAY_S: Final = 86_400.0


async def play(scenario: Scenario, bench: Bench, verdict: ScenarioVerdict) -> None:
    """Play a scenario to its end, its first failure or its time limit, and complete its verdict.

    If it is cancelled, the verdict says that it was interrupted.
    """
    verdict.steps = bench.verdicts
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    verdict.reason = "was interrupted"
    limit_s, limited_by = scenario.table.limit_s, "scenario.limit_s"
    if verdict.time == "real":  # steps that wait for an hour take an hour
        limit_s += sum(_longest_s(step.table) for step in scenario.steps)
        limited_by += " and the waits of its steps"
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            outcome = await result_or_exception(_played(scenario, bench))
        _judge(verdict, outcome)
    except TimeoutError:
        if not limit.expired():
            raise
        verdict.fail(f"took longer than {limited_by}, {limit_s:g} s")
        if bench.verdicts and bench.verdicts[-1].verdict is Verdict.NOT_RUN:
            bench.verdicts[-1].verdict, bench.verdicts[-1].reason = Verdict.FAILED, verdict.reason
    finally:
        verdict.steps += [_not_run(len(verdict.steps), step) for step in _remaining(scenario, bench)]
        verdict.real_s = loop.time() - begin_s
        verdict.station_s = bench.observer.elapsed_s
        verdict.messages = len(bench.observer.log.messages)
        verdict.misbehaviour = bench.observer.log.misbehaviour


def _longest_s(table: Command) -> float:
    """The longest time that a step lets pass, seconds of the station's clock."""
    match table:
        case WaitStep():
            return table.seconds if table.seconds is not None else _DAY_S
        case ExpectNoneStep():
            return table.for_s
        case ExpectStep() | ExpectAllStep() | CheckStep() | CallStep() | FrameStep():
            return table.within_s
        case _:
            return 0.0


def _judge(verdict: ScenarioVerdict, outcome: Exception | None) -> None:
    match outcome:
        case None:
            verdict.verdict, verdict.reason = Verdict.PASSED, ""
        case StepNotPossibleError():
            verdict.not_possible(str(outcome))
        case StepFailedError():
            verdict.fail(str(outcome))
        case _:  # of the code of a Python file
            verdict.fail(f"{type(outcome).__name__}: {outcome}")


async def _played(scenario: Scenario, bench: Bench) -> None:
    await bench.begin()
    if scenario.play is not None:
        await scenario.play(bench)
    for step in scenario.steps:
        bench.use_source(step.line, step.note)
        await _play_step(step, bench)


def _remaining(scenario: Scenario, bench: Bench) -> tuple[Step, ...]:
    """The steps that were not begun; the first step of a bench is its own."""
    return scenario.steps[max(0, len(bench.verdicts) - 1) :]


def _not_run(number: int, step: Step) -> StepVerdict:
    return StepVerdict(number + 1, step.note or step.word, step.line)


async def _play_step(step: Step, bench: Bench) -> None:
    table = step.table
    match table:
        case WaitStep():
            await (bench.wait(table.seconds) if table.seconds is not None else bench.wait_until(table.until or ""))
        case ExpectStep():
            await bench.expect(
                table.action,
                table.payload,
                answer=table.answer,
                error=table.error,
                sender=table.sender,
                within_s=table.within_s,
            )
        case ExpectAllStep():
            await bench.expect_all([_expected(one) for one in table.messages], within_s=table.within_s)
        case ExpectNoneStep():
            await bench.expect_none(table.action, table.payload, sender=table.sender, for_s=table.for_s)
        case CheckStep():
            await bench.check(table.of, table.values, evse=table.evse, within_s=table.within_s)
        case RequestStep():
            await bench.request(table.method, table.path, table.body, status=table.status, answer=table.answer)
        case CallStep():
            await bench.call(
                table.action, table.payload, answer=table.answer, error=table.error, within_s=table.within_s
            )
        case FrameStep():
            await bench.send_frame(table, answer=table.answer, error=table.error, within_s=table.within_s)
        case CsmsAnswerStep():
            await bench.csms_answers(table.action, _chosen(table))
        case _:
            await bench.drive(step.word, _driving_body(step))


def _driving_body(step: Step) -> dict[str, object]:
    """The body of a word that drives the station; a card is the default one if none is named."""
    body: dict[str, object] = step.table.model_dump(mode="json", exclude_unset=True)
    if step.word == "card" and not body.keys() & {"uid", "failing"}:
        body["uid"] = DEFAULT_CARD
    return body


def _expected(pattern: MessagePattern) -> ExpectedMessage:
    return ExpectedMessage(pattern.action, pattern.payload, pattern.answer, pattern.error, pattern.sender)


def _chosen(table: CsmsAnswerStep) -> ChosenAnswer:
    code = table.error.code if table.error is not None else None
    description = table.error.description if table.error is not None else ""
    return ChosenAnswer(table.payload, code, description, table.silent, table.times)
