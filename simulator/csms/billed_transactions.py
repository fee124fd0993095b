"""Transactions as the bundled CSMS has received them: sequence numbers, lost and repeated events, and energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

Json = dict[str, object]

_REGISTER: Final = "Energy.Active.Import.Register"


@dataclass(slots=True)
class BilledTransaction:
    """One transaction as the bundled CSMS has received it, built from its TransactionEvents; in memory only."""

    id: str
    """transactionId"""
    triggers: dict[int, str] = field(default_factory=dict[int, str])
    """triggerReason of each received event, by sequence number"""
    begin_wh: float | None = None
    """register of the sample with context Transaction.Begin, Wh; None: not received"""
    end_wh: float | None = None
    """register of the sample with context Transaction.End, Wh; None: not received"""
    ended: bool = False
    """whether the Ended event was received"""
    offline: int = 0
    """number of events sent with `offline`; repetitions do not count"""
    repeated: int = 0
    """number of events received again with the same sequence number"""

    @property
    def sequence_numbers(self) -> list[int]:
        """The received sequence numbers, ascending, each once."""
        return sorted(self.triggers)

    @property
    def energy_wh(self) -> float | None:
        """The energy to bill in Wh: register at the end minus at the begin; None until both are received."""
        return None if self.begin_wh is None or self.end_wh is None else self.end_wh - self.begin_wh

    def record(
        self, event_type: str, trigger_reason: str, seq_no: int, meter_values: Sequence[Json], *, offline: bool
    ) -> None:
        """Add one received TransactionEvent; `meter_values` are as the package `ocpp` gives them, in snake case."""
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
