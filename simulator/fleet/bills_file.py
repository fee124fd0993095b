"""The bills of a foreign CSMS, exported as a CSV file, for the energy balance of a fleet."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Final

from simulator.fleet.energy_balance import Bills, CsmsBill

_COLUMNS: Final = ("station", "transaction", "energy")


class BillsFileError(Exception):
    """A file of bills cannot be used; the message names file and line."""


def read_bills_file(path: Path) -> Bills:
    """Read a CSV file with the columns station, transaction and energy (in Wh; empty: not known), in any order.

    Further columns are ignored.

    Raises:
        BillsFileError: it cannot be read, a column or value is missing, or a transaction occurs twice.
    """
    found: dict[str, dict[str, CsmsBill]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or ()
            if missing := [name for name in _COLUMNS if name not in columns]:
                raise BillsFileError(f"{path}:1: has no column {' and no column '.join(missing)}")
            for row in rows:
                where = f"{path}:{rows.line_num}"
                station, transaction, energy = (row[name] for name in _COLUMNS)
                if not station or not transaction:
                    raise BillsFileError(f"{where}: lacks the station or the transaction")
                bills = found.setdefault(station, {})
                if transaction in bills:
                    raise BillsFileError(f"{where}: the transaction {transaction} of {station} occurs twice")
                bills[transaction] = CsmsBill(_energy_wh(energy, where))
    except OSError as error:
        raise BillsFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BillsFileError(f"{path}: is not UTF-8 text") from error
    except csv.Error as error:
        raise BillsFileError(f"{path}: is not a CSV file: {error}") from error
    return found


def _energy_wh(text: str | None, where: str) -> float | None:
    if not text:
        return None
    try:
        energy_wh = float(text)
    except ValueError:
        energy_wh = math.nan
    if not math.isfinite(energy_wh):
        raise BillsFileError(f"{where}: the energy must be a number of Wh (is {text})")
    return energy_wh
