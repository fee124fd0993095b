"""Writes scenarios: a step for a message, and a scenario for what was done with a station and seen at it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object, object_of
from simulator.request_recorder import RecordedRequest
from simulator.scenarios.driving import DRIVING_WORDS
from simulator.scenarios.schema_fields import action_names, enumerated_part, message_schema
from simulator.scenarios.toml_text import inline_value

_VARYING_ACTIONS: Final = frozenset({"Heartbeat", "MeterValues", "NotifyReport", "NotifyMonitoringReport"})
"""requests of the station whose number depends on when it was started"""
_VARYING_TRIGGERS: Final = frozenset({"MeterValuePeriodic", "MeterValueClock"})
_EVENT_ACTION: Final = "TransactionEvent"
_CLOCK_PATH: Final = "/api/sim/clock"
_LONGEST_EXPECTATION_S: Final = 60


class RecordedExchange(Frozen):
    """A request between station and CSMS with its answer."""

    at_s: float
    """by the elapsed time of the station's clock"""
    by_station: bool
    """whether the station has sent the request"""
    action: str
    payload: object
    answer: object
    """payload of the answer; None: there is none, or it was an error"""
    error: str | None = None
    """code of the CALLERROR that answered it"""


def recorded_exchange(at_s: float, direction: str, request: str, answer: str | None) -> RecordedExchange | None:
    """Parse the texts of a request and its answer; None: the request is none of the actions of OCPP."""
    parts = _parsed(request)
    if len(parts) < 4 or parts[0] != 2 or parts[2] not in action_names():
        return None
    answered = _parsed(answer) if answer is not None else []
    error = str(answered[2]) if len(answered) > 2 and answered[0] == 4 else None
    payload = answered[2] if len(answered) > 2 and answered[0] == 3 else None
    return RecordedExchange(at_s, direction == "out", str(parts[2]), parts[3], payload, error)


def step_text(exchange: RecordedExchange) -> str:
    """A step of a scenario that expects this request of the station, or lets the CSMS send this request."""
    if exchange.by_station:
        return _step("expect", expected_message(exchange))
    return _step("call", _called(exchange, {}))


def expected_message(exchange: RecordedExchange) -> dict[str, object]:
    """The pattern of a request of the station: what is the same each time, which are enumerations and flags."""
    payload = enumerated_part(message_schema(f"{exchange.action}Request"), exchange.payload)
    pattern: dict[str, object] = {"action": exchange.action, "sender": "station"}
    if payload:
        pattern["payload"] = payload
    if exchange.error is not None:
        pattern["error"] = exchange.error
    elif exchange.answer is not None:
        answer = enumerated_part(message_schema(f"{exchange.action}Response"), exchange.answer)
        pattern["answer"] = answer or {}
    return pattern


def scenario_text(
    requests: Sequence[RecordedRequest], exchanges: Sequence[RecordedExchange], *, name: str, end_s: float
) -> str:
    """A scenario that does again what was done, and expects what was seen until `end_s`.

    Time between two requests passes by the station's clock; messages in between may come in any order. What cannot be
    written is left out, with a comment.
    """
    acts = [request for request in requests if not _passes_time(request)]
    calls = [exchange for exchange in exchanges if not exchange.by_station]
    sent = [exchange for exchange in exchanges if exchange.by_station and not _varies(exchange)]
    moments: list[RecordedRequest | RecordedExchange] = sorted([*acts, *calls], key=lambda moment: moment.at_s)
    transactions = _transaction_names(sent)
    parts = [f"[scenario]\nname = {inline_value(name)}\n"]
    named: set[str] = set()
    for index, moment in enumerate(moments):
        until_s = moments[index + 1].at_s if index + 1 < len(moments) else end_s
        parts.append(_written(partial(_moment_step, moment, transactions)))
        seconds = round(until_s - moment.at_s, 1)
        if seconds > 0.0:
            parts.append(_step("wait", {"seconds": seconds}))
        messages = [exchange for exchange in sent if moment.at_s <= exchange.at_s < until_s]
        if messages:
            parts.append(_written(partial(_expectation, messages, transactions, named)))
    return "\n".join(parts)


def _moment_step(moment: RecordedRequest | RecordedExchange, transactions: Mapping[str, str]) -> str:
    if isinstance(moment, RecordedRequest):
        return _driving_step(moment)
    return _step("call", _called(moment, transactions))


def _expectation(messages: Sequence[RecordedExchange], transactions: Mapping[str, str], named: set[str]) -> str:
    patterns = [_captured(exchange, transactions, named) for exchange in messages]
    return _step("expect_all", {"messages": patterns, "within_s": _LONGEST_EXPECTATION_S})


def _written(write: Callable[[], str]) -> str:
    """The text of a step; a comment if TOML cannot have it, such as unpaired surrogates and very deep values."""
    try:
        text = write()
        text.encode()
    except (ValueError, RecursionError) as error:
        return f"# a step is missing here, which cannot be written: {type(error).__name__}\n"
    return text


def _passes_time(request: RecordedRequest) -> bool:
    """Whether a request only lets time pass, which the waits of the scenario do."""
    return request.path == _CLOCK_PATH and not (is_object(request.body) and "jump_s" in request.body)


def _varies(exchange: RecordedExchange) -> bool:
    return exchange.action in _VARYING_ACTIONS or (
        exchange.action == _EVENT_ACTION and object_of(exchange.payload).get("triggerReason") in _VARYING_TRIGGERS
    )


def _transaction_names(sent: Sequence[RecordedExchange]) -> dict[str, str]:
    """A name for each transaction, by its id."""
    names: dict[str, str] = {}
    for exchange in sent:
        identity = _transaction_id(exchange)
        if identity is not None:
            names.setdefault(identity, f"transaction{len(names) + 1}")
    return names


def _transaction_id(exchange: RecordedExchange) -> str | None:
    if exchange.action != _EVENT_ACTION:
        return None
    found = object_of(object_of(exchange.payload).get("transactionInfo", {})).get("transactionId")
    return found if isinstance(found, str) else None


def _captured(exchange: RecordedExchange, names: Mapping[str, str], named: set[str]) -> dict[str, object]:
    """The pattern of a message; the first one of a transaction captures its id, so that requests can name it."""
    pattern = expected_message(exchange)
    identity = _transaction_id(exchange)
    if identity is not None and identity not in named:
        named.add(identity)
        payload = object_of(pattern.get("payload", {}))
        info = {**object_of(payload.get("transactionInfo", {})), "transactionId": f"${{{names[identity]}}}"}
        pattern["payload"] = {**payload, "transactionInfo": info}
    return pattern


def _called(exchange: RecordedExchange, names: Mapping[str, str]) -> dict[str, object]:
    table: dict[str, object] = {"action": exchange.action, "payload": _with_names(exchange.payload, names)}
    if exchange.error is not None:
        table["error"] = exchange.error
    elif exchange.answer is not None:
        table["answer"] = enumerated_part(message_schema(f"{exchange.action}Response"), exchange.answer) or {}
    return table


def _with_names(value: object, names: Mapping[str, str]) -> object:
    """The value with the ids of transactions replaced by their captured values."""
    if isinstance(value, str):
        return f"${{{names[value]}}}" if value in names else value
    if is_object(value):
        return {key: _with_names(inner, names) for key, inner in value.items()}
    return [_with_names(inner, names) for inner in value] if is_list(value) else value


def _driving_step(request: RecordedRequest) -> str:
    """The step of a request: the word for it, or `request`."""
    path = request.path
    body = request.body if is_object(request.body) else {}
    for word, driving in DRIVING_WORDS.items():
        pattern = re.escape(driving.path).replace(re.escape("{evse}"), r"(?P<evse>\d+)")
        found = re.fullmatch(pattern, path)
        if found is not None and driving.method == request.method and set(body) <= set(driving.body.model_fields):
            evse = found.groupdict().get("evse")
            return _step(word, {"evse": int(evse), **body} if evse is not None else body)
    table: dict[str, object] = {"method": request.method, "path": path}
    return _step("request", {**table, "body": body} if body else table)


def _step(word: str, table: Mapping[str, object]) -> str:
    if word == "expect_all":
        messages = table["messages"]
        rows = "".join(f"    {inline_value(message)},\n" for message in (messages if is_list(messages) else []))
        return f"[[step]]\nexpect_all.messages = [\n{rows}]\nexpect_all.within_s = {inline_value(table['within_s'])}\n"
    if not table:
        return f"[[step]]\n{word} = {{}}\n"
    return "[[step]]\n" + "".join(
        f"{word}.{key} = {inline_value(value)}\n" for key, value in table.items() if value is not None
    )


def _parsed(text: str) -> list[object]:
    try:
        parts: object = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return parts if is_list(parts) else []
