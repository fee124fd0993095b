"""`borne journal`: a whole journal is proven, a changed one is found out and located, its entries are handed out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from metering.journal import FILE_NAME, RegisterJournal
from metering.journal_check import HEAD_NAME
from metering.journal_entry import JournalEvent, JournalNote
from metering.time_quality import TimeQuality, TimeSource, TimeStatus
from tests.command_line import Outcome, invoke

GOOD = TimeQuality(TimeStatus.SYNCHRONIZED, TimeSource.NTP)


def run(*arguments: str | Path) -> Outcome:
    """`borne journal …`."""
    return invoke(["journal", *map(str, arguments)])


def written(folder: Path) -> Path:
    """A journal of four entries; its file."""
    journal = RegisterJournal(folder)
    journal.load()
    for place in range(4):
        at = datetime(2026, 1, 15, 12, place, tzinfo=UTC)
        journal.append(JournalNote(JournalEvent.BEGIN, at, GOOD, {"register_wh": f"{place}.000"}, 1))
    return folder / FILE_NAME


def test_a_whole_journal_is_proven_by_its_folder_and_by_its_file(tmp_path: Path) -> None:
    file = written(tmp_path)
    for place in (tmp_path, file):
        result = run("verify", place)
        assert result.exit_code == 0
        assert "intact: 4 entries" in result.stdout


def test_a_changed_byte_is_found_and_located(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"2.000", b"3.000"))
    result = run("verify", tmp_path)
    assert result.exit_code == 1
    assert "NOT INTACT: line 3" in result.stdout
    assert "entry 3 was expected here; the 2 entries before it are intact" in result.stdout


def test_entries_that_were_cut_off_are_missed(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    result = run("verify", tmp_path)
    assert (result.exit_code, "missing" in result.stdout) == (1, True)
    (tmp_path / HEAD_NAME).unlink()
    assert run("verify", tmp_path).exit_code == 1


def test_what_a_power_cut_left_is_no_damage_and_no_entry(tmp_path: Path) -> None:
    file = written(tmp_path)
    with file.open("ab") as end:
        end.write(b'{"number":5,"at":"2026')
    result = run("verify", tmp_path)
    assert result.exit_code == 0
    assert "22 bytes at the end" in result.stdout
    numbers = [json.loads(line)["number"] for line in run("export", tmp_path).stdout.splitlines()]
    assert numbers == [1, 2, 3, 4]


def test_without_a_journal_there_is_nothing_to_prove(tmp_path: Path) -> None:
    for command in ("verify", "export"):
        result = run(command, tmp_path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert FILE_NAME in result.stderr
