"""`make bench`: measures the rows of `bench.catalogue`, each beside its floors and with its aim."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from bench.catalogue import MEASUREMENTS
from bench.report import PAGE, Machine, PageError, as_json, read_json, this_machine, with_table
from bench.rows import Row, line

_IDLE_LOAD = 0.25
"""load average for each CPU below which the machine counts as idle"""
NAMES = [name for measurement in MEASUREMENTS for name in measurement.rows]
"""the names of all rows, in the order of the table"""


async def _measure_rows(names: Collection[str], quick: bool) -> list[Row]:
    """Measure and print the rows with these names; each measurement that has one of them is made as a whole."""
    rows: list[Row] = []
    for measurement in MEASUREMENTS:
        if set(names).isdisjoint(measurement.rows):
            continue
        for row in await measurement.measure(quick):
            if row.name in names:
                rows.append(row)
                print(line(row), flush=True)
    return rows


def _read_rows(files: Sequence[Path], names: Collection[str]) -> tuple[Machine, list[Row]]:
    """Read rows of earlier measurements from JSON files; later files replace rows of earlier ones."""
    found: dict[str, Row] = {}
    machine = this_machine()
    for file in files:
        machine, rows = read_json(file.read_text(encoding="utf-8"))
        found.update((row.name, row) for row in rows)
    return machine, [found[name] for name in NAMES if name in names and name in found]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description="Measure the station beside bare floors.")
    parser.add_argument("--quick", action="store_true", help="fewer runs and shorter waits; each row says so")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, default=NAMES, help=", ".join(NAMES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--read", nargs="+", type=Path, metavar="FILE", help="read rows of --json instead of measuring")
    parser.add_argument("--docs", action="store_true", help="write all rows to docs/performance.md")
    return parser


def main() -> None:
    """Measure or read the rows, print them, and write the files that the command line asks for."""
    parser = _parser()
    given = parser.parse_args()
    machine = this_machine()
    if given.read:
        machine, rows = _read_rows(given.read, given.only)
        for row in rows:
            print(line(row))
    else:
        print(f"{machine.sentence} Medians of interleaved runs; between machines compare ratios only.", flush=True)
        if (load := os.getloadavg()[0]) > _IDLE_LOAD * machine.cpus:
            print(f"Other programs use this machine (load {load:.1f}): times are too long, rates too low.", flush=True)
        rows = asyncio.run(_measure_rows(given.only, given.quick))
    if given.json is not None:
        given.json.write_text(as_json(machine, rows), encoding="utf-8")
    if given.docs:
        missing = [name for name in NAMES if name not in {row.name for row in rows}]
        if missing:
            parser.error(f"--docs needs all rows; missing: {', '.join(missing)}")
        try:
            page = with_table(PAGE.read_text(encoding="utf-8"), machine, rows)
        except PageError as error:
            parser.error(str(error))
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
