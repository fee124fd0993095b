"""The transactions that the bundled CSMS bills: what their events say of order, loss and energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

Json = dict[str, object]

_REGISTER: Final = "Energy.Active.Import.Register"


@dataclass(slots=True)
class BilledTransaction:
    """One transaction as the CSMS knows it."""

    id: str
    triggers: dict[int, str] = field(default_factory=dict[int, str])
    """trigger reason by sequence number"""
    begin_wh: float | None = None
    """the register at the begin (Transaction.Begin)"""
    end_wh: float | None = None
    """the register at the end (Transaction.End)"""
    ended: bool = False
    offline: int = 0
    """events that were queued while there was no link"""
    repeated: int = 0
    """events that came once more, because their answer was lost"""

    @property
    def numbers(self) -> list[int]:
        """The sequence numbers that have arrived, in order."""
        return sorted(self.triggers)

    @property
    def energy_wh(self) -> float | None:
        """What is to be paid for: end minus begin; None until both are known."""
        return None if self.begin_wh is None or self.end_wh is None else self.end_wh - self.begin_wh

    def record(
        self, event_type: str, trigger_reason: str, seq_no: int, meter_values: Sequence[Json], *, offline: bool
    ) -> None:
        """Record a TransactionEvent; `meter_values` are those of the library, with names in snake case."""
        if seq_no in self.triggers:
            self.repeated += 1
        else:
            self.offline += offline
        self.triggers[seq_no] = trigger_reason
        self.ended |= event_type == "Ended"
        for context, energy_wh in _registers(meter_values):
            if context == "Transaction.Begin":
                self.begin_wh = energy_wh
            elif context == "Transaction.End":
                self.end_wh = energy_wh


def _registers(values: Iterable[Json]) -> Iterable[tuple[str, float]]:
    """The context and the reading, Wh, of each sample of the whole register."""
    for value in values:
        for sample in cast("list[Json]", value["sampled_value"]):
            if sample.get("measurand", _REGISTER) != _REGISTER or "phase" in sample:
                continue
            unit = cast("Json", sample.get("unit_of_measure", {}))
            factor = 10.0 ** cast("int", unit.get("multiplier", 0)) * (1000.0 if unit.get("unit") == "kWh" else 1.0)
            yield str(sample.get("context", "Sample.Periodic")), cast("float", sample["value"]) * factor
