"""Transactions as the bundled CSMS has received them: sequence numbers, lost and repeated events, and energy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from foundation.frozen import Frozen
from foundation.json_values import object_of, objects_of
from simulator.csms.samples import IMPORT_REGISTER, totals, whole_number

Json = Mapping[str, object]


class ReceivedEvent(Frozen):
    """The part of a TransactionEvent that matters for bills."""

    station: str
    """identity of the station that sent it"""
    transaction_id: str
    seq_no: int
    ended: bool = False
    """whether its eventType is Ended"""
    offline: bool = False
    begin_wh: float | None = None
    """register of the sample with context Transaction.Begin, Wh; None: not in this event"""
    end_wh: float | None = None
    """register of the sample with context Transaction.End, Wh; None: not in this event"""


class SequenceNumbers:
    """A set of sequence numbers as ascending ranges: its size depends on the gaps, not on how many there are."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """`ranges`: first and last number of each range, ascending, with a gap between any two."""
        pairs = list(ranges)
        self._firsts = [first for first, _ in pairs]
        self._lasts = [last for _, last in pairs]

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges():
            yield from range(first, last + 1)

    @property
    def missing(self) -> int:
        """Count of the numbers from 0 to the highest one of the set that are not in it."""
        held = sum(last - first + 1 for first, last in self.ranges())
        return self._lasts[-1] + 1 - held if self._lasts else 0

    def ranges(self) -> list[tuple[int, int]]:
        """First and last number of each range, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def add(self, number: int) -> bool:
        """Add a number; False if it was in the set already."""
        firsts, lasts = self._firsts, self._lasts
        after = bisect_right(firsts, number)  # the first range that begins above the number
        if after and number <= lasts[after - 1]:
            return False
        extends = after > 0 and lasts[after - 1] == number - 1
        precedes = after < len(firsts) and firsts[after] == number + 1
        if extends and precedes:
            lasts[after - 1] = lasts.pop(after)
            del firsts[after]
        elif extends:
            lasts[after - 1] = number
        elif precedes:
            firsts[after] = number
        else:
            firsts.insert(after, number)
            lasts.insert(after, number)
        return True


@dataclass(slots=True)
class BilledTransaction:
    """One transaction as the bundled CSMS has received it, built from its TransactionEvents."""

    station: str
    """identity of the station that charged"""
    id: str
    """transactionId"""
    received: SequenceNumbers = field(default_factory=SequenceNumbers)
    """sequence numbers of the received events"""
    begin_wh: float | None = None
    """register of the sample with context Transaction.Begin, Wh; None: not received"""
    end_wh: float | None = None
    """register of the sample with context Transaction.End, Wh; None: not received"""
    ended: bool = False
    """whether the Ended event was received"""
    offline: int = 0
    """number of events sent with `offline`; repetitions do not count"""
    repeated: int = 0
    """number of events received again with the same sequence number; they change nothing else"""

    @property
    def sequence_numbers(self) -> list[int]:
        """The received sequence numbers, ascending, each once."""
        return list(self.received)

    @property
    def energy_wh(self) -> float | None:
        """The energy to bill in Wh: register at the end minus at the begin; None until both are received."""
        return None if self.begin_wh is None or self.end_wh is None else self.end_wh - self.begin_wh

    def record(self, event: ReceivedEvent) -> None:
        """Add one received event; one with a sequence number that was received before is only counted as repeated."""
        if not self.received.add(event.seq_no):
            self.repeated += 1
            return
        self.ended |= event.ended
        self.offline += event.offline
        if event.begin_wh is not None:
            self.begin_wh = event.begin_wh
        if event.end_wh is not None:
            self.end_wh = event.end_wh


def received_event(station: str, payload: Json) -> ReceivedEvent:
    """Extract what bills need from a TransactionEventRequest that the schema allows.

    Raises:
        ValueError: a number is out of range.
    """
    begin_wh, end_wh = None, None
    for sample in totals(objects_of(payload.get("meterValue", []))):
        if sample.measurand != IMPORT_REGISTER:
            continue
        if sample.context == "Transaction.Begin":
            begin_wh = sample.value
        elif sample.context == "Transaction.End":
            end_wh = sample.value
    return ReceivedEvent(
        station=station,
        transaction_id=str(object_of(payload["transactionInfo"])["transactionId"]),
        seq_no=whole_number(payload["seqNo"]),
        ended=payload["eventType"] == "Ended",
        offline=payload.get("offline") is True,
        begin_wh=begin_wh,
        end_wh=end_wh,
    )
