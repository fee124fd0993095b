"""The power fails while five EVSEs record at once: between the events of a commit, around it, and in a queue."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
from enum import StrEnum
from pathlib import Path

import httpx
import pytest

from tests.csms import Payload, running_csms
from tests.patience import until
from tests.programs import Launch, ProgramHost
from tests.walks.station_process import (
    IDENTITY,
    StationProcess,
    initial_register_wh,
    open_transactions,
    register_wh,
)
from tests.walks.test_power_cut import (
    SETTINGS,
    InterruptingCsms,
    check_transaction,
    register_readings_wh,
    transactions_of,
)

EVSES = range(1, 6)
CONFIGURATION = (
    SETTINGS
    + """
[[variable]]
component = "AlignedDataCtrlr"
variable = "Measurands"
value = "Energy.Active.Import.Register"
[[variable]]
component = "AlignedDataCtrlr"
variable = "Interval"
value = "5"
"""
    + "".join(f"[[evse]]\nid = {evse_id}\n" for evse_id in EVSES)
)


class Window(StrEnum):
    """The moment of a power cut."""

    HALF_WRITTEN = "between two events of one commit"
    UNCOMMITTED = "when all events of a commit are written, before it"
    COMMITTED = "right after a commit of several events, before any of them is sent"
    UNANSWERED = "in a queue that drains, before an event is answered"
    ANSWERED = "in a queue that drains, when an event was just answered"
    ANY = "at any moment while all EVSEs charge"


CUT = """
import functools, os, signal, sqlite3

class CutConnection(sqlite3.Connection):
    events = reached = 0

    def execute(self, sql, *values):
        if sql.startswith("BEGIN"):
            self.events = 0
        if "INSERT INTO events" in sql:
            self.events += 1
            if self.events == 2:
                self.reach("{half_written}")
        several = sql == "COMMIT" and self.events > 1
        if several:
            self.reach("{uncommitted}")
        result = super().execute(sql, *values)
        if several:
            self.reach("{committed}")
        return result

    def reach(self, window):
        if window == "{window}":
            self.reached += 1
            if self.reached == {count}:
                os.kill(os.getpid(), signal.SIGKILL)

sqlite3.connect = functools.partial(sqlite3.connect, factory=CutConnection)
"""
"""makes a program kill itself when a commit of several events reaches a window for the `count`-th time"""
IN_COMMIT = (Window.HALF_WRITTEN, Window.UNCOMMITTED, Window.COMMITTED)


class CrowdedStation:
    """A station with five EVSEs and one storage directory, whose power is cut again and again."""

    def __init__(self, directory: Path, csms: InterruptingCsms, rng: random.Random, launch: Launch) -> None:
        self.csms = csms
        self.rng = rng
        self.station = StationProcess(directory, csms.url, more=CONFIGURATION, launch=launch)
        self.evse_of: dict[str, int] = {}
        """the transactions that were on disk at a cut"""
        self.interrupted: dict[str, float] = {}
        """those that were open at a cut, with the register of their EVSE at that time"""

    async def run_until_cut(self, window: Window) -> None:
        """Start, check the recovery from the last cut, charge at all EVSEs, and cut the power."""
        await self._start(self._cut(window) if window in IN_COMMIT else "")
        await self.check_recovery()
        with contextlib.suppress(httpx.TransportError):  # the power fails while the API answers
            await self._charge_everywhere()
            if window in IN_COMMIT:
                await self._until_killed()
            elif window is Window.ANY:
                await asyncio.sleep(self.rng.uniform(0.0, 0.4))
                self.station.kill()
            else:
                self.csms.refuse_connections()
                await asyncio.sleep(self.rng.uniform(0.2, 0.8))
                self._set_trap(window)
                self.csms.accept_again()
                await self._until_killed()
        await self._check_disk()

    async def finish(self) -> None:
        """Start for the last time, check the recovery, and stop regularly."""
        await self._start()
        await self.check_recovery()
        self.station.signal(signal.SIGTERM)
        assert await self.station.ended() == 0

    async def check_recovery(self) -> None:
        """Check that the CSMS has received every transaction, and that the energy of each EVSE adds up."""
        self.csms.accept_again()
        await until(lambda: self.csms.booted and all(map(self.csms.has_end, self.evse_of)))
        received = transactions_of(self.csms)
        assert set(received) == set(self.evse_of)
        counted_wh = {evse_id: initial_register_wh(IDENTITY, evse_id) for evse_id in EVSES}
        for identity, events in received.items():
            begin, end = check_transaction(events)
            assert begin == counted_wh[self.evse_of[identity]], "energy between two transactions that nobody pays"
            counted_wh[self.evse_of[identity]] = end
            assert events[-1]["transactionInfo"]["stoppedReason"] == "PowerLoss"
            assert register_readings_wh(events[-1])[-1] == self.interrupted[identity]
        assert counted_wh == {evse_id: self._reported_wh(evse_id) for evse_id in EVSES}

    async def _start(self, cut: str = "") -> None:
        self.csms.booted = False
        self.station.start(mistake=cut)
        await self.station.ready()

    def _cut(self, window: Window) -> str:
        names = {each.name.lower(): each.name for each in IN_COMMIT}
        return CUT.format(window=window.name, count=self.rng.randrange(1, 15), **names)

    def _reported_wh(self, evse_id: int) -> float:
        return round(register_wh(self.station.storage, evse_id), 3)

    async def _charge_everywhere(self) -> None:
        for evse_id in EVSES:
            ev = {"phases": self.rng.choice((1, 3)), "max_current_a": self.rng.uniform(6.0, 32.0)}
            await self.station.post(f"/api/sim/evses/{evse_id}/plug", ev=ev)
            await self.station.post(f"/api/evses/{evse_id}/token", id_token=f"04A3B2C1D5E68{evse_id}", type="ISO14443")
        for evse_id in EVSES:
            await self.station.until_evse(lambda evse: evse["charging_state"] == "Charging", evse_id)

    async def _until_killed(self) -> None:
        """Wait until the program is dead."""
        await until(lambda: self.station.process.poll() is not None)

    async def _check_disk(self) -> None:
        """Check that every received event is on the disk, and that none is missing in between."""
        assert await self.station.ended() == -signal.SIGKILL
        self.csms.trap = None
        await until(lambda: not self.csms.connected)
        found = self.station.records()
        on_disk = {record.key: record.wire for record in found}
        assert len(on_disk) == len(found)
        for event in self.csms.received("TransactionEvent"):
            sent_event = {key: value for key, value in event.items() if key != "offline"}
            assert on_disk[event["transactionInfo"]["transactionId"], event["seqNo"]] == sent_event
        for identity, records in itertools.groupby(
            sorted(found, key=lambda record: record.key), lambda record: record.key[0]
        ):
            events = list(records)
            assert [record.key[1] for record in events] == list(range(len(events)))
            self.evse_of[identity] = events[0].event.evse_id
        for identity in open_transactions(found):
            self.interrupted.setdefault(identity, self._reported_wh(self.evse_of[identity]))

    def _set_trap(self, window: Window) -> None:
        """Cut the power at one of the next events."""
        process, count = self.station.process, self.rng.randrange(1, 30)
        moment_s = self.rng.uniform(0.0, 0.005)
        event_count = itertools.count(1)

        def cut_power_at_event(_: Payload) -> None:
            if next(event_count) < count:
                return
            if window is Window.UNANSWERED:
                process.kill()
            else:
                asyncio.get_running_loop().call_later(moment_s, process.kill)

        self.csms.trap = cut_power_at_event


@pytest.mark.parametrize("seed", range(3))
async def test_a_power_cut_while_events_are_stored_or_sent_together_loses_and_repeats_nothing(
    tmp_path: Path, seed: int, program_host: ProgramHost
) -> None:
    rng = random.Random(seed)
    csms = InterruptingCsms(rng)
    async with running_csms(csms):
        crowded = CrowdedStation(tmp_path, csms, rng, program_host.launch)
        try:
            for window in rng.sample(list(Window), len(Window)):
                await crowded.run_until_cut(window)
            await crowded.finish()
        finally:
            await crowded.station.aclose()
    assert len(crowded.interrupted) > len(Window), "several EVSEs charge at each cut"
    assert csms.schema_faults == []
