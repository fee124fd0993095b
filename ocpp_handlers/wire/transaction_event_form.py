"""Reduces a TransactionEvent that its schema refuses to the largest part of it that is valid. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object

Fields: TypeAlias = dict[str, object]

_REQUIRED: Final = ("eventType", "timestamp", "triggerReason", "seqNo")
_TRANSACTION: Final = "transactionInfo"
_TRANSACTION_ID: Final = "transactionId"
_ESSENTIAL: Final[Mapping[str, tuple[str, ...]]] = {"idToken": ("idToken", "type"), "evse": ("id",)}
"""the fields without which an object of the event says nothing"""
_SEPARABLE: Final = ("customData", "signedMeterValue")
"""fields of a sample that can be left out alone. Every other one changes the meaning of the value: without a measurand
it would be the energy register, without a unit Wh, without a phase that of all phases"""


class ReducedEvent(Frozen):
    """A valid TransactionEventRequest, and the paths of the fields of the original one that it does not have."""

    payload: Fields
    dropped: tuple[str, ...]


def reduce_event(event: object, is_valid: Callable[[Fields], bool]) -> ReducedEvent | None:
    """Leave out as little of an event as possible; None: what identifies the event in its transaction is not valid.

    `is_valid` judges whole events. Type, time, trigger reason, sequence number and transaction id are always kept.
    """
    fields = _fields(event)
    transaction = _fields(fields.get(_TRANSACTION))
    core = {name: fields[name] for name in _REQUIRED if name in fields}
    core[_TRANSACTION] = {name: transaction[name] for name in (_TRANSACTION_ID,) if name in transaction}
    if not is_valid(core):
        return None
    return _Reduction(core, is_valid).reduced(fields, transaction)


class _Reduction:
    """Adds the parts of an event to its core, each that is valid with the core alone: none depends on another."""

    def __init__(self, core: Fields, is_valid: Callable[[Fields], bool]) -> None:
        self._core = core
        self._is_valid = is_valid
        self._dropped: list[str] = []

    def reduced(self, fields: Fields, transaction: Fields) -> ReducedEvent:
        """The core with all valid parts of the event."""
        info = _fields(self._core[_TRANSACTION])
        kept = dict(self._core)
        kept[_TRANSACTION] = info | {
            name: value
            for name, value in transaction.items()
            if name not in info and self._keeps(f"{_TRANSACTION}.{name}", _TRANSACTION, info | {name: value})
        }
        for name, value in fields.items():
            if name not in kept and (part := self._part(name, value)) is not None:
                kept[name] = part
        return ReducedEvent(kept, tuple(self._dropped))

    def _part(self, name: str, value: object) -> object:
        """What is valid of a field of the event; None: nothing."""
        if self._accepts(name, value):
            return value
        if name == "meterValue" and (values := _items(value)):
            return list(self._meter_values(values)) or None
        if name in _ESSENTIAL:
            reduced = {key: part for key, part in _fields(value).items() if key in _ESSENTIAL[name]}
            if self._accepts(name, reduced):
                self._dropped += [f"{name}.{key}" for key in _fields(value) if key not in reduced]
                return reduced
        self._dropped.append(name)
        return None

    def _meter_values(self, values: list[object]) -> Iterator[Fields]:
        for number, value in enumerate(values):
            path, fields = f"meterValue[{number}]", _fields(value)
            moment = {name: part for name, part in fields.items() if name not in {"sampledValue", "customData"}}
            kept = [
                sample
                for place, original in enumerate(_items(fields.get("sampledValue")))
                if (sample := self._sample(f"{path}.sampledValue[{place}]", original, moment)) is not None
            ]
            if not kept:
                self._dropped.append(path)
                continue
            reduced = {**moment, "sampledValue": kept}
            if "customData" in fields:
                whole = {**reduced, "customData": fields["customData"]}
                reduced = whole if self._keeps(f"{path}.customData", "meterValue", [whole]) else reduced
            yield reduced

    def _sample(self, path: str, sample: object, moment: Fields) -> Fields | None:
        """A sample without those separable fields that are not valid; None: the value itself is not valid."""
        fields = _fields(sample)
        kept = {name: part for name, part in fields.items() if name not in _SEPARABLE}
        if not self._keeps(path, "meterValue", [{**moment, "sampledValue": [kept]}]):
            return None
        for name in _SEPARABLE:
            if name in fields:
                more = {**kept, name: fields[name]}
                if self._keeps(f"{path}.{name}", "meterValue", [{**moment, "sampledValue": [more]}]):
                    kept = more
        return kept

    def _keeps(self, path: str, name: str, value: object) -> bool:
        """Return whether the core is valid with this field; note its path if it is not."""
        if self._accepts(name, value):
            return True
        self._dropped.append(path)
        return False

    def _accepts(self, name: str, value: object) -> bool:
        return self._is_valid({**self._core, name: value})


def _fields(value: object) -> Fields:
    """The fields of an object; none if it is something else."""
    return value if is_object(value) else {}


def _items(value: object) -> list[object]:
    """The items of a list; none if it is something else."""
    return value if is_list(value) else []
