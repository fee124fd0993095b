"""Answers that are chosen for the bundled CSMS."""

from __future__ import annotations

from simulator.csms.messages import ErrorFrame, ResultFrame
from simulator.csms.orders import ChosenAnswer, ChosenAnswers

USUAL = ResultFrame("1", {"status": "Accepted", "interval": 300})


def test_chosen_fields_replace_the_usual_ones_and_none_leaves_one_out() -> None:
    assert ChosenAnswer({"status": "Pending", "interval": None}).applied(USUAL) == ResultFrame(
        "1", {"status": "Pending"}
    )
    assert ChosenAnswer(error_code="InternalError").applied(USUAL) == ErrorFrame("1", "InternalError", "")
    assert ChosenAnswer(silent=True).applied(USUAL) is None


def test_an_invalid_request_stays_refused() -> None:
    refused = ErrorFrame("1", "FormatViolation", "no")
    assert ChosenAnswer({"status": "Accepted"}).applied(refused) == refused


def test_an_answer_counts_its_requests_of_one_station_and_action() -> None:
    answers = ChosenAnswers()
    answers.choose("A", "Heartbeat", ChosenAnswer(silent=True, times=2))
    answers.choose("A", "Authorize", ChosenAnswer(silent=True, times=0))
    assert answers.take("B", "Heartbeat") is None
    assert [answers.take("A", "Heartbeat") is not None for _ in range(3)] == [True, True, False]
    assert [answers.take("A", "Authorize") is not None for _ in range(3)] == [True, True, True]
