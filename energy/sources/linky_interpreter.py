"""Converts groups of a Linky's frames to samples of the house connection. No I/O.

Source: Enedis-NOI-CPT_54E v3. A sample has values of one frame only, except the contract and the tariff: short
frames, sent during an overrun, leave them out, so they are kept from the last frame that had them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from energy.grid import GridSample, MeterTariff
from energy.sources.linky_tariff import TARIFF_LABELS, read_tariff
from energy.sources.tic import Mark, TicGroup, TicMode
from foundation.constants import NOMINAL_VOLTAGE_V
from metering.reading import UNKNOWN_PHASES, Phases

_Groups: TypeAlias = Mapping[str, TicGroup]
"""the groups of one frame by their labels"""

_RETAINED_LABELS: Final = frozenset({"ISOUSC", "PREF", "PCOUP"})
_FIRST_LABELS: Final = frozenset({"ADCO", "ADSC"})
_CURRENT_LABELS: Final = frozenset({"IINST", "IINST1", "IINST2", "IINST3", "IRMS1", "IRMS2", "IRMS3"})
_POWER_LABELS: Final = frozenset({"PAPP", "SINSTS", "SINSTS1", "SINSTS2", "SINSTS3", "SINSTI"})
_VOLTAGE_LABELS: Final = frozenset({"URMS1", "URMS2", "URMS3"})
_ALARM_LABELS: Final = frozenset({"ADPS", "ADIR1", "ADIR2", "ADIR3"})
_USED_LABELS: Final = (
    _RETAINED_LABELS
    | _FIRST_LABELS
    | _CURRENT_LABELS
    | _POWER_LABELS
    | _VOLTAGE_LABELS
    | _ALARM_LABELS
    | TARIFF_LABELS
    | {"DATE"}
)
_THREE_PHASE_LABELS: Final = frozenset({"IINST2", "IINST3", "IRMS2", "IRMS3", "URMS2", "URMS3", "SINSTS2", "SINSTS3"})

# Bits of STGE, the status of standard mode.
_BREAKER_BITS: Final = 7 << 1
_EXCEEDED_BIT: Final = 1 << 7
_INJECTING_BIT: Final = 1 << 9
_CLOCK_DEGRADED_BIT: Final = 1 << 16

_CONTRACT_VOLTAGE_V: Final = 200
"""the voltage with which the grid operator converts subscribed VA to the amperes of ISOUSC"""
_PERIODS_S: Final = {TicMode.HISTORIQUE: 2.0, TicMode.STANDARD: 1.5}
"""approximate duration of a frame: 1.4 to 2.3 s, and 0.9 to 1.5 s"""
_FRAMES_TO_DECIDE: Final = 3
"""consecutive frames that must agree before the meter counts as single- or three-phase"""
_MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=1)
_SEASON_OFFSETS: Final = {"H": "+0100", "E": "+0200"}


class LinkyInterpreter:
    """Converts the groups of one Linky to grid samples.

    The number of phases is decided once several frames agree; until then there are no samples. It can only
    increase later: to ignore a phase would be the worse error.
    """

    def __init__(self) -> None:
        self._phases: int | None = None
        self._phase_votes = {1: 0, 3: 0}
        self._retained_groups: dict[str, TicGroup] = {}
        self._tariff: MeterTariff | None = None
        self._groups: dict[str, TicGroup] = {}
        self._frame_begun = False

    def process(self, event: TicGroup | Mark, received_at: datetime) -> GridSample | None:
        """Process a group or mark; returns a sample if it ends a frame that has a current of every phase.

        `received_at` is the arrival of the event (UTC). It is the sample's time unless the meter sends its own,
        does not mark it as doubtful, and differs by less than a minute.
        """
        if isinstance(event, TicGroup):
            sample = None
            if event.label in self._groups:  # both marks between two frames were lost
                sample = self._close_frame(received_at, complete=False)
            if event.label in _USED_LABELS:
                self._groups[event.label] = event
            return sample
        if event is Mark.BREAK:
            self._groups.clear()
            self._frame_begun = False
            return None
        sample = self._close_frame(received_at, complete=self._frame_begun and event is Mark.END)
        self._frame_begun = event is Mark.START
        return sample

    def _close_frame(self, received_at: datetime, *, complete: bool) -> GridSample | None:
        groups, self._groups = self._groups, {}
        self._retained_groups.update((label, group) for label, group in groups.items() if label in _RETAINED_LABELS)
        self._tariff = read_tariff(groups) or self._tariff
        self._count_phases(groups, complete=complete)
        magnitudes = _currents(groups, self._phases)
        if magnitudes is None:
            return None
        currents = _signed_currents(magnitudes, groups)
        contract_va = self._contract_va()
        cut_off_kva = _number(self._retained_groups, "PCOUP")
        return GridSample(
            taken_at=_meter_time(groups, received_at) or received_at,
            currents_a=_in_phases(currents),
            subscribed_current_a=_subscribed_a(contract_va, groups),
            apparent_power_va=_apparent_power_va(groups),
            apparent_powers_va=Phases(*_drawn_va(groups)),
            overrun=_is_contract_exceeded(currents, contract_va, groups),
            tariff_period=self._tariff.period if self._tariff is not None else None,
            voltages_v=_voltages(groups, len(currents)),
            subscribed_va=None if contract_va is None else contract_va * len(currents),
            cut_off_va=None if cut_off_kva is None else cut_off_kva * 1000.0,
            breaker_open=bool(_status(groups) & _BREAKER_BITS) if "STGE" in groups else None,
            signed=_states_direction(groups, len(currents)),
            period_s=_PERIODS_S[next(iter(groups.values())).mode],
            tariff=self._tariff,
        )

    def _count_phases(self, groups: _Groups, *, complete: bool) -> None:
        if groups.keys() & _THREE_PHASE_LABELS:
            vote = 3
        elif complete and ("IINST" in groups or "IRMS1" in groups):
            vote = 1  # an incomplete frame may have lost the other phases
        else:
            return
        self._phase_votes = {1: 0, 3: 0, vote: self._phase_votes[vote] + 1}
        if self._phase_votes[vote] >= _FRAMES_TO_DECIDE and vote > (self._phases or 0):
            self._phases = vote

    def _contract_va(self) -> float | None:
        """The contract power per phase; None if the meter has not sent it yet."""
        if self._phases is None:
            return None
        if isousc_a := _number(self._retained_groups, "ISOUSC"):
            return isousc_a * _CONTRACT_VOLTAGE_V
        if pref_kva := _number(self._retained_groups, "PREF"):
            return pref_kva * 1000 / self._phases
        return None


def _number(groups: _Groups, label: str) -> int | None:
    group = groups.get(label)
    return None if group is None else int(group.value)


def _status(groups: _Groups) -> int:
    """The bits of STGE; 0 if missing: then the meter imports and its clock is valid."""
    group = groups.get("STGE")
    return 0 if group is None else int(group.value, 16)


def _currents(groups: _Groups, phases: int | None) -> list[int] | None:
    """The current of every phase, unsigned; None if one is missing."""
    if phases is None:
        return None
    historique = ("IINST",) if phases == 1 else ("IINST1", "IINST2", "IINST3")
    standard = ("IRMS1", "IRMS2", "IRMS3")[:phases]
    for labels in (historique, standard):
        currents = [_number(groups, label) for label in labels]
        known = [current for current in currents if current is not None]
        if len(known) == phases:
            return known
    return None


def _signed_currents(currents: list[int], groups: _Groups) -> list[float]:
    """The currents, negative for phases that export.

    Single-phase: STGE bit 9. With three phases that bit is for all together; a phase exports if it has a current
    but its imported apparent power is 0. A phase whose direction is not known counts as importing, to be
    safe.
    """
    if len(currents) == 1:
        return [float(-currents[0] if _status(groups) & _INJECTING_BIT else currents[0])]
    return [float(-a if va == 0 else a) for a, va in zip(currents, _drawn_va(groups), strict=True)]


def _states_direction(groups: _Groups, phases: int) -> bool:
    labels = ("STGE",) if phases == 1 else ("SINSTS1", "SINSTS2", "SINSTS3")
    return all(label in groups for label in labels)


def _voltages(groups: _Groups, phases: int) -> Phases[float | None]:
    numbers = [_number(groups, label) for label in ("URMS1", "URMS2", "URMS3")[:phases]]
    known = [None if voltage is None else float(voltage) for voltage in numbers]
    return Phases(*known) if len(known) == 3 else Phases(known[0], None, None) if known else UNKNOWN_PHASES


def _in_phases(currents: list[float]) -> Phases[float | None]:
    if len(currents) == 1:
        return Phases(currents[0], None, None)
    return Phases(*currents)


def _apparent_power_va(groups: _Groups) -> float | None:
    """Imported apparent power, or negative if a producer's meter exports.

    While a meter exports, its imported power reads 0, which is not a measurement.
    """
    if _status(groups) & _INJECTING_BIT:
        injected_va = _number(groups, "SINSTI")
        return None if injected_va is None else -float(injected_va)
    drawn_va = _number(groups, "PAPP")
    if drawn_va is None:
        drawn_va = _number(groups, "SINSTS")
    return None if drawn_va is None else float(drawn_va)


def _drawn_va(groups: _Groups) -> list[float | None]:
    """Imported apparent power of each phase, sent by three-phase meters in standard mode."""
    return [_number(groups, f"SINSTS{phase}") for phase in (1, 2, 3)]


def _subscribed_a(contract_va: float | None, groups: _Groups) -> float | None:
    """The contract's current limit, amperes per phase.

    The lower of two readings: subscribed VA over the voltage (9 kVA are 39 A), not ISOUSC itself, which is
    computed with 200 V (45 A). A voltage above nominal lowers it; a sag does not raise it.
    """
    if contract_va is None:
        return None
    voltages_v = [_number(groups, label) or 0 for label in _VOLTAGE_LABELS]
    return contract_va / max(NOMINAL_VOLTAGE_V, *voltages_v)


def _is_contract_exceeded(currents: list[float], contract_va: float | None, groups: _Groups) -> bool:
    """Whether the contract is exceeded, by the meter's alarm or its values: some three-phase meters send no alarm."""
    if groups.keys() & _ALARM_LABELS or _status(groups) & _EXCEEDED_BIT:
        return True
    if contract_va is None:
        return False
    drawn_va = _number(groups, "SINSTS") or 0
    return max(currents) > contract_va / _CONTRACT_VOLTAGE_V or drawn_va > contract_va * len(currents)


def _meter_time(groups: _Groups, received_at: datetime) -> datetime | None:
    """The meter's own time (UTC); None if missing, marked as doubtful, or too far off to be right."""
    date = groups.get("DATE")
    if date is None or not date.stamp or _status(groups) & _CLOCK_DEGRADED_BIT:
        return None
    season = _SEASON_OFFSETS.get(date.stamp[0])  # in lower case the meter itself doubts its clock
    if season is None:
        return None
    try:
        stated = datetime.fromisoformat(f"20{date.stamp[1:7]}T{date.stamp[7:]}{season}").astimezone(UTC)
    except ValueError:
        return None
    return stated if abs(stated - received_at) <= _MAX_CLOCK_DIFFERENCE else None
