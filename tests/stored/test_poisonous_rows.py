"""Each stored kind of row in turn ends whatever reads it: the station still starts, connects and delivers its events.

The rows are those of the last release. A poisonous text raises an error as soon as a part of the station parses it; the
database moves and keeps it like any other.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import NoReturn, cast

import pytest

from station.storage import read_connections, sql, writing_connection
from station.storage.safe_start_record import FILE_NAME
from station.storage.stored_format import StoredFormat
from tests.stored.storage import DATABASE, Stored, all_stored
from tests.stored.test_stored import revived
from tests.walk import Walk

NEWEST = all_stored()[-1]
MARK, PARSED_MARK = " \t \t ", " \t\t "
"""what the texts end with that are poisonous: JSON stays as it is"""
OPEN_TRANSACTIONS = 2
STARTS = 6
"""most starts until the station runs"""
COLUMNS = {
    "events": "payload",
    "ended_samples": "payload",
    "awaited_ends": "payload",
    "transactions": "token",
    "transactions.prices": "prices",
    "transactions.bill": "bill",
    "tariff_readings": "period",
    "signed_records": "record",
    "settings": "value",
    "authorization_cache": "info",
    "charging_profiles": "payload",
    "security_events": "info",
    "firmware_updates": "payload",
    "firmware_statuses": "status",
    "customers_to_forget": "asked_at",
    "local_list": "info",
    "reservations": "payload",
    "monitors": "monitor",
    "monitor_states": "reference",
    "monitoring_events": "event",
    "display_messages": "payload",
}
"""for each table the column with what the station makes use of; the others are keys and numbers"""
WITHOUT_TEXT = {"signing_keys", "local_list_state", "unreadable_rows", "sqlite_sequence"}


class PoisonError(Exception):
    """A part of the station has used a poisonous text."""


class PoisonousText(str):
    """A text of a row that raises an error when it is parsed."""

    __slots__ = ()

    def _raise(self, *_: object) -> NoReturn:
        raise PoisonError

    __str__ = __int__ = __float__ = _raise
    __iter__ = __getitem__ = __contains__ = encode = split = partition = rpartition = _raise  # type: ignore[assignment]
    strip = casefold = lower = upper = startswith = endswith = replace = removeprefix = _raise  # type: ignore[assignment]
    isdigit = isdecimal = _raise


class ParsedText(PoisonousText):
    """A poisonous text of a fact or an event, which passes as a text until it is parsed."""

    __slots__ = ()

    def __str__(self) -> str:
        """Stay poisonous."""
        return self


@pytest.fixture(autouse=True)
def poisonous_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that end with the mark are poisonous once they are read."""
    decode = sql.decode_text
    from_text = cast("Callable[[object, object], object]", vars(StoredFormat)["from_text"])

    def decode_text(raw: bytes) -> str:
        text = decode(raw)
        if text.endswith(PARSED_MARK):
            return ParsedText(text)
        return PoisonousText(text) if text.endswith(MARK) else text

    def parse_text(stored_format: object, stored: object) -> object:  # in C, which calls no method of a text
        if isinstance(stored, PoisonousText):
            raise PoisonError
        return from_text(stored_format, stored)

    for connection in (writing_connection, read_connections):
        monkeypatch.setattr(connection, "decode_text", decode_text)
    monkeypatch.setattr(StoredFormat, "from_text", parse_text)


def kinds() -> list[str]:
    """Every kind of row: tables, and the kinds of facts of the last release: all that the program can write."""
    return [*COLUMNS, *(f"facts/{kind}" for kind in sorted(NEWEST.kinds_of_facts()))]


def poison(folder: Path, kind: str) -> int:
    """Make all rows of a kind poisonous; returns how many there are."""
    table, _, fact = kind.partition("/")
    column = "value" if fact else COLUMNS[table]
    condition = f"'{fact}' IN (name, substr(name, 1, instr(name, '/') - 1))" if fact else f"{column} IS NOT NULL"
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as opened:
        found = opened.execute(
            f"UPDATE {table.partition('.')[0]} SET {column} = {column} || ? WHERE {condition}",
            (PARSED_MARK if fact or table == "events" else MARK,),
        )
        opened.commit()
        return found.rowcount


@contextlib.contextmanager
def poisoned_storage(monkeypatch: pytest.MonkeyPatch, kind: str) -> Generator[None]:
    """Restore the storage of the last release once, with poisonous rows; then it stays as the station leaves it."""
    restore = Stored.restore

    def once(stored: Stored, folder: Path, csms_port: int = 9) -> None:
        if not folder.exists():
            restore(stored, folder, csms_port)
            assert poison(folder, kind) > 0

    with monkeypatch.context() as patched:
        patched.setattr(Stored, "restore", once)
        yield


def test_every_table_has_its_turn(tmp_path: Path) -> None:
    NEWEST.restore(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as opened:
        tables = {str(name) for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {name.partition(".")[0] for name in COLUMNS} | WITHOUT_TEXT | {"facts"}


def all_delivered(walk: Walk, kind: str) -> bool:
    """Whether nothing waits for the CSMS: but poisonous events, beside the ends of the transactions that were open."""
    if kind == "events":
        return [event["eventType"] for event in walk.events()] == ["Ended"] * OPEN_TRANSACTIONS
    return walk.parts.outbox.waiting == 0


@pytest.mark.parametrize("kind", kinds())
async def test_a_poisonous_kind_of_row_neither_keeps_the_station_from_its_csms_nor_loses_an_event(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, starts = tmp_path / "storage", list[int]()
    with poisoned_storage(monkeypatch, kind):
        for start in range(1, STARTS):
            with contextlib.suppress(PoisonError, BaseExceptionGroup):
                async with revived(NEWEST, folder) as walk:
                    await walk.until(lambda: walk.csms.received("StatusNotification"), within_s=120)
                    await walk.until(partial(all_delivered, walk, kind), within_s=900)
                    await walk.advance(30)
                starts.append(start)
                break
    assert starts, f"does not start with poisonous {kind}"
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as opened:
        waiting = opened.execute("SELECT payload FROM events WHERE settled_at IS NULL").fetchall()
        assert all(str(payload).endswith(PARSED_MARK) for (payload,) in waiting)
        assert bool(waiting) == (kind == "events")
    assert (folder / FILE_NAME).exists() == (starts > [1])
