"""Each table and each kind of fact is either in a backup or left out on purpose."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from station.maintenance.backup.contents import KEPT_FACT_KINDS, KEPT_TABLES, RECORDS, SETTINGS
from station.storage.database_schema import new_database

NAMES = Path(__file__).parents[3] / "names"


def test_each_table_has_exactly_one_place() -> None:
    connection = sqlite3.connect(":memory:")
    content = bytearray(new_database())
    content[18:20] = b"\1\1"  # without the log, which a database in memory cannot have
    connection.deserialize(bytes(content))
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    tables = sorted(str(name) for (name,) in rows)
    placed = [*SETTINGS.tables, *RECORDS.tables, *KEPT_TABLES, "facts"]
    assert sorted(placed) == tables


def test_each_kind_of_fact_has_exactly_one_place() -> None:
    kinds = (NAMES / "stored_facts.txt").read_text(encoding="utf-8").split()
    assert sorted([*SETTINGS.fact_kinds, *RECORDS.fact_kinds, *KEPT_FACT_KINDS]) == sorted(kinds)


def test_latches_of_protection_are_in_no_backup() -> None:
    assert {"residual-current", "tamper"} <= set(KEPT_FACT_KINDS)


def test_each_stored_file_belongs_to_a_backup_or_is_left_out_on_purpose() -> None:
    lines = (NAMES / "stored_files.txt").read_text(encoding="utf-8").splitlines()
    files = {line.split("/")[0] for line in lines if ":" not in line and not line.startswith("fact ")}
    left_out = {"firmware"}
    assert {file for file in files if not (SETTINGS.includes(file) or RECORDS.includes(file))} == left_out
