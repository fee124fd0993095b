"""The program is requested to stop, or cannot start: how it ends, and what it leaves on disk."""

from __future__ import annotations

import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from station.core.hardware.board import SAFE_OUTPUTS
from station.core.model import EventType, StoppedReason
from tests.csms import NO_ANSWER, Csms, running_csms
from tests.patience import until
from tests.walk import walking
from tests.walks.station_process import ROOT, StationProcess

STOPS_WITHIN_S = 25.0
"""on a busy machine; one that waits for an answer of the CSMS, which comes never here, needs 30 s"""
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def registers_at_end(station: StationProcess) -> list[float]:
    """The register in each Ended event on disk."""
    ends = [record.event for record in station.records() if record.event.event_type is EventType.ENDED]
    return [end.meter_values[-1].samples[0].value for end in ends]


async def stop(station: StationProcess, number: signal.Signals = signal.SIGTERM) -> None:
    """Stop the station as a service manager does; it must end in time."""
    station.signal(number)
    assert await station.ended(within_s=STOPS_WITHIN_S) == 0


async def stop_while_charging(station: StationProcess, number: signal.Signals) -> None:
    """Stop the station during a charge, in real time; the transaction ends on disk with its last reading."""
    await station.post("/api/sim/clock", rate=1.0)
    await stop(station, number)
    last = station.records()[-1].event
    assert (last.event_type, last.stopped_reason) == (EventType.ENDED, StoppedReason.REBOOT)
    (register,) = registers_at_end(station)
    assert register == pytest.approx(station.register_wh(), abs=0.001)  # nothing flowed after the end
    assert register > 0.0


@SIGNALS
async def test_an_idle_station_stops_in_time(tmp_path: Path, number: signal.Signals) -> None:
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        try:
            station.start()
            await station.ready()
            await until(lambda: csms.received("StatusNotification"))
            await stop(station, number)
            assert station.records() == []
        finally:
            await station.aclose()


@SIGNALS
async def test_a_charge_is_ended_on_disk_before_the_program_stops_and_reported_after_the_restart(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        try:
            station.start()
            await station.ready()
            await until(lambda: csms.connected)
            await station.charging()
            await stop_while_charging(station, number)
            await start_and_deliver(station, csms)
        finally:
            await station.aclose()
    assert csms.schema_faults == []


async def start_and_deliver(station: StationProcess, csms: Csms) -> None:
    """Start again; check that the CSMS receives the rest, and that this start ended no transaction early."""
    on_disk = [record.wire for record in station.records()]
    station.start()
    await station.ready()
    await until(lambda: any(event["eventType"] == "Ended" for event in csms.received("TransactionEvent")))
    delivered = {event["seqNo"]: event for event in csms.received("TransactionEvent")}
    for event in delivered.values():
        event.pop("offline", None)
    assert [delivered[number] for number in sorted(delivered)] == on_disk
    assert on_disk[-1]["transactionInfo"]["stoppedReason"] == "Reboot"
    await stop(station)


async def test_a_csms_that_does_not_answer_holds_nothing_up(tmp_path: Path) -> None:
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        try:
            station.start()
            await station.ready()
            await until(lambda: csms.connected)
            csms.answers["TransactionEvent"] = lambda _: NO_ANSWER
            await station.charging()
            await until(lambda: csms.received("TransactionEvent"))
            await stop_while_charging(station, signal.SIGTERM)
            assert not any(record.settled for record in station.records())
            del csms.answers["TransactionEvent"]
            await start_and_deliver(station, csms)
        finally:
            await station.aclose()


async def test_a_csms_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        try:
            station.start()
            await station.ready()
            await until(lambda: csms.connected)
            await station.charging()
            csms.http_status = 503
            csms.drop()
            await until(lambda: not csms.connected)
            await stop_while_charging(station, signal.SIGTERM)
            csms.http_status = None
            await start_and_deliver(station, csms)
        finally:
            await station.aclose()


async def test_an_open_event_stream_holds_nothing_up(tmp_path: Path) -> None:
    station = StationProcess(tmp_path, None)
    try:
        station.start()
        await station.ready()
        async with station.api.stream("GET", "/api/events") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == ": listening"
            await stop(station)
    finally:
        await station.aclose()


async def test_whatever_ends_the_station_leaves_the_board_safe(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert walk.board.outputs.contactor
    assert walk.board.outputs == SAFE_OUTPUTS


async def test_a_failure_that_nobody_foresaw_in_an_essential_task_ends_the_program(tmp_path: Path) -> None:
    """It must not look as if it were well: here with a mistake in the program itself."""
    station = StationProcess(tmp_path, None)
    try:
        station.start(mistake="from station.load.load_management import LoadManagement; LoadManagement.run = None")
        assert await station.ended() == 1
        assert any("TypeError: 'NoneType' object is not callable" in line for line in station.other_output())
    finally:
        await station.aclose()


def break_database(storage: Path) -> str:
    """Write a text in place of the database."""
    (storage / "borne.sqlite").write_bytes(b"this was never a database" * 100)
    return "station.storage: {storage}/borne.sqlite: file is not a database"


def spoil_records(storage: Path) -> str:
    """Overwrite the page on which the table of events begins, as a defective disk does."""
    path = storage / "borne.sqlite"
    database = sqlite3.connect(path)
    migrations = sorted((ROOT / "station/storage/migrations").glob("*.sql"))
    for migration in migrations:
        database.executescript(migration.read_text(encoding="utf-8"))
    database.execute(f"PRAGMA user_version = {len(migrations)}")
    ((page, size),) = database.execute(
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'events'"
    )
    database.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    return "station.storage: database disk image is malformed"


def create_directory_at_database(storage: Path) -> str:
    (storage / "borne.sqlite").mkdir()
    return "station.storage: {storage}/borne.sqlite: unable to open database file"


def replace_storage_by_file(storage: Path) -> str:
    storage.rmdir()
    storage.write_text("")
    return "station.storage: {storage}: File exists"


@pytest.mark.parametrize(
    "spoil", [break_database, spoil_records, create_directory_at_database, replace_storage_by_file]
)
async def test_a_storage_that_cannot_be_used_is_said_in_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    station = StationProcess(tmp_path, None)
    station.storage.mkdir()
    sentence = spoil(station.storage).format(storage=station.storage)
    try:
        station.start()
        assert await station.ended() == 2
        assert station.other_output() == [f"{tmp_path}/station.toml: {sentence}"]
    finally:
        await station.aclose()


async def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    station = StationProcess(tmp_path, None)
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        try:
            station.start(http_port=port)
            assert await station.ended() == 2
            sentence = f"http: cannot listen at 127.0.0.1:{port}: Address already in use"
            assert station.other_output() == [f"{tmp_path}/station.toml: {sentence}"]
        finally:
            await station.aclose()
