"""Rules between the steps of a scenario, checked before it starts: order, captured values, fields that exist."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from foundation.json_values import is_list, is_object
from simulator.api.driver import PlugOrder
from simulator.api.fault_orders import LinkOrder, PowerOrder
from simulator.scenarios.bench_files import FIRMWARE_NAMES
from simulator.scenarios.patterns import capture_names, moment_offset_s, names_in
from simulator.scenarios.schema_fields import action_names, message_schema, pattern_errors, similar_name
from simulator.scenarios.state_schemas import state_schema
from simulator.scenarios.steps import (
    CallStep,
    CheckStep,
    CsmsAnswerStep,
    ExpectAllStep,
    ExpectNoneStep,
    FrameStep,
    MessagePattern,
    RequestStep,
    Step,
)
from station.core.installation_file.document import KeyPath, RuleError

if TYPE_CHECKING:
    from station.interfaces.api.dependencies import Command

BUILT_IN_NAMES: Final = frozenset({"files", "identity", "csms", "contract"}) | FIRMWARE_NAMES
"""names that every scenario has, beside `now`: the URL of the file server, the station's identity, the CSMS's URL, the
contract of a vehicle at the bundled CSMS, and what signed firmware needs"""


def rule_errors(steps: Sequence[Step], station: Mapping[str, object], names: Collection[str]) -> list[RuleError]:
    """All errors of the rules between steps. `station`: tables of its installation file; `names`: known before."""
    order, known = _StepOrder(station), set(names) | BUILT_IN_NAMES
    errors: list[RuleError] = []
    for index, step in enumerate(steps):
        path: KeyPath = ("step", index, step.word)
        errors += order.errors(step, path)
        errors += _capture_errors(step.table, path, known)
        errors += _schema_errors(step.table, path)
    return errors


class _StepOrder:
    """Follows what is plugged in, cut and lost, as far as the steps alone decide it."""

    def __init__(self, station: Mapping[str, object]) -> None:
        evses = station.get("evse")
        self._evses = len(evses) if is_list(evses) else None
        self._plugged: dict[int, bool | None] = {}
        """by EVSE; None: not known, since the vehicle comes or leaves by itself"""
        self._link_down = False
        self._powered = True

    def errors(self, step: Step, path: KeyPath) -> Iterator[RuleError]:
        table = step.table
        evse = getattr(table, "evse", None)
        if isinstance(evse, int) and self._evses is not None and evse > self._evses:
            yield RuleError((*path, "evse"), f"EVSE {evse} does not exist: the station has {self._evses}")
        match step.word, table:
            case "plug", PlugOrder():
                yield from self._plug(table, evse if isinstance(evse, int) else 1, path)
            case "unplug" | "vehicle", _ if isinstance(evse, int):
                if self._plugged.get(evse, False) is False:
                    yield RuleError(path, f"no step before it has plugged a vehicle in at EVSE {evse}")
                if step.word == "unplug":
                    self._plugged[evse] = None if getattr(table, "ev_side", False) else False
            case "link", LinkOrder():
                if (table.state == "down") == self._link_down:
                    yield RuleError(path, f"the link is {table.state} already")
                self._link_down = table.state == "down"
            case "power", PowerOrder():
                if (table.action == "restore") == self._powered:
                    yield RuleError(path, "the power is not cut" if self._powered else "the power is cut already")
                self._powered = table.action != "loss"
                self._link_down = self._link_down and not self._powered
            case _:
                pass

    def _plug(self, table: PlugOrder, evse: int, path: KeyPath) -> Iterator[RuleError]:
        if self._plugged.get(evse):
            yield RuleError(path, f"a vehicle is plugged in at EVSE {evse} already")
        by_itself = table.ev.auto_unplug_s is not None or table.ev.delay_s > 0.0
        self._plugged[evse] = None if by_itself else True


def _capture_errors(table: Command, path: KeyPath, known: set[str]) -> Iterator[RuleError]:
    """Check that each name is known where it is used; adds those that the step captures to `known`."""
    values = table.model_dump(mode="json", exclude_unset=True)
    for key, pattern in _patterns(table).items():
        captured: set[str] = set()
        for text in _texts(pattern):
            for name in capture_names(text):
                whole = text == f"${{{name}}}"
                if whole and not isinstance(table, ExpectNoneStep):
                    captured.add(name)
                elif not _is_known(name, known | captured):
                    yield RuleError((*path, key), f"${{{name}}} is not captured by any step before it")
        known |= captured
    for key, value in values.items():
        if key not in _patterns(table):
            for name in names_in(value):
                if not _is_known(name, known):
                    yield RuleError((*path, key), f"${{{name}}} is not captured by any step before it")


def _is_known(name: str, known: Collection[str]) -> bool:
    return name in known or moment_offset_s(name) is not None


def _patterns(table: Command) -> dict[str, object]:
    """The fields of a table that are patterns, which may capture values."""
    match table:
        case MessagePattern():
            return {"payload": table.payload, "answer": table.answer}
        case ExpectAllStep():
            return {"messages": [[message.payload, message.answer] for message in table.messages]}
        case CheckStep():
            return {"values": table.values}
        case CallStep() | RequestStep() | FrameStep():
            return {"answer": table.answer}
        case _:
            return {}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_object(value):
        for inner in value.values():
            yield from _texts(inner)
    elif is_list(value):
        for inner in value:
            yield from _texts(inner)


def _schema_errors(table: Command, path: KeyPath) -> Iterator[RuleError]:
    match table:
        case MessagePattern():
            yield from _message_errors(table.action, table.payload, table.answer, path)
        case ExpectAllStep():
            for index, message in enumerate(table.messages):
                yield from _message_errors(message.action, message.payload, message.answer, (*path, "messages", index))
        case CallStep():
            yield from _message_errors(table.action, table.payload, table.answer, path)
        case FrameStep():
            if sum(value is not None for value in (table.text, table.action, table.length)) != 1:
                yield RuleError(path, "needs text, action or length, exactly one of them")
        case CsmsAnswerStep():
            yield from _message_errors(table.action, {}, table.payload, path, answer_key="payload")
        case CheckStep():
            yield from pattern_errors(state_schema(table.of), table.values, (*path, "values"))
        case _:
            pass


def _message_errors(
    action: str, payload: object, answer: object, path: KeyPath, *, answer_key: str = "answer"
) -> Iterator[RuleError]:
    if action not in action_names():
        yield RuleError(
            (*path, "action"), f"OCPP 2.0.1 has no such action ({similar_name(action, sorted(action_names()))})"
        )
        return
    checks: tuple[tuple[str, object, Callable[[], Mapping[str, object]]], ...] = (
        ("payload", payload, lambda: message_schema(f"{action}Request")),
        (answer_key, answer, lambda: message_schema(f"{action}Response")),
    )
    for key, pattern, schema in checks:
        if pattern:
            yield from pattern_errors(schema(), pattern, (*path, key))
