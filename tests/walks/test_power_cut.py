"""The power fails at any moment of a charge: what was charged is billed once, wholly and in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import signal
import sqlite3
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import httpx
import pytest

from borne.journal_file import check_journal_file, export_entries
from station.charging.sampling_settings import SamplingSettings
from station.charging.tokens.admission import TokenOutcome
from station.core.hardware.board import SAFE_OUTPUTS
from tests.csms import Csms, Payload, running_csms
from tests.patience import until
from tests.programs import Launch, ProgramHost
from tests.walk import Walk, walking
from tests.walks.station_process import IDENTITY, StationProcess, initial_register_wh, open_transactions

REGISTER = "Energy.Active.Import.Register"
SETTINGS = """
[[variable]]
component = "SampledDataCtrlr"
variable = "TxUpdatedInterval"
value = "5"
[[variable]]
component = "OCPPCommCtrlr"
variable = "RetryBackOffWaitMinimum"
value = "5"
[[variable]]
component = "OCPPCommCtrlr"
variable = "RetryBackOffRepeatTimes"
value = "0"
[[variable]]
component = "OCPPCommCtrlr"
variable = "RetryBackOffRandomRange"
value = "2"
"""


class Cut(StrEnum):
    """The moment of a power cut."""

    BEFORE = "before a vehicle comes"
    PLUGGED = "while the start is recorded"
    STARTING = "between the card and the energy"
    CHARGING = "while charging"
    LINK_LOST = "while charging, after the CSMS went away"
    OFFLINE = "in a charge that the CSMS knows nothing of"
    ENDED = "during the end, or after it"
    UNANSWERED = "when the CSMS has an event and has not answered"
    ANSWERED = "when the CSMS has just answered an event"
    RECOVERING = "while recovering from the cut before"
    WHILE_STARTING = "while starting, and then once more while recovering"


class InterruptingCsms(Csms):
    """A CSMS that sometimes answers late, and calls `trap` at its n-th transaction event."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self.trap: Callable[[Payload], None] | None = None
        """called with each received transaction event, before it is answered"""
        self.answers["TransactionEvent"] = self._take_event
        self.booted = False
        """whether a BootNotification has arrived since the last start"""
        self.answers["BootNotification"] = self._take_boot

    async def _answer(self, identity: str, action: str, payload: Payload) -> None:
        if self._rng.random() < 0.2:
            await asyncio.sleep(self._rng.uniform(0.0, 0.05))
        await super()._answer(identity, action, payload)

    def _take_boot(self, payload: Payload) -> Payload:
        self.booted = True
        return {"currentTime": self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "interval": 300, "status": "Accepted"}

    def _take_event(self, event: Payload) -> Payload:
        assert self.booted, "an event came before a BootNotification of this start"
        if self.trap is not None:
            self.trap(event)
        return {"idTokenInfo": {"status": "Accepted"}} if "idToken" in event else {}

    def has_end(self, transaction_id: str) -> bool:
        """Whether the CSMS has received the Ended event of a transaction."""
        ends = (event for event in self.received("TransactionEvent") if event["eventType"] == "Ended")
        return any(event["transactionInfo"]["transactionId"] == transaction_id for event in ends)

    def refuse_connections(self) -> None:
        """Close the connection and refuse new ones until `accept_again`."""
        self.http_status = 503
        self.drop()

    def accept_again(self) -> None:
        """Accept connections again."""
        self.http_status = None


def register_readings_wh(event: Payload) -> list[float]:
    """Return the readings of the import register in an event."""
    samples = [sample for value in event.get("meterValue", []) for sample in value["sampledValue"]]
    return [sample["value"] for sample in samples if sample["measurand"] == REGISTER]


def without_offline(event: Payload) -> Payload:
    return {key: value for key, value in event.items() if key != "offline"}


def transactions_of(csms: Csms) -> dict[str, list[Payload]]:
    """What the CSMS has of each transaction, each event once: sent again, it must be the same but for `offline`."""
    found: dict[str, dict[int, Payload]] = {}
    for event in csms.received("TransactionEvent"):
        numbered = found.setdefault(event["transactionInfo"]["transactionId"], {})
        first = numbered.setdefault(event["seqNo"], event)
        assert without_offline(event) == without_offline(first)
    return {identity: [numbered[key] for key in sorted(numbered)] for identity, numbered in found.items()}


def check_transaction(events: list[Payload]) -> tuple[float, float]:
    """A transaction from start to end without a gap, its register never falling; the register at both ends."""
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    kinds = [event["eventType"] for event in events]
    assert kinds == ["Started", *["Updated"] * (len(events) - 2), "Ended"]
    registers = [register_readings_wh(event) for event in events]
    assert all(values == sorted(values) for values in registers)  # the end tells the begin too
    readings = [values[-1] for values in registers if values]
    assert readings == sorted(readings)
    (begin,), (*_, end) = register_readings_wh(events[0]), register_readings_wh(events[-1])
    return begin, end


def check_billing_records(storage: Path, transactions: set[str]) -> None:
    """The journal is whole and has each begin and each end once; what was signed has no page missing or twice."""
    assert check_journal_file(storage).intact, check_journal_file(storage).lines
    entries = [json.loads(line) for line in export_entries(storage)]
    for kind in ("begin", "end"):
        noted = [entry["details"]["transaction"] for entry in entries if entry["event"] == kind]
        assert sorted(noted) == sorted(transactions), kind
    assert [entry["event"] for entry in entries].count("signing-key") == 1
    with contextlib.closing(sqlite3.connect(storage / "borne.sqlite")) as database:
        signed = database.execute("SELECT page, transaction_id, reason FROM signed_records ORDER BY number").fetchall()
    assert [page for page, _, _ in signed] == list(range(1, len(signed) + 1))
    for identity in transactions:
        reasons = [reason for _, transaction_id, reason in signed if transaction_id == identity]
        assert reasons == [] or (reasons[0] == "B" and len(reasons) == 2), reasons


class Endurance:
    """A station with one storage directory, whose power is cut again and again."""

    def __init__(self, directory: Path, csms: InterruptingCsms, rng: random.Random, launch: Launch) -> None:
        self.csms = csms
        self.rng = rng
        self.station = StationProcess(directory, csms.url, more=SETTINGS, launch=launch)
        self.known: set[str] = set()
        """the transactions that were on disk at a cut"""
        self.interrupted: dict[str, float] = {}
        """those that were open at a cut, with the register at that time"""
        self.cuts = 0

    async def run_until_cut(self, cut: Cut) -> None:
        """Start, check the recovery from the last cut, charge, and cut the power."""
        self._start()
        if cut is Cut.WHILE_STARTING:
            await self._pause(0.1)  # it starts in 0.03 s, on an idle machine
            await self._lose_power()
            self._start()
        await self.station.ready()
        if cut in {Cut.RECOVERING, Cut.WHILE_STARTING}:
            await self._pause(0.05)
        else:
            await self.check_recovery()
            with contextlib.suppress(httpx.TransportError):  # the power fails while the API answers
                await self._charge(cut)
        await self._lose_power()

    async def finish(self) -> None:
        """Start for the last time, check the recovery, and stop regularly."""
        self._start()
        await self.station.ready()
        await self.check_recovery()
        self.station.signal(signal.SIGTERM)
        assert await self.station.ended() == 0
        check_billing_records(self.station.storage, self.known)

    async def check_recovery(self) -> None:
        """Check that the CSMS has received every transaction, and that the energy adds up."""
        self.csms.accept_again()
        await until(lambda: self.csms.booted and all(self.csms.has_end(identity) for identity in self.known))
        received = transactions_of(self.csms)
        assert set(received) == self.known
        counted_wh = initial_register_wh(IDENTITY)
        for events in received.values():
            begin, end = check_transaction(events)
            assert begin == counted_wh, "energy between two transactions that nobody pays"
            counted_wh = end
        assert counted_wh == self._reported_wh()
        for identity, events in received.items():
            last = events[-1]
            ended_by_power_loss = last["transactionInfo"]["stoppedReason"] == "PowerLoss"
            assert ended_by_power_loss is (identity in self.interrupted)
            if ended_by_power_loss:
                assert register_readings_wh(last)[-1] == self.interrupted[identity]

    def _start(self) -> None:
        self.csms.booted = False
        self.station.start()

    def _reported_wh(self) -> float:
        """Return the register of the billing meter, rounded as in events: to a milliwatt-hour."""
        return round(self.station.register_wh(), 3)

    async def _pause(self, longest_s: float) -> None:
        """Wait for a random time."""
        await asyncio.sleep(self.rng.uniform(0.0, longest_s))

    async def _lose_power(self) -> None:
        """Kill the station; check that every event that the CSMS has received is on the disk."""
        self.station.kill()
        assert await self.station.ended() == -signal.SIGKILL
        self.cuts += 1
        self.csms.trap = None
        await until(lambda: not self.csms.connected)
        found = self.station.records()
        on_disk = {record.key: record.wire for record in found}
        assert len(on_disk) == len(found)
        for event in self.csms.received("TransactionEvent"):
            assert on_disk[event["transactionInfo"]["transactionId"], event["seqNo"]] == without_offline(event)
        self.known |= {identity for identity, _ in on_disk}
        for identity in open_transactions(found):
            self.interrupted.setdefault(identity, self._reported_wh())

    async def _charge(self, cut: Cut) -> None:
        """Charge until the cut."""
        if cut is Cut.BEFORE:
            await self._pause(0.1)
            return
        if cut in {Cut.UNANSWERED, Cut.ANSWERED}:
            self._set_trap(cut)
        if cut is Cut.OFFLINE:
            self.csms.refuse_connections()
        await self.station.plug(phases=self.rng.choice((1, 3)), max_current_a=self.rng.uniform(6.0, 32.0))
        if cut is Cut.PLUGGED:
            await self._pause(0.03)
            return
        await self.station.present()
        if cut is Cut.STARTING:
            await self._pause(0.06)
            return
        await self.station.until_evse(lambda evse: evse["charging_state"] == "Charging")
        if cut is Cut.LINK_LOST:
            self.csms.refuse_connections()
        await self._pause(0.4)
        if cut in {Cut.CHARGING, Cut.LINK_LOST}:
            return
        await self._end_charge()
        if cut in {Cut.UNANSWERED, Cut.ANSWERED}:
            await until(lambda: self.station.process.poll() is not None)
        await self._pause(0.15)

    async def _end_charge(self) -> None:
        match self.rng.randrange(3):
            case 0:
                await self.station.present()
            case 1:
                await self.station.post("/api/evses/1/stop")
            case _:
                await self.station.post("/api/sim/evses/1/unplug", ev_side=True)

    def _set_trap(self, cut: Cut) -> None:
        """Cut the power at one of the first events, or at the latest at the end."""
        process, after = self.station.process, self.rng.randrange(8)
        moment_s = self.rng.uniform(0.0, 0.005)
        event_count = itertools.count()

        def cut_power_at_event(event: Payload) -> None:
            if next(event_count) < after and event["eventType"] != "Ended":
                return
            if cut is Cut.UNANSWERED:
                process.kill()
            else:
                asyncio.get_running_loop().call_later(moment_s, process.kill)

        self.csms.trap = cut_power_at_event


@pytest.mark.parametrize("seed", range(10))
async def test_a_power_cut_at_any_moment_loses_nothing_and_bills_nothing_twice(
    tmp_path: Path, seed: int, program_host: ProgramHost
) -> None:
    rng = random.Random(seed)
    csms = InterruptingCsms(rng)
    async with running_csms(csms):
        endurance = Endurance(tmp_path, csms, rng, program_host.launch)
        try:
            await endurance.run_until_cut(Cut.ENDED)
            for cut in rng.sample(list(Cut), len(Cut)):
                await endurance.run_until_cut(cut)
            await endurance.finish()
        finally:
            await endurance.station.aclose()
    assert endurance.cuts == len(Cut) + 2  # one of them fails twice
    assert len(endurance.interrupted) >= 2  # surely while charging, with and without a link
    assert set(endurance.interrupted) <= endurance.known  # how many came to their own end is chance
    assert csms.schema_faults == []


def events_of(events: list[Payload], transaction_id: str) -> list[Payload]:
    """Return the events of a transaction."""
    return [event for event in events if event["transactionInfo"]["transactionId"] == transaction_id]


async def lose_power(walk: Walk, action: str) -> None:
    """Switch the power through the simulation API."""
    transport = httpx.ASGITransport(app=walk.process.web_application())
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
        answer = await api.post("/api/sim/power", json={"action": action})
        assert answer.is_success, answer.text


async def test_power_loss_opens_the_contactor_and_the_charge_ends_when_power_is_back(tmp_path: Path) -> None:
    """A vehicle that is still there begins a new transaction, without anybody's authorization."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.advance(100)
        interrupted = walk.evse.transaction_id
        assert interrupted is not None
        await lose_power(walk, "loss")
        assert not walk.application.running
        assert walk.board.outputs == SAFE_OUTPUTS
        register_wh = round(walk.board.read_meter().energy_import_wh or 0.0, 3)
        await walk.advance(3600)
        events_before = len(walk.events())
        await lose_power(walk, "restore")
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.until(lambda: ("Ended", "AbnormalCondition") in walk.types_and_triggers())
        await walk.until(lambda: ("Started", "CablePluggedIn") in walk.types_and_triggers()[events_before:])
        events = events_of(walk.events(), interrupted)
        check_transaction(events)
        assert events[-1]["transactionInfo"]["stoppedReason"] == "PowerLoss"
        assert events[-1]["offline"] is True
        assert register_readings_wh(events[-1]) == [0.0, register_wh]
        assert register_wh > 600.0
        assert walk.evse.transaction_id not in {None, interrupted}
        await walk.advance(60)
        assert not walk.board.outputs.contactor


async def test_after_a_power_cycle_the_same_card_charges_on_in_a_new_transaction(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.advance(100)
        interrupted = walk.evse.transaction_id
        assert interrupted is not None
        await lose_power(walk, "cycle")
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.until(lambda: walk.evse.transaction_id is not None)
        resumed = walk.evse.transaction_id
        assert resumed is not None
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        await walk.advance(100)
        assert await walk.present() is TokenOutcome.STOPPED
        await walk.until(lambda: ("Ended", "StopAuthorized") in walk.types_and_triggers())
        _, first_end = check_transaction(events_of(walk.events(), interrupted))
        second_begin, second_end = check_transaction(events_of(walk.events(), resumed))
        assert first_end == second_begin
        assert second_end - second_begin > 600.0


async def test_settings_and_the_authorization_cache_outlive_a_power_cycle(tmp_path: Path) -> None:
    """A card that the CSMS has accepted once charges after a power cut, although the CSMS is away (C10.FR.02)."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.set_variable("SampledDataCtrlr", "TxUpdatedInterval", "17")
        await walk.present()
        await walk.until(lambda: ("Ended", "StopAuthorized") in walk.types_and_triggers())
        await walk.unplug()
        walk.csms.http_status = 503
        await lose_power(walk, "cycle")
        assert walk.parts.settings(SamplingSettings).sampled_tx_updated_interval_s == 17
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert len(walk.csms.received("BootNotification")) == 1
