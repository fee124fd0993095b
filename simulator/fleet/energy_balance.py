"""The energy balance of a fleet: what the meters have counted, and what the CSMS bills. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from simulator.fleet.reports import StationReport


class CsmsBill(Frozen):
    """One transaction as a CSMS knows it."""

    energy_wh: float | None
    """None: it lacks begin or end"""
    missing_events: int = 0
    """sequence numbers that it has not received, from 0 to the highest one that it has"""


Bills = Mapping[str, Mapping[str, CsmsBill]]
"""by identity of the station and transactionId"""
BUNDLED_SOURCE: Final = "bills of the bundled CSMS"
_ANSWERED_SOURCE: Final = "transaction events that the CSMS has answered"


class StationBalance(Frozen):
    """The energy of one station."""

    number: int
    identity: str
    register_wh: float
    """what its meters have counted"""
    billed_wh: float
    """sum of its bills at the CSMS"""
    transactions: int
    """number of its bills"""
    missing_events: int = 0
    """transaction events that the CSMS has not received, by their sequence numbers; 0 if it cannot be asked"""
    missing_bills: int = 0
    """transactions whose end the CSMS has answered, and for which it has no bill"""

    @property
    def difference_wh(self) -> float:
        """Bills minus meters: positive if the CSMS bills more."""
        return self.billed_wh - self.register_wh


class EnergyBalance(Frozen):
    """The energy of a fleet, without the stations that were replaced."""

    stations: tuple[StationBalance, ...]
    source: str
    """where the bills are from, for readers of the report"""
    unknown_stations: tuple[str, ...] = ()
    """identities with bills at the CSMS that are not in the fleet"""

    @property
    def register_wh(self) -> float:
        """Sum of all registers in Wh."""
        return sum(station.register_wh for station in self.stations)

    @property
    def billed_wh(self) -> float:
        """The sum of all bills."""
        return sum(station.billed_wh for station in self.stations)

    @property
    def transactions(self) -> int:
        """The number of all bills."""
        return sum(station.transactions for station in self.stations)

    @property
    def largest_difference_wh(self) -> float:
        """The largest difference at a station, in either direction; 0 without stations."""
        return max((abs(station.difference_wh) for station in self.stations), default=0.0)


def balance_energy(
    stations: Iterable[StationReport], replaced: frozenset[int], bills: Bills | None, source: str = BUNDLED_SOURCE
) -> EnergyBalance:
    """Compare meters and bills of each station.

    Args:
        stations: the last report of each station.
        replaced: numbers of the stations to leave out: their first storage is lost, and a second one was begun.
        bills: what the CSMS itself says; None: it cannot be asked, and the answered transaction events count.
        source: where the bills are from, for readers of the report.
    """
    reports = list(stations)
    balances: list[StationBalance] = []
    for station in reports:
        if station.number in replaced:
            continue
        billed = _bills_by_answers(station) if bills is None else bills.get(station.identity, {})
        energies_wh = [bill.energy_wh for bill in billed.values() if bill.energy_wh is not None]
        missing = sum(bill.missing_events for bill in billed.values())
        balances.append(
            StationBalance(
                station.number,
                station.identity,
                station.register_wh,
                sum(energies_wh),
                len(energies_wh),
                missing,
                len(station.bills.keys() - billed.keys()),
            )
        )
    known = {station.identity for station in reports}
    return EnergyBalance(
        tuple(balances),
        _ANSWERED_SOURCE if bills is None else source,
        tuple(sorted(bills.keys() - known)) if bills is not None else (),
    )


def _bills_by_answers(station: StationReport) -> Mapping[str, CsmsBill]:
    """The bills by the events that the CSMS has answered."""
    return {transaction_id: CsmsBill(energy_wh) for transaction_id, energy_wh in station.bills.items()}
