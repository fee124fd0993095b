"""The drivers at an EVSE of a simulated station: they plug vehicles in, present cards, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal, Protocol

from simulator.fleet.waiting import wait_until

if TYPE_CHECKING:
    from foundation.clock import Clock
    from simulator.board import SimulatedBoard
    from simulator.fleet.schedule import Arrival

_RETRY_INTERVAL_S: Final = 30.0
"""simulated seconds after which a driver whose card has not been accepted presents it again"""
_CONTRACT_WAIT_S: Final = 60.0
"""simulated seconds after which a driver presents a card although the vehicle has a contract: it is not accepted"""
_CHECK_INTERVAL_S: Final = 5.0
"""simulated seconds between two looks of a driver who waits for something"""
_DEPARTURE_TIMEOUT_S: Final = 600.0
"""simulated seconds without authorization after which a driver who wants a full battery leaves"""


class EvseForDrivers(Protocol):
    """An EVSE as its drivers see it; `board` and `clock` keep running while the station has no power."""

    @property
    def board(self) -> SimulatedBoard:
        """Its simulated board, where vehicles are plugged in."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of the station."""
        ...

    @property
    def in_use(self) -> bool | None:
        """Whether it is authorized or has a transaction; None while the station is off."""
        ...

    def present_card(self, uid: str, /) -> None:
        """Present a card at its reader."""
        ...


class Drivers:
    """Plays the arrivals of one EVSE: plugs in, presents the card until it is accepted, leaves in time."""

    def __init__(
        self,
        evse: EvseForDrivers,
        *,
        card_after_s: float,
        leave: Literal["stay", "charged"],
        leaving: asyncio.Event,
        plugged_in: Callable[[], None],
    ) -> None:
        """Take the EVSE.

        Args:
            evse: where the drivers come.
            card_after_s: from plugging in until the card is presented.
            leave: `charged`: no vehicle leaves before its battery is full.
            leaving: once it is set, all leave at once and nobody comes any more.
            plugged_in: called for each vehicle that is plugged in.
        """
        self._evse = evse
        self._card_after_s = card_after_s
        self._leave = leave
        self._leaving = leaving
        self._plugged_in = plugged_in

    async def play(self, arrivals: Iterable[Arrival], begin_s: float, end_s: float) -> None:
        """Play these arrivals, which are relative to `begin_s`; returns when the last vehicle has left.

        Times by the station's clock. A vehicle leaves at `end_s` at the latest, unless it waits for a full battery.
        Those whose stay is over when this is called are left out: the host goes on for one that was lost.
        """
        called_s = self._now_s
        for arrival in arrivals:
            if begin_s + arrival.at_s + arrival.stay_s <= called_s:
                continue
            await wait_until(self._evse.clock, begin_s + arrival.at_s, self._leaving)
            if self._leaving.is_set():
                return
            self._evse.board.plug(arrival.vehicle)
            self._plugged_in()
            leave_s = max(begin_s + arrival.at_s, self._now_s) + arrival.stay_s
            await self._stay(arrival, leave_s if self._leave == "charged" else min(leave_s, end_s))
            await self._depart(arrival)

    @property
    def _now_s(self) -> float:
        return self._evse.clock.monotonic()

    async def _stay(self, arrival: Arrival, leave_s: float) -> None:
        """Present the card whenever the EVSE is not in use, until it is time to leave."""
        communication = arrival.vehicle.communication
        wait_s = _CONTRACT_WAIT_S if communication is not None and communication.contract is not None else 0.0
        presented_s = self._now_s + self._card_after_s + wait_s - _RETRY_INTERVAL_S
        last_used_s = self._now_s
        while not self._leaving.is_set():
            now_s, in_use = self._now_s, self._evse.in_use
            last_used_s = now_s if in_use else last_used_s
            if now_s >= leave_s and (not self._waits_for_full_battery() or now_s - last_used_s > _DEPARTURE_TIMEOUT_S):
                return
            if in_use is False and not self._has_ended(arrival) and now_s - presented_s >= _RETRY_INTERVAL_S:
                self._evse.present_card(arrival.uid)
                presented_s = now_s
            if now_s >= leave_s:
                next_s = now_s + _CHECK_INTERVAL_S
            elif in_use:
                next_s = min(now_s + _RETRY_INTERVAL_S, leave_s)
            else:
                next_s = min(max(presented_s + _RETRY_INTERVAL_S, now_s + 1.0), leave_s)
            await wait_until(self._evse.clock, next_s, self._leaving)

    def _has_ended(self, arrival: Arrival) -> bool:
        """Return whether the vehicle has ended its session because its battery is full: no card is needed any more."""
        vehicle = self._evse.board.vehicle
        return arrival.vehicle.communication is not None and vehicle is not None and vehicle.soc >= 1.0

    def _waits_for_full_battery(self) -> bool:
        """Return whether the driver waits for a full battery, and it is not full."""
        vehicle = self._evse.board.vehicle
        return self._leave == "charged" and vehicle is not None and vehicle.soc < 1.0

    async def _depart(self, arrival: Arrival) -> None:
        """Unplug the vehicle; if the cable is locked, end its session or present the card until it is not."""
        tried_s = -_RETRY_INTERVAL_S
        while self._evse.board.vehicle is not None:
            if not self._evse.board.locked:
                self._evse.board.unplug()
                return
            if self._evse.in_use is not None and self._now_s - tried_s >= _RETRY_INTERVAL_S:
                evcc = self._evse.board.secc.evcc if self._evse.board.secc is not None else None
                if evcc is not None and evcc.in_session:
                    evcc.stop()
                else:
                    self._evse.present_card(arrival.uid)
                tried_s = self._now_s
            await self._evse.clock.sleep(1.0)
