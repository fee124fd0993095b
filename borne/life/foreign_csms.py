"""Any other CSMS in days of life: out of reach by the station's network, told by an adapter, its bills compared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from borne.life.invariants import InvariantError
from foundation.json_values import number_or_none
from simulator.scenarios.under_test import CsmsError
from station.core.model import EventType
from station.storage.outbox import Outbox

if TYPE_CHECKING:
    from borne.station_runtime import StationRuntime
    from simulator.clock import VirtualClock
    from simulator.scenarios.under_test import ControlledCsms
    from station.core.model import TransactionEvent

_ASKING_S: Final = 600.0
"""seconds of the station's clock that pass at most while it answers a request"""
_STEP_S: Final = 1.0
_REAL_STEP_S: Final = 0.05
_TOLERANCE_WH: Final = 0.01
"""rounding of one bill"""


class ComparedBills:
    """The bills of a CSMS and what the meter has counted, for the transactions that it has of both."""

    def __init__(self) -> None:
        self.compared = 0
        """number of transactions whose bill has an energy"""
        self.without_energy = 0
        """number of transactions that neither side has an energy of, since the meter was silent"""
        self.billed_wh = 0.0
        """the sum of the bills"""
        self.faults: list[str] = []
        """transactions whose bill is missing or wrong"""

    def add(self, identity: str, energy_wh: float | None, bill: Mapping[str, object] | None) -> None:
        """Compare the bill of a transaction, None if there is none, with its energy; None: the meter was silent."""
        billed_wh = number_or_none(bill.get("energy_wh")) if bill is not None else None
        if bill is None:
            self.faults.append(f"transaction {identity} has no bill")
        elif energy_wh is None or billed_wh is None:
            self.without_energy += 1
            if energy_wh is not None:
                self.faults.append(f"transaction {identity} has a bill without energy")
        else:
            self.compared += 1
            self.billed_wh += billed_wh
            if abs(billed_wh - energy_wh) > _TOLERANCE_WH:
                self.faults.append(f"transaction {identity} is billed {billed_wh:.3f} Wh, was {energy_wh:.3f} Wh")


class ForeignCsms:
    """A CSMS at a URL (`LifeCsms`); `control` tells it what to send and reads its bills, None: nobody can."""

    def __init__(self, runtime: StationRuntime, clock: VirtualClock, control: ControlledCsms | None) -> None:
        self._runtime = runtime
        self._clock = clock
        self._control = control
        self._away = False
        self.refused_orders = 0
        """requests that it could not be made to send"""
        self._energies_wh: dict[str, float | None] = {}
        """energy of each ended transaction by the station's own events; None: without registers"""
        self._begins_wh: dict[str, float | None] = {}
        """register at the begin of each running transaction"""
        runtime.auxiliary.subscribe(runtime.started, self._use_run)

    @property
    def faults(self) -> Sequence[str]:
        """Always empty: such a CSMS does not report errors."""
        return ()

    @property
    def running(self) -> int:
        """Always 0: such a CSMS does not report this."""
        return 0

    def leave(self) -> None:
        """Cut the network of the station."""
        self._away = True
        if (link := self._runtime.link) is not None:
            link.cut_network()

    def come_back(self) -> None:
        """Restore the network of the station."""
        self._away = False
        if (link := self._runtime.link) is not None:
            link.restore_network()

    def restart(self) -> None:
        """Abort the connection."""
        link = self._runtime.link
        if link is not None and link.connected:
            link.drop_connection()

    async def ask(self, action: str, payload: Mapping[str, object]) -> None:
        """Make the CSMS send a request through its adapter, and advance the clock until the station has answered.

        Without effect if there is no adapter, or while the network of the station is cut.
        """
        if self._control is None or self._away or not self._runtime.running:
            return
        control = self._control
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._asked(control, action, payload))
            passed_s = 0.0
            while not asking.done() and passed_s < _ASKING_S:
                await asyncio.wait([asking], timeout=_REAL_STEP_S)
                if not asking.done():
                    await self._clock.advance(_STEP_S)
                    passed_s += _STEP_S
            asking.cancel()

    async def _asked(self, control: ControlledCsms, action: str, payload: Mapping[str, object]) -> None:
        try:
            await control.call(self._runtime.identity, action, payload)
        except CsmsError:  # the station may be away, or the adapter has no such route
            self.refused_orders += 1

    async def check_adapter(self) -> None:
        """Read its bills once, if somebody can, so that a wrong adapter is noticed before the first day.

        Raises:
            CsmsError: they cannot be read.
        """
        if self._control is not None:
            try:
                await self._control.bill(self._runtime.identity, "")
            except CsmsError as error:
                raise CsmsError(f"--csms-api: {error}") from error

    async def compare_bills(self) -> ComparedBills | None:
        """Compare its bills with the station's own events; None: nobody can read its bills.

        Raises:
            InvariantError: they cannot be read.
        """
        if self._control is None:
            return None
        found = ComparedBills()
        for identity, energy_wh in self._energies_wh.items():
            try:
                bill = await self._control.bill(self._runtime.identity, identity)
            except CsmsError as error:
                raise InvariantError(f"the bills cannot be read: {error}") from error
            found.add(identity, energy_wh, bill)
        return found

    def _use_run(self, runtime: StationRuntime) -> None:
        """Follow the events of a new run of the station, and keep it out of reach while it is away."""
        runtime.auxiliary.subscribe(runtime.parts.get(Outbox).appended, self._note_event)
        if self._away and (link := runtime.link) is not None:
            link.cut_network()

    def _note_event(self, event: TransactionEvent) -> None:
        register_wh = None if event.register is None else event.register.energy_import_wh
        if event.event_type is EventType.STARTED:
            self._begins_wh[event.transaction_id] = register_wh
        elif event.event_type is EventType.ENDED:
            begin_wh = self._begins_wh.pop(event.transaction_id, None)
            energy_wh = None if begin_wh is None or register_wh is None else register_wh - begin_wh
            self._energies_wh[event.transaction_id] = energy_wh
