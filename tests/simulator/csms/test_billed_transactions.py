"""Bills: what the received events of a transaction add up to."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as some

from simulator.csms.billed_transactions import BilledTransaction, ReceivedEvent, SequenceNumbers, received_event

NUMBERS = some.lists(some.integers(0, 30), max_size=60)


@given(NUMBERS)
def test_sequence_numbers_are_a_set_in_as_few_ranges_as_possible(numbers: list[int]) -> None:
    stored, expected = SequenceNumbers(), set[int]()
    for number in numbers:
        assert stored.add(number) is (number not in expected)
        expected.add(number)
    assert list(stored) == sorted(expected)
    ranges = stored.ranges()
    assert all(earlier[1] + 1 < later[0] for earlier, later in itertools.pairwise(ranges))
    assert SequenceNumbers(ranges).ranges() == ranges


def test_a_repeated_event_changes_nothing_but_the_count_of_repetitions() -> None:
    bill = BilledTransaction("S", "t")
    bill.record(ReceivedEvent(station="S", transaction_id="t", seq_no=0, begin_wh=100.0, offline=True))
    end = ReceivedEvent(station="S", transaction_id="t", seq_no=1, end_wh=350.0, ended=True, offline=True)
    bill.record(end)
    bill.record(end)
    bill.record(ReceivedEvent(station="S", transaction_id="t", seq_no=1, end_wh=999.0))
    assert (bill.energy_wh, bill.ended, bill.offline, bill.repeated) == (250.0, True, 2, 2)


@pytest.mark.parametrize(
    ("received", "missing"), [((), 0), ((0, 1, 2), 0), ((0, 2), 1), ((3, 1), 2), ((5,), 5), ((0, 3, 4, 7), 4)]
)
def test_numbers_below_the_highest_one_that_have_not_arrived_are_missing(
    received: tuple[int, ...], missing: int
) -> None:
    numbers = SequenceNumbers()
    for number in received:
        numbers.add(number)
    assert numbers.missing == missing


def test_the_registers_are_those_at_begin_and_end_in_wh() -> None:
    payload: dict[str, object] = {
        "eventType": "Ended",
        "seqNo": 4,
        "offline": True,
        "transactionInfo": {"transactionId": "t"},
        "meterValue": [
            {
                "sampledValue": [
                    {"value": 1.5, "context": "Transaction.Begin", "unitOfMeasure": {"unit": "kWh"}},
                    {"value": 700.0, "context": "Transaction.End", "phase": "L1"},
                    {"value": 16.0, "context": "Transaction.End", "measurand": "Current.Import"},
                ]
            },
            {"sampledValue": [{"value": 21.0, "context": "Transaction.End", "unitOfMeasure": {"multiplier": 2}}]},
        ],
    }
    assert received_event("S", payload) == ReceivedEvent("S", "t", 4, True, True, 1500.0, 2100.0)
