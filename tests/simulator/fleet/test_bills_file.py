"""The bills of a foreign CSMS in a CSV file."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.fleet.bills_file import BillsFileError, read_bills_file
from simulator.fleet.energy_balance import CsmsBill


def test_bills_are_read_by_station_and_transaction(tmp_path: Path) -> None:
    file = tmp_path / "bills.csv"
    file.write_text("\ufeffenergy,price,station,transaction\n60.5,1,CS-1,a\n,,CS-1,b\n-0,,CS-2,a\n", encoding="utf-8")
    assert read_bills_file(file) == {
        "CS-1": {"a": CsmsBill(60.5), "b": CsmsBill(None)},
        "CS-2": {"a": CsmsBill(0.0)},
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ":1: has no column station and no column transaction and no column energy"),
        (b"station,energy\n", ":1: has no column transaction"),
        (b"station,transaction,energy\nCS-1,a,1\nCS-1,a,1\n", ":3: the transaction a of CS-1 occurs twice"),
        (b"station,transaction,energy\nCS-1,a,much\n", ":2: the energy must be a number of Wh (is much)"),
        (b"station,transaction,energy\nCS-1,a,inf\n", ":2: the energy must be a number of Wh (is inf)"),
        (b"station,transaction,energy\n,a,1\n", ":2: lacks the station or the transaction"),
        (b"station,transaction,energy\nCS-1\n", ":2: lacks the station or the transaction"),
        (b"station,transaction,energy\n\xff", ": is not UTF-8 text"),
        (None, ": cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "bills.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BillsFileError) as refused:
        read_bills_file(file)
    assert str(refused.value) == f"{file}{reason}"
