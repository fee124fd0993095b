"""The reference of messages: what causes each of them, from the steps of the shipped scenarios."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from foundation.frozen import Frozen
from foundation.json_values import is_object, list_of, object_of, objects_of
from simulator.scenarios.driving import DRIVING_WORDS
from simulator.scenarios.schema_fields import action_names
from simulator.scenarios.shipped_scenarios import shipped_files
from simulator.scenarios.toml_text import inline_value

_HEAD: Final = """\
# Messages and their causes

Generated from the shipped scenarios, each of which is played in every run of the tests: `borne scenario run NAME`
shows it at a CSMS. The second column has the steps of the [scenario](../scenarios.md#the-file) since its
last expectation, at most three; `borne sim` and the
page `/simulation` do the same.

"""
_START: Final = "the start of the station"
_TELLING_FIELDS: Final = (
    "eventType",
    "triggerReason",
    "connectorStatus",
    "reason",
    "status",
    "type",
    "reservationUpdateStatus",
)
"""fields of a request that tell its causes apart"""
_LONGEST_STEP: Final = 260
_MOST_STEPS: Final = 3
OTHER_CAUSES: Final[Mapping[str, str]] = {
    "CertificateSigned": "a CSMS with a PKI answers SignCertificate with it: `borne csms --pki FOLDER`",
    "Get15118EVCertificate": "a vehicle asks for a contract; an external [SECC](../secc.md) passes it on",
    "GetCertificateStatus": "the station asks for the OCSP responses of its SECC's certificates: an EVSE with `secc`",
    "PublishFirmware": "not supported: a station is no local controller, and answers NotSupported",
    "PublishFirmwareStatusNotification": "never sent: a station is no local controller",
    "UnpublishFirmware": "not supported: a station is no local controller, and answers NotSupported",
}
"""messages that no shipped scenario causes, and why, or what does"""


class MessageCause(Frozen):
    """What causes a message in a shipped scenario."""

    action: str
    by_station: bool
    """whether the station sends the request"""
    detail: str
    """which of the messages of the action: the fields that tell them apart; empty: any"""
    step: str
    """the steps since the last expectation, as TOML; of a request of the CSMS: its payload as JSON"""
    scenario: str
    """name of the scenario"""
    distance: int = 0
    """number of steps between the last of them and the message"""


def causes() -> list[MessageCause]:
    """The nearest and simplest cause of each message, in the order of names and details."""
    found: dict[tuple[str, bool, str], list[MessageCause]] = {}
    for file in shipped_files():
        if file.suffix == ".toml" and not file.stem.startswith("misbehaviour-"):
            tree = tomllib.loads(file.read_text(encoding="utf-8"))
            for cause in _causes_in(objects_of(tree["step"]), file.stem):
                found.setdefault((cause.action, cause.by_station, cause.detail), []).append(cause)
    detailed = {(action, by_station) for action, by_station, detail in found if detail}
    return [
        min(same, key=lambda cause: (cause.distance, len(cause.step)))
        for (action, by_station, detail), same in sorted(found.items())
        if detail or (action, by_station) not in detailed
    ]


def _causes_in(steps: Sequence[Mapping[str, object]], scenario: str) -> Iterator[MessageCause]:
    """What each expectation of a scenario waits for, after the last step that drives station or CSMS."""
    driven, distance, expected = list[str](), 0, False
    for step in steps:
        (word,) = (key for key in step if key != "note")
        table = object_of(step[word])
        if word == "call":
            yield MessageCause(str(table["action"]), False, "", json.dumps(table.get("payload", {})), scenario)
        if word in DRIVING_WORDS or word in ("call", "request", "csms_answers", "wait"):
            shown = {key: table[key] for key in ("action", "payload") if key in table} if word == "call" else table
            driven = [*([] if expected else driven), f"{word} = {inline_value(shown)}"][-_MOST_STEPS:]
            distance, expected = 0, False
        messages = list_of(table["messages"]) if word == "expect_all" else [table] if word == "expect" else []
        for message in messages:
            expected = True
            if is_object(message) and message.get("sender") != "csms":
                detail, causing = _detail(object_of(message.get("payload", {}))), "; ".join(driven) or _START
                yield MessageCause(str(message["action"]), True, detail, causing, scenario, distance)
        distance += 1


def _detail(payload: Mapping[str, object]) -> str:
    fields = {key: payload[key] for key in _TELLING_FIELDS if isinstance(payload.get(key), str)}
    return ", ".join(f"{key} {value}" for key, value in fields.items() if "*" not in str(value))


def page() -> str:
    """Generate the page."""
    found = causes()
    sent = [cause for cause in found if cause.by_station]
    received = [cause for cause in found if not cause.by_station]
    rows = [_HEAD, "## Sent by the station\n\n| message | after these steps | scenario |\n|---|---|---|\n"]
    rows += [f"| {_message(cause)} | {_code(cause.step)} | `{cause.scenario}` |\n" for cause in sent]
    rows.append(
        "\n## Sent by the CSMS\n\n"
        "By the bundled CSMS: `borne csms call IDENTITY ACTION JSON`, its page, or a step `call`.\n\n"
        "| message | example of its payload | scenario |\n|---|---|---|\n"
    )
    rows += [f"| {cause.action} | {_code(cause.step)} | `{cause.scenario}` |\n" for cause in received]
    rows.append("\n## Without a scenario\n\n| message | |\n|---|---|\n")
    rows += [f"| {action} | {text} |\n" for action, text in OTHER_CAUSES.items()]
    return "".join(rows)


def _message(cause: MessageCause) -> str:
    detail = cause.detail.replace("|", " or ")
    return f"{cause.action} ({detail})" if detail else cause.action


def uncaused() -> set[str]:
    """Messages of OCPP that neither a shipped scenario nor `OTHER_CAUSES` explains."""
    return set(action_names()) - {cause.action for cause in causes()} - OTHER_CAUSES.keys()


def _code(text: str) -> str:
    if text == _START:
        return text
    shown = text if len(text) <= _LONGEST_STEP else f"{text[:_LONGEST_STEP]}…"
    return f"`{shown}`".replace("|", "\\|")
