"""The register journal: every byte of it is vouched for, and a power cut at any byte leaves it whole."""

from __future__ import annotations

import json
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.journal import FILE_NAME, JournalError, RegisterJournal
from metering.journal_check import HEAD_NAME, check_journal
from metering.journal_entry import JournalEntry, JournalEvent, JournalNote
from metering.time_quality import TimeQuality, TimeSource, TimeStatus
from tests.examples import examples

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
GOOD = TimeQuality(TimeStatus.SYNCHRONIZED, TimeSource.NTP)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
DETAILS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(-(2**40), 2**40), st.booleans(), st.none()), max_size=4)


def note(place: int = 0, event: JournalEvent = JournalEvent.BEGIN, **details: str | int) -> JournalNote:
    """Something that happened."""
    return JournalNote(
        event, NOON + timedelta(minutes=place), GOOD, {"register_wh": f"{place}.000", **details}, 1, place
    )


def open_journal(folder: Path) -> RegisterJournal:
    """Open a journal as the program does at its start."""
    journal = RegisterJournal(folder)
    journal.load()
    return journal


def write_journal(folder: Path, count: int = 4) -> tuple[bytes, bytes]:
    """Write a journal with `count` entries; return the bytes of its file and of its head."""
    journal = open_journal(folder)
    for place in range(count):
        journal.append(note(place))
    return (folder / FILE_NAME).read_bytes(), (folder / HEAD_NAME).read_bytes()


def entry_at(journal: bytes, offset: int) -> int:
    """The number of the entry whose line a byte belongs to."""
    return journal[:offset].count(b"\n") + 1


def test_an_entry_that_was_appended_is_found_again_in_the_next_life(tmp_path: Path) -> None:
    first = open_journal(tmp_path)
    first.append(note(1))
    first.append(note(2, JournalEvent.END))
    second = open_journal(tmp_path)
    assert second.last == first.last
    assert (first.boot, second.boot) == (1, 2)
    second.append(note(3))
    found = second.verify()
    assert (found.entries, found.broken) == (3, None)
    assert [entry.number for entry in second.entries()] == [3, 2, 1]
    assert [entry.number for entry in second.entries(after=1)] == [3, 2]
    stored = json.loads((tmp_path / FILE_NAME).read_text().splitlines()[2])
    assert stored["boot"] == 2
    assert stored["time"] == {"status": "S", "source": "ntp"}
    assert stored["details"]["register_wh"] == "3.000"


def test_no_journal_is_a_whole_journal(tmp_path: Path) -> None:
    assert open_journal(tmp_path).verify().broken is None
    assert open_journal(tmp_path).damaged is None
    assert list(open_journal(tmp_path).entries()) == []


def test_files_are_for_nobody_else(tmp_path: Path) -> None:
    write_journal(tmp_path)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (FILE_NAME, HEAD_NAME)} == {0o600}


@examples(60)
@given(given_details=st.lists(DETAILS, min_size=1, max_size=5), data=st.data())
def test_any_single_changed_byte_is_located(
    given_details: list[dict[str, str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = open_journal(folder)
    for details in given_details:
        journal.append(JournalNote(JournalEvent.METER_FAULT, NOON, GOOD, details))
    file, head = (folder / FILE_NAME).read_bytes(), (folder / HEAD_NAME).read_bytes()
    assert check_journal(file, head).broken is None
    offset = data.draw(st.integers(0, len(file) - 1))
    other_byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != file[offset]))
    changed = file[:offset] + bytes([other_byte]) + file[offset + 1 :]
    found = check_journal(changed, head)
    assert found.broken is not None
    # Located: it is in the entry after the last proven one, whose line is reported.
    assert found.number is not None
    assert found.number == entry_at(file, offset)
    assert found.line == found.number
    assert found.entries == found.number - 1


def test_each_byte_and_each_bit_of_a_journal_counts(tmp_path: Path) -> None:
    file, head = write_journal(tmp_path, 3)
    for offset in range(len(file)):
        for bit in range(8):
            changed = bytearray(file)
            changed[offset] ^= 1 << bit
            found = check_journal(bytes(changed), head)
            assert (found.broken is not None, found.number) == (True, entry_at(file, offset)), offset
    for offset in range(len(head)):
        changed = bytearray(head)
        changed[offset] ^= 1
        broken = check_journal(file, bytes(changed)).broken
        assert broken is not None, offset
        assert HEAD_NAME in broken or "is missing" in broken, offset


def test_entries_cannot_be_removed_moved_or_cut_off(tmp_path: Path) -> None:
    file, head = write_journal(tmp_path, 5)
    lines = file.splitlines(keepends=True)
    assert check_journal(b"".join(lines[:2] + lines[3:]), head).number == 3
    assert check_journal(b"".join([lines[0], lines[2], lines[1], *lines[3:]]), head).number == 2
    assert check_journal(b"".join(lines[1:]), head).number == 1
    cut = check_journal(b"".join(lines[:3]), head)
    assert (cut.entries, cut.number) == (3, 4)
    assert cut.broken is not None
    assert "missing" in cut.broken
    assert check_journal(file, None).broken is not None
    assert check_journal(b"", head).number == 1


def test_whoever_forges_an_entry_has_to_forge_all_that_follow(tmp_path: Path) -> None:
    file, head = write_journal(tmp_path, 4)
    lines = file.splitlines()
    first = JournalEntry.create_next(0, None, 1, note(0))
    forged = JournalEntry.create_next(1, first, 1, note(1, register_wh="1000.000"))
    found = check_journal(b"\n".join([lines[0], forged.to_line(), *lines[2:], b""]), head)
    assert (found.number, found.broken is not None) == (3, True)


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_power_cut_at_any_byte_of_a_write_leaves_a_whole_journal(tmp_path: Path, before: int) -> None:
    complete = tmp_path / "whole"
    file, head = write_journal(complete, before) if before else (b"", b"")
    grown, _ = write_journal(tmp_path / "grown", before + 1)
    assert grown.startswith(file)
    for size in range(len(file), len(grown) + 1):
        folder = tmp_path / f"cut-{size}"
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(grown[:size])
        if before:
            (folder / HEAD_NAME).write_bytes(head)
        at_once = open_journal(folder).verify()
        assert at_once.broken is None, size
        again = open_journal(folder)
        assert again.damaged is None
        again.append(note(9, JournalEvent.END))
        after = again.verify()
        assert (after.broken, after.unfinished) == (None, 0), size
        assert again.last is not None
        assert again.last.note.event is JournalEvent.END
        # What was left of the write is vouched for as well.
        repaired, named = (folder / FILE_NAME).read_bytes(), (folder / HEAD_NAME).read_bytes()
        for offset in range(len(file), size, 7):
            changed = bytearray(repaired)
            changed[offset] ^= 1
            assert check_journal(bytes(changed), named).number is not None, (size, offset)


def test_two_power_cuts_in_a_row_are_accounted_for_together(tmp_path: Path) -> None:
    write_journal(tmp_path, 2)
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b'{"number":3,"at":"20')
    torn = open_journal(tmp_path)
    length = (tmp_path / FILE_NAME).stat().st_size
    torn.append(note(3))
    complete = (tmp_path / FILE_NAME).read_bytes()
    named = f"2 {parse_hash(complete, 2)}\n".encode()
    for size in range(length, len(complete)):
        (tmp_path / FILE_NAME).write_bytes(complete[:size])
        (tmp_path / HEAD_NAME).write_bytes(named)
        again = open_journal(tmp_path)
        assert again.damaged is None
        again.append(note(4))
        assert again.verify().broken is None, size


def parse_hash(journal: bytes, number: int) -> str:
    """The hash of the entry on a line."""
    return str(json.loads(journal.splitlines()[number - 1])["hash"])


@pytest.mark.parametrize("missed", [1, 2, 4])
def test_a_head_that_is_some_entries_behind_is_a_power_cut_and_no_damage(tmp_path: Path, missed: int) -> None:
    _, lagging_head = write_journal(tmp_path / "a", 2)
    file, _ = write_journal(tmp_path / "b", 2 + missed)
    assert check_journal(file, lagging_head).broken is None
    # The end of the line that the head does not name yet cannot be changed either.
    assert check_journal(file[:-1] + b"x", lagging_head).number == 2 + missed
    (tmp_path / "b" / HEAD_NAME).write_bytes(lagging_head)
    journal = open_journal(tmp_path / "b")
    assert journal.damaged is None
    journal.append(note(9))
    assert open_journal(tmp_path / "b").verify().broken is None


def test_a_damaged_journal_goes_on_and_stays_damaged(tmp_path: Path) -> None:
    file, _ = write_journal(tmp_path, 3)
    lines = file.splitlines(keepends=True)
    (tmp_path / FILE_NAME).write_bytes(b"".join(lines[:2]) + lines[2].replace(b"2.000", b"9.000"))
    journal = open_journal(tmp_path)
    assert journal.damaged is not None
    journal.append(note(8))
    assert journal.damaged is None
    again = open_journal(tmp_path)
    assert again.damaged is None
    events = [entry.note.event for entry in again.entries()]
    assert events[:2] == [JournalEvent.BEGIN, JournalEvent.DAMAGED]
    found = again.verify()
    assert (found.number, found.line) == (3, 3)
    assert found.broken is not None


def test_a_disk_that_refuses_is_said_and_nothing_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(tmp_path)
    journal.append(note(0))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(JournalError, match="No space"):
            journal.append(note(1))
    journal.append(note(1))  # the line had got into the file: it is not written twice
    assert [entry.number for entry in journal.entries()] == [2, 1]
    journal.append(note(2))
    assert journal.verify().entries == 3
    assert journal.verify().broken is None


def test_the_same_twice_in_one_moment_is_two_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(tmp_path)
    journal.append(note(0))
    journal.append(note(0))
    assert [entry.number for entry in journal.entries()] == [2, 1]

    def full(path: str, flags: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:  # nothing of the third gets into the file
        patched.setattr("metering.journal._private", full)
        with pytest.raises(JournalError, match="No space"):
            journal.append(note(0))
    journal.append(note(0))
    assert [entry.number for entry in journal.entries()] == [3, 2, 1]
    assert journal.verify().broken is None


def test_ten_years_are_proven_within_a_moment_and_a_megabyte(tmp_path: Path) -> None:
    last: JournalEntry | None = None
    lines: list[bytes] = []
    for number in range(80_000):
        last = JournalEntry.create_next(number, last, 1, note(number % 1000))
        lines.append(last.to_line())
    assert last is not None
    (tmp_path / FILE_NAME).write_bytes(b"\n".join([*lines, b""]))
    (tmp_path / HEAD_NAME).write_bytes(f"80000 {last.hash}\n".encode())
    del lines
    journal, began_s = open_journal(tmp_path), time.process_time()
    assert journal.verify().entries == 80_000
    assert time.process_time() - began_s < 20.0  # what other programs do meanwhile does not count
    assert peak_bytes(journal, lines=2_000) < 1_000_000


def peak_bytes(journal: RegisterJournal, *, lines: int) -> int:
    """The most memory that a proof takes for so many lines: to trace more of them would take a minute."""

    class EnoughError(Exception):
        pass

    def stop_when_enough(entry: JournalEntry) -> None:
        if entry.number >= lines:
            raise EnoughError

    tracemalloc.start()
    try:
        with pytest.raises(EnoughError):
            journal.verify(stop_when_enough)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
