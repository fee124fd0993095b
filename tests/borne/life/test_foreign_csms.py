"""Bills of another CSMS that are missing or wrong are found at the end of days of life."""

from __future__ import annotations

import pytest

from borne.life.foreign_csms import ComparedBills


@pytest.mark.parametrize(
    ("energy_wh", "bill", "fault"),
    [
        (1000.0, {"energy_wh": 1000.005}, None),
        (1000.0, {"energy_wh": 1000.02}, "is billed 1000.020 Wh, was 1000.000 Wh"),
        (1000.0, {"energy_wh": None}, "has a bill without energy"),
        (1000.0, None, "has no bill"),
        (None, {"energy_wh": None}, None),
        (None, None, "has no bill"),
    ],
)
def test_each_bill_is_compared(energy_wh: float | None, bill: dict[str, object] | None, fault: str | None) -> None:
    bills = ComparedBills()
    bills.add("t1", energy_wh, bill)
    assert bills.faults == ([] if fault is None else [f"transaction t1 {fault}"])
    assert bills.compared == (1 if energy_wh is not None and bill is not None and bill["energy_wh"] is not None else 0)
