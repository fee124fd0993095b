"""The reference of MQTT: the topics from the docstring of their module, and the recorded fields of the payloads."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

from station.interfaces.mqtt import mqtt
from tools.references.markdown import sentence, table
from tools.references.names import fields_of, lines_of

_HEAD: Final = """\
# MQTT topics

A station with a table `[mqtt]` in its [installation file](installation-file.md) publishes its state to a broker and
accepts commands from it. [Home Assistant](../home-assistant.md) discovers it automatically.

All topics begin with `borne/{identity}/`, where `borne` is the key `mqtt.topic` and `{identity}` is
`station.identity`; a `+` in the identity is written `%2B`. Payloads are JSON, or a word where the table says so.
Published topics are retained, but for `device-event`. A retained command is ignored, since the broker would send it
again at each connection.

"""
_MEANINGS: Final = {
    "offered_a": "amperes per phase that the pilot offers",
    "reason.source": "what limits the current, one of the [sources](metrics.md#values-of-source)",
    "reason.words": "the same as text",
    "reason.current_a": "the limit in amperes per phase",
    "reason.by": "who set the limit, if known",
    "reason.since": "since when it applies",
    "reason.next_change": "when it changes next, if known",
    "grid_explanation": "if the house connection limits the current: its explanation, an object with the fields of "
    "[`grid_explanation`](../load-management.md#the-algorithm-in-one-minute) in `/api/status`; else null",
    "status": "connector status: Available, Occupied, Reserved, Unavailable or Faulted",
    "charging_state": "Idle, EVConnected, SuspendedEV, SuspendedEVSE or Charging",
    "current_a": "amperes that the vehicle draws on its most loaded phase, or the limit on each phase",
    "power_w": "watts that the vehicle draws, or the limit of all phases together",
    "energy_wh": "import register of the billing meter",
    "vehicle_wants_wh": "watt-hours that a vehicle wants, as it has told by ISO 15118; null: it has not",
    "vehicle_departs_at": "when it leaves; null: it has not told",
    "vehicle_soc_percent": "state of charge of its battery; null: it has not told",
    "reason": "text: why no more current is offered, or what the light means",
    "currents_a[]": "amperes of each phase of the grid connection; null: not reported by the meter",
    "house_a[]": "amperes of the house without the EVSEs on each phase, as estimated; null: not known",
    "limit_a": "limit of the grid connection in amperes per phase",
    "colour": "colour of the status light",
    "pattern": "steady or blinking",
    "by": "who set the limit",
    "until": "when the limit ends; null: when it is removed",
    "id": "number of the event",
    "at": "when it occurred",
    "trigger": "Alerting, Delta or Periodic",
    "notification_type": "HardWiredNotification, HardWiredMonitor, PreconfiguredMonitor or CustomMonitor",
    "component": "component of the device model",
    "component_instance": "instance of the component; null: it has none",
    "evse": "EVSE of the component; null: it belongs to the station",
    "connector": "connector of the component; null: it belongs to the EVSE or the station",
    "variable": "variable of the component",
    "instance": "instance of the variable; null: it has none",
    "value": "value of the variable; empty if unknown or not readable",
    "severity": "0 (danger) to 9 (debug)",
    "monitor": "id of the monitor; null: a fault that the station notifies by itself",
    "cleared": "true: back to normal; false: exceeded or faulty; null: neither",
    "cause": "number of the event that caused this one, if known",
    "tech_code": "name of the fault, if it is one",
    "tech_info": "what the part says about the fault, if anything",
    "transaction_id": "transaction during which it occurred; null: none",
}
"""meanings of the payload fields"""


def page() -> str:
    """Generate the page."""
    described = table(("topic", "meaning"), _described())
    parts = [_HEAD, described, "## Fields of the payloads\n\n"]
    for topic, fields in fields_of("mqtt_topics").items():
        rows = [(f"`{field_name}`", sentence(_MEANINGS.get(field_name, ""))) for field_name in fields]
        parts.append(f"### `{topic}`\n\n{table(('field', 'meaning'), rows)}" if rows else "")
    subscribed = "\n".join(f"- `{topic}`" for topic in lines_of("mqtt_orders") if topic.endswith("/set"))
    parts.append(f"## Topics that the station subscribes to\n\n{subscribed}\n\n")
    topic, *message = lines_of("home_assistant")
    parts.append(
        "## Discovery by Home Assistant\n\n"
        f"With `mqtt.discovery` the station publishes its entities to `{topic}`, where `ID` is its identity and"
        " `root` is `mqtt.topic`. For a station with two EVSEs:\n\n```json\n" + "\n".join(message) + "\n```\n"
    )
    return "".join(parts)


def _described() -> Iterator[tuple[str, str]]:
    """The topics and their meanings, from the list in the docstring of the module."""
    text = re.sub(r"\n  +", " ", inspect.cleandoc(mqtt.__doc__ or ""))
    for line in text.splitlines():
        if line.startswith("- "):
            topics, _, meaning = line.removeprefix("- ").partition(": ")
            yield topics.replace(" (retained)", ""), sentence(meaning.rstrip(";."))
