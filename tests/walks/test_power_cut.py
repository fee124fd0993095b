"""The power fails at any moment of a charge: what was charged is billed once, wholly and in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

import pytest

from tests.csms import Csms, Payload, running_csms
from tests.walk import Walk, walking
from tests.walks.station_process import StationProcess, open_transactions, until

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
    """When the power fails."""

    BEFORE = "before a vehicle comes"
    PLUGGED = "while the start is recorded"
    STARTING = "between the card and the energy"
    CHARGING = "while charging"
    CHARGING_OFFLINE = "while charging without a CSMS"
    ENDING = "at the end"
    ENDING_OFFLINE = "at the end, without a CSMS"
    UNANSWERED = "when the CSMS has an event and has not answered"
    ANSWERED = "when the CSMS has just answered"
    RECOVERING = "while recovering from the last cut"
    TWICE_RECOVERING = "twice while recovering from the last cut"


class RestlessCsms(Csms):
    """A CSMS that takes its time now and then, and at whose n-th event the power may fail."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.trap: Callable[[], None] | None = None
        """what happens when an event arrives, before it is answered"""
        self.answers["TransactionEvent"] = self._take_event
        self.booted = False
        """whether the station has introduced itself since it was started"""
        self.answers["BootNotification"] = self._take_boot

    async def _answer(self, identity: str, action: str, payload: Payload) -> None:
        if self._chance.random() < 0.2:
            await asyncio.sleep(self._chance.uniform(0.0, 0.05))
        await super()._answer(identity, action, payload)

    def _take_boot(self, payload: Payload) -> Payload:
        self.booted = True
        return {"currentTime": self.now().isoformat(), "interval": 300, "status": "Accepted"}

    def _take_event(self, event: Payload) -> Payload:
        assert self.booted, "an event came before a BootNotification of this start"
        if self.trap is not None:
            self.trap()
        return {"idTokenInfo": {"status": "Accepted"}} if "idToken" in event else {}

    def leave(self) -> None:
        """Be away until `come_back`."""
        self.http_status = 503
        self.drop()

    def come_back(self) -> None:
        """Be there again."""
        self.http_status = None


def register_of(event: Payload) -> list[float]:
    """The readings of the import register in an event."""
    samples = [sample for value in event.get("meterValue", []) for sample in value["sampledValue"]]
    return [sample["value"] for sample in samples if sample["measurand"] == REGISTER]


def without_offline(event: Payload) -> Payload:
    return {key: value for key, value in event.items() if key != "offline"}


def transactions_of(csms: Csms) -> dict[str, list[Payload]]:
    """What the CSMS has of each transaction, each event once: sent again, it must be the same but for `offline`."""
    found: dict[str, dict[int, Payload]] = {}
    for event in csms.sent("TransactionEvent"):
        numbered = found.setdefault(event["transactionInfo"]["transactionId"], {})
        first = numbered.setdefault(event["seqNo"], event)
        assert without_offline(event) == without_offline(first)
    return {identity: [numbered[key] for key in sorted(numbered)] for identity, numbered in found.items()}


def check_transaction(events: list[Payload]) -> float:
    """A transaction from its start to its end without a gap, its register never falling; what it used, in Wh."""
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    kinds = [event["eventType"] for event in events]
    assert kinds == ["Started", *["Updated"] * (len(events) - 2), "Ended"]
    readings = [reading for event in events for reading in register_of(event)]
    assert readings == sorted(readings)
    (begin,), (*_, end) = register_of(events[0]), register_of(events[-1])
    return end - begin


class Endurance:
    """One storage directory that loses its power again and again."""

    def __init__(self, directory: Path, csms: RestlessCsms, chance: random.Random) -> None:
        self.csms = csms
        self.chance = chance
        self.station = StationProcess(directory, csms.url, more=SETTINGS)
        self.interrupted: dict[str, float] = {}
        """transactions that were open at a cut, and what the register showed then"""
        self.kills = 0

    async def live(self, cut: Cut) -> None:
        """Start, prove that all is well after the cut before, charge, and lose the power."""
        self.csms.booted = False
        self.station.start()
        if cut in {Cut.RECOVERING, Cut.TWICE_RECOVERING}:
            await self._fail_in_recovery()
            if cut is Cut.TWICE_RECOVERING:
                self.csms.booted = False
                self.station.start()
                await self._fail_in_recovery()
            return
        await self.station.ready()
        await self.check_recovery()
        try:
            await _LIVES[cut](self)
        finally:
            self.csms.trap = None
        await self._fail()

    async def check_recovery(self) -> None:
        """The CSMS has everything, and it adds up."""
        self.csms.come_back()
        wanted = {record.key[0] for record in self.station.records_while_running()}
        wanted |= set(self.interrupted)
        await until(lambda: self.csms.booted and all(self._has_end(identity) for identity in wanted))
        told = transactions_of(self.csms)
        assert set(told) == wanted
        used_wh = sum(check_transaction(events) for events in told.values())
        assert used_wh == pytest.approx(self.station.register_wh(), abs=1e-6)
        for identity, register in self.interrupted.items():
            last = told[identity][-1]
            assert last["transactionInfo"]["stoppedReason"] == "PowerLoss"
            assert register_of(last)[-1] == register
        for identity in set(told) - set(self.interrupted):
            assert told[identity][-1]["transactionInfo"]["stoppedReason"] != "PowerLoss"

    def _has_end(self, identity: str) -> bool:
        events = [e for e in self.csms.sent("TransactionEvent") if e["transactionInfo"]["transactionId"] == identity]
        return any(event["eventType"] == "Ended" for event in events)
