"""Reduces a TransactionEvent that its schema refuses to the largest part of it that is valid. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object

Fields: TypeAlias = dict[str, object]

_REQUIRED_FIELDS: Final = ("eventType", "timestamp", "triggerReason", "seqNo")
_TRANSACTION: Final = "transactionInfo"
_TRANSACTION_ID: Final = "transactionId"
_ESSENTIAL_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {"idToken": ("idToken", "type"), "evse": ("id",)}
"""the fields without which an object of the event says nothing"""
_SEPARABLE_FIELDS: Final = ("customData", "signedMeterValue")
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
    fields = _object_fields(event)
    transaction = _object_fields(fields.get(_TRANSACTION))
    core = {name: fields[name] for name in _REQUIRED_FIELDS if name in fields}
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
        info = _object_fields(self._core[_TRANSACTION])
        valid_fields = dict(self._core)
        valid_fields[_TRANSACTION] = info | {
            name: value
            for name, value in transaction.items()
            if name not in info and self._is_valid_with(f"{_TRANSACTION}.{name}", _TRANSACTION, info | {name: value})
        }
        for name, value in fields.items():
            if name not in valid_fields and (part := self._valid_part(name, value)) is not None:
                valid_fields[name] = part
        return ReducedEvent(valid_fields, tuple(self._dropped))

    def _valid_part(self, name: str, value: object) -> object:
        """What is valid of a field of the event; None: nothing."""
        if self._accepts(name, value):
            return value
        if name == "meterValue" and (values := _list_items(value)):
            return list(self._valid_meter_values(values)) or None
        if name in _ESSENTIAL_FIELDS:
            reduced = {key: part for key, part in _object_fields(value).items() if key in _ESSENTIAL_FIELDS[name]}
            if self._accepts(name, reduced):
                self._dropped += [f"{name}.{key}" for key in _object_fields(value) if key not in reduced]
                return reduced
        self._dropped.append(name)
        return None

    def _valid_meter_values(self, values: list[object]) -> Iterator[Fields]:
        for number, value in enumerate(values):
            path, fields = f"meterValue[{number}]", _object_fields(value)
            moment = {name: part for name, part in fields.items() if name not in {"sampledValue", "customData"}}
            valid_samples = [
                sample
                for place, original in enumerate(_list_items(fields.get("sampledValue")))
                if (sample := self._valid_sample(f"{path}.sampledValue[{place}]", original, moment)) is not None
            ]
            if not valid_samples:
                self._dropped.append(path)
                continue
            reduced = {**moment, "sampledValue": valid_samples}
            if "customData" in fields:
                with_custom_data = {**reduced, "customData": fields["customData"]}
                reduced = (
                    with_custom_data
                    if self._is_valid_with(f"{path}.customData", "meterValue", [with_custom_data])
                    else reduced
                )
            yield reduced

    def _valid_sample(self, path: str, sample: object, moment: Fields) -> Fields | None:
        """A sample without those separable fields that are not valid; None: the value itself is not valid."""
        fields = _object_fields(sample)
        valid_fields = {name: part for name, part in fields.items() if name not in _SEPARABLE_FIELDS}
        if not self._is_valid_with(path, "meterValue", [{**moment, "sampledValue": [valid_fields]}]):
            return None
        for name in _SEPARABLE_FIELDS:
            if name in fields:
                extended = {**valid_fields, name: fields[name]}
                if self._is_valid_with(f"{path}.{name}", "meterValue", [{**moment, "sampledValue": [extended]}]):
                    valid_fields = extended
        return valid_fields

    def _is_valid_with(self, path: str, name: str, value: object) -> bool:
        """Return whether the core is valid with this field; note its path if it is not."""
        if self._accepts(name, value):
            return True
        self._dropped.append(path)
        return False

    def _accepts(self, name: str, value: object) -> bool:
        return self._is_valid({**self._core, name: value})


def _object_fields(value: object) -> Fields:
    """The fields of an object; none if it is something else."""
    return value if is_object(value) else {}


def _list_items(value: object) -> list[object]:
    """The items of a list; none if it is something else."""
    return value if is_list(value) else []
