"""The power fails in a process with several stations, whose databases are closed whenever they are not used."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import signal
import subprocess
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path

import httpx
import pytest

from tests.csms import Payload, running_csms
from tests.patience import PATIENCE_S, until
from tests.walk import CARD
from tests.walks.station_process import (
    ROOT,
    ProgramWithApi,
    initial_register_wh,
    open_transactions,
    records,
    register_wh,
)
from tests.walks.test_power_cut import (
    SETTINGS,
    InterruptingCsms,
    check_billing_records,
    check_transaction,
    transactions_of,
    without_offline,
)

STATIONS = 3
INTERVAL = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}


class Window(StrEnum):
    """The moment of a power cut."""

    CLOSING = "when a database is about to be closed"
    CLOSED = "when a database was just closed, and its log removed"
    OPENED = "when a database was just opened again"
    WRITING = "in the first write after a database was opened again, before its commit"
    COMMITTED = "after the commit of that write"
    ANSWERED = "when a CSMS has just answered an event"
    ANY = "at any moment"


IN_DATABASE = (Window.CLOSING, Window.CLOSED, Window.OPENED, Window.WRITING, Window.COMMITTED)
PROGRAM = """
import asyncio, os, signal, sqlite3, sys, tomllib
from pathlib import Path

from borne.composition import several_stations as composition
from foundation.event_loop import StationLoop
from station.configuration.installation_file import Configuration
from station.storage.database_thread import DatabaseCaches

class CutConnection(sqlite3.Connection):
    opened, reached = set(), 0

    def __init__(self, path, *arguments, **options):
        super().__init__(path, *arguments, **options)
        self.again, self.first = path in self.opened, True
        self.opened.add(path)

    def execute(self, sql, *values):
        write = self.again and self.first and sql.lstrip().startswith(("COMMIT", "INSERT", "UPDATE", "DELETE"))
        commits = write and (sql == "COMMIT" or not self.in_transaction)
        if commits:
            self.first = False
            self.reach("WRITING")
        result = super().execute(sql, *values)
        if self.again and sql.startswith("PRAGMA journal_size_limit"):
            self.reach("OPENED")
        if commits:
            self.reach("COMMITTED")
        return result

    def close(self):
        self.reach("CLOSING")
        super().close()
        self.reach("CLOSED")

    def reach(self, window):
        if window == {window!r}:
            CutConnection.reached += 1
            if self.reached == {count}:
                os.kill(os.getpid(), signal.SIGKILL)

connect = sqlite3.connect
sqlite3.connect = lambda path, **options: connect(path, factory=CutConnection, **options)
composition.OF_MANY_STATIONS = DatabaseCaches(statements=8, pages=4, close_after_s={close_after_s})
trees = [tomllib.loads(Path(name).read_text()) for name in sys.argv[2:]]
process = composition.host_process_of_several([Configuration.from_tree(tree) for tree in trees], http_port=0)
with asyncio.Runner(loop_factory=StationLoop) as runner:
    runner.run(process.run_until_signal(Path(sys.argv[1])))
"""
"""runs stations with databases that are soon closed; kills itself when one reaches a window for the `count`-th time"""


class SeveralStations(ProgramWithApi):
    """A process with several stations, which can be started and killed any number of times."""

    def __init__(self, directory: Path, csms: list[InterruptingCsms]) -> None:
        super().__init__()
        self.identities = [f"MANY-{number}" for number in range(len(csms))]
        self.storages = [directory / identity for identity in self.identities]
        self._ready, self.output = directory / "ready.json", directory / "output"
        self._files = [directory / f"{identity}.toml" for identity in self.identities]
        for identity, storage, file, its_csms in zip(self.identities, self.storages, self._files, csms, strict=True):
            file.write_text(
                f'[station]\nidentity = "{identity}"\nstorage = "{storage}"\n[csms]\nurl = "{its_csms.url}"\n'
                f"[http]\nport = 0\n[simulation]\nrate = 60.0\n{SETTINGS}",
                encoding="utf-8",
            )

    @property
    def dead(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    async def start(self, window: str, count: int, close_after_s: float) -> None:
        """Start the process; returns when its API answers, or when the power has failed before."""
        self._ready.unlink(missing_ok=True)
        self._process = self._run(PROGRAM.format(window=window, count=count, close_after_s=close_after_s))
        await until(lambda: self._ready.exists() or self.dead)
        assert not self.dead or self.process.poll() == -signal.SIGKILL, self.output.read_text(encoding="utf-8")
        if not self.dead:
            port = json.loads(self._ready.read_text(encoding="utf-8"))["http_port"]
            self._api = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S)

    def _run(self, program: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", program, str(self._ready), *map(str, self._files)]
        with self.output.open("ab") as output:
            return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)

    async def present(self, station: int) -> None:
        """Present the card at a station."""
        await self.post(station, "evses/1/token", id_token=CARD.value, type=CARD.type)

    async def post(self, station: int, path: str, **body: object) -> None:
        """Send a POST to the API of a station; it must be accepted.

        Raises:
            httpx.TransportError: the power has failed.
        """
        if self._api is None:
            raise httpx.ConnectError("the power has failed")
        answer = await self._api.post(f"/stations/{self.identities[station]}/api/{path}", json=body)
        assert answer.is_success, answer.text


class CheckedStation:
    """One of the stations, with checks of its events, its register and one of its settings."""

    def __init__(self, storage: Path, csms: InterruptingCsms) -> None:
        self.storage = storage
        self.csms = csms
        self._first_wh = initial_register_wh(storage.name)
        self.known: set[str] = set()
        """the transactions that were on disk at a cut"""
        self.interrupted: dict[str, float] = {}
        """those that were open at a cut, with the register at that time"""
        self.intervals = {"5"}
        """the values that the setting may have: the one that was accepted last, and one that was not answered"""

    async def check_disk(self) -> None:
        """Check that every received event is on the disk, once and without a gap."""
        self.csms.trap = None
        await until(lambda: not self.csms.connected)
        found = records(self.storage) if (self.storage / "borne.sqlite").exists() else []
        on_disk = {record.key: record.wire for record in found}
        assert len(on_disk) == len(found)
        for event in self.csms.received("TransactionEvent"):
            assert on_disk[event["transactionInfo"]["transactionId"], event["seqNo"]] == without_offline(event)
        for identity, keys in itertools.groupby(sorted(on_disk), lambda key: key[0]):
            assert [number for _, number in keys] == list(range(sum(key[0] == identity for key in on_disk)))
        self.known |= {identity for identity, _ in on_disk}
        for identity in open_transactions(found):
            self.interrupted.setdefault(identity, self._reported_wh())

    def all_delivered(self) -> bool:
        """Whether the CSMS knows the station and the end of each transaction."""
        return self.csms.booted and all(map(self.csms.has_end, self.known))

    def check_recovery(self) -> None:
        """Check that the CSMS has received every transaction, and that the energy adds up."""
        received = transactions_of(self.csms)
        assert set(received) == self.known
        counted_wh = self._first_wh
        for identity, events in received.items():
            begin, end = check_transaction(events)
            assert begin == counted_wh, "energy between two transactions that nobody pays"
            counted_wh = end
            ended_by_power_loss = events[-1]["transactionInfo"]["stoppedReason"] == "PowerLoss"
            assert ended_by_power_loss is (identity in self.interrupted)
            if ended_by_power_loss:
                assert end == self.interrupted[identity]
        assert counted_wh == self._reported_wh()

    async def check_setting(self) -> None:
        """Check that the setting has the value that was accepted last."""
        answer = await self.csms.call("GetVariables", {"getVariableData": [INTERVAL]})
        value = answer["getVariableResult"][0]["attributeValue"]
        assert value in self.intervals
        self.intervals = {value}

    async def change_setting(self, value: str) -> None:
        """Set the setting; the new value is possible from now on, and certain once the request is answered."""
        self.intervals.add(value)
        answer = await self.csms.call("SetVariables", {"setVariableData": [{**INTERVAL, "attributeValue": value}]})
        assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted", answer
        self.intervals = {value}

    def _reported_wh(self) -> float:
        file = self.storage / "simulated-meter-1.register"
        return round(register_wh(self.storage), 3) if file.exists() else self._first_wh


class Endurance:
    """Several storage directories of one process, whose power is cut again and again."""

    def __init__(self, directory: Path, csms: list[InterruptingCsms], rng: random.Random) -> None:
        self.rng = rng
        self.process = SeveralStations(directory, csms)
        self.stations = [
            CheckedStation(*storage_and_csms) for storage_and_csms in zip(self.process.storages, csms, strict=True)
        ]
        self.cuts = 0

    async def run_until_cut(self, window: Window) -> None:
        """Start, check the recovery from the last cut, charge, and cut the power."""
        inside = window in IN_DATABASE
        await self._start(window.name if inside else "", self.rng.randrange(1, 120))
        with contextlib.suppress(httpx.TransportError):
            if await self._recovered():
                await self._charge()
                if window is Window.ANSWERED:
                    self._set_trap()
                elif window is Window.ANY:
                    await asyncio.sleep(self.rng.uniform(0.0, 0.5))
                    self.process.process.kill()
        await self._until_dead()

    async def finish(self) -> None:
        """Start for the last time, check the recovery, and stop regularly."""
        await self._start("", 0)
        assert await self._recovered()
        self.process.process.send_signal(signal.SIGTERM)
        assert await self.process.ended() == 0
        for station in self.stations:
            check_billing_records(station.storage, station.known)

    async def _start(self, window: str, count: int) -> None:
        for station in self.stations:
            station.csms.booted = False
        await self.process.start(window, count, self.rng.choice((0.0, 0.0, 0.01, 0.05)))

    async def _recovered(self) -> bool:
        """Wait for and check the recovery from the last cut; returns False if the power has failed meanwhile."""
        await until(lambda: self.process.dead or all(station.all_delivered() for station in self.stations))
        for station in self.stations:
            if self.process.dead:
                return False
            station.check_recovery()
            await self._unless_dead(station.check_setting())
        return not self.process.dead

    async def _unless_dead(self, request: Coroutine[None, None, None]) -> None:
        """Await a request of a CSMS; cancel it when the power fails."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(request)
            await until(lambda: task.done() or self.process.dead)
            task.cancel()

    async def _charge(self) -> None:
        """Charge at all stations, end some charges, and change settings meanwhile."""
        for number in range(STATIONS):
            ev = {"phases": self.rng.choice((1, 3)), "max_current_a": self.rng.uniform(6.0, 32.0)}
            await self.process.post(number, "sim/evses/1/plug", ev=ev)
            await self.process.present(number)
        for _ in range(self.rng.randrange(4)):
            await asyncio.sleep(self.rng.uniform(0.0, 0.2))
            station = self.rng.choice(self.stations)
            if station.csms.connected and not self.process.dead:
                await self._unless_dead(station.change_setting(str(self.rng.randrange(3, 9))))
        if self.rng.random() < 0.5:
            await self.process.present(self.rng.randrange(STATIONS))

    def _set_trap(self) -> None:
        """Cut the power at one of the next events of a CSMS."""
        process, count = self.process.process, self.rng.randrange(1, 15)
        moment_s = self.rng.uniform(0.0, 0.005)
        event_count = itertools.count(1)

        def cut_power_at_event(_: Payload) -> None:
            if next(event_count) >= count:
                asyncio.get_running_loop().call_later(moment_s, process.kill)

        for station in self.stations:
            station.csms.trap = cut_power_at_event

    async def _until_dead(self) -> None:
        """Wait until the process is dead, and check the data of each station on disk."""
        assert await self.process.ended() == -signal.SIGKILL
        self.cuts += 1
        for station in self.stations:
            await station.check_disk()


@pytest.mark.parametrize("seed", range(2))
async def test_a_power_cut_around_the_closing_of_a_database_loses_and_repeats_nothing(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    async with contextlib.AsyncExitStack() as stack:
        csms = [InterruptingCsms(rng) for _ in range(STATIONS)]
        for each in csms:
            await stack.enter_async_context(running_csms(each))
        endurance = Endurance(tmp_path, csms, rng)
        stack.push_async_callback(endurance.process.aclose)
        for window in rng.sample(list(Window), len(Window)):
            await endurance.run_until_cut(window)
        await endurance.finish()
    assert endurance.cuts == len(Window)
    assert any(station.interrupted for station in endurance.stations)
    assert all(endpoint.schema_faults == [] for endpoint in csms)
