"""Transactions as recorded by the demo CSMS: order and loss of events, and energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

Json = dict[str, object]

_REGISTER: Final = "Energy.Active.Import.Register"


@dataclass(slots=True)
class BilledTransaction:
    """One transaction, from its TransactionEvents."""

    id: str
    triggers: dict[int, str] = field(default_factory=dict[int, str])
    """trigger reason by sequence number"""
    begin_wh: float | None = None
    """register at the begin (Transaction.Begin), Wh"""
    end_wh: float | None = None
    """register at the end (Transaction.End), Wh"""
    ended: bool = False
    offline: int = 0
    """number of events sent with `offline`"""
    repeated: int = 0
    """number of events received again, because their response was lost"""

    @property
    def numbers(self) -> list[int]:
        """The received sequence numbers, in order."""
        return sorted(self.triggers)

    @property
    def energy_wh(self) -> float | None:
        """The billed energy: end minus begin; None until both are known."""
        return None if self.begin_wh is None or self.end_wh is None else self.end_wh - self.begin_wh

    def record(
        self, event_type: str, trigger_reason: str, seq_no: int, meter_values: Sequence[Json], *, offline: bool
    ) -> None:
        """Record a TransactionEvent; `meter_values` are the library's, with names in snake case."""
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
    """Yield context and value, in Wh, of each sample of the total import register."""
    for value in values:
        for sample in cast("list[Json]", value["sampled_value"]):
            if sample.get("measurand", _REGISTER) != _REGISTER or "phase" in sample:
                continue
            unit = cast("Json", sample.get("unit_of_measure", {}))
            factor = 10.0 ** cast("int", unit.get("multiplier", 0)) * (1000.0 if unit.get("unit") == "kWh" else 1.0)
            yield str(sample.get("context", "Sample.Periodic")), cast("float", sample["value"]) * factor
