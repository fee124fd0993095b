"""The MQTT discovery message for Home Assistant: one message for the whole station.

Format: device discovery (https://www.home-assistant.io/integrations/mqtt/, release 2024.11 and later). Topics: see
`station.interfaces.mqtt.mqtt`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen
from station.core.light_patterns import LightReason
from station.core.model import ChargingState, ConnectorStatus

Json = dict[str, object]


class DiscoveryDevice(Frozen):
    """The data of the station that `discovery_message` announces to Home Assistant."""

    identity: str
    vendor: str
    model: str
    serial_number: str | None
    version: str
    """software version"""
    evses: Sequence[int]
    """ids of the EVSEs"""
    max_current_a: float
    """the highest rating of an EVSE, amperes per phase"""
    communicating_evses: Collection[int] = ()
    """those of `evses` that can communicate with vehicles (ISO 15118)"""


def discovery_topic(prefix: str, identity: str) -> str:
    """The topic of the retained discovery message, below Home Assistant's `prefix`; an empty one removes the device."""
    return f"{prefix}/device/{_id(identity)}/config"


def discovery_message(station: DiscoveryDevice, root: str) -> Json:
    """Build the discovery message with all sensors and controls; `root`: prefix of the station's own topics."""
    device: Json = {
        "identifiers": [_id(station.identity)],
        "name": station.identity,
        "manufacturer": station.vendor,
        "model": station.model,
        "sw_version": station.version,
    }
    if station.serial_number is not None:
        device["serial_number"] = station.serial_number
    parts = {**_station_entities(station, root)}
    for evse_id in station.evses:
        name = f"EVSE {evse_id} " if len(station.evses) > 1 else ""
        parts |= _evse_entities(evse_id, root, name, communicates=evse_id in station.communicating_evses)
    unique = _id(station.identity)
    return {
        "device": device,
        "origin": {"name": "borne", "sw_version": station.version},
        "availability": [{"topic": f"{root}/online", "payload_available": "true", "payload_not_available": "false"}],
        "qos": 1,
        "components": {key: part | {"unique_id": f"{unique}_{key}"} for key, part in parts.items()},
    }


def _station_entities(station: DiscoveryDevice, root: str) -> dict[str, Json]:
    """The entities for all EVSEs together."""
    usual = f"{station.max_current_a:g}"
    set_by = '"lasting": true, "by": "Home Assistant"'  # lasting, since Home Assistant does not show when a limit ends
    return {
        "light": _sensor("Light", f"{root}/light", "reason", device_class="enum", options=[*LightReason])
        | {"entity_category": "diagnostic"},
        "limit": {
            "platform": "number",
            "name": "Current limit",
            "device_class": "current",
            "unit_of_measurement": "A",
            "min": int(MINIMUM_CURRENT_A),
            "max": station.max_current_a,
            "step": 1,
            "state_topic": f"{root}/limit/user",
            "value_template": (
                f"{{{{ value_json.current_a if value_json and (value_json.current_a or 0) >= {MINIMUM_CURRENT_A:g}"
                f" and value_json.current_a <= {usual} else {usual} }}}}"
            ),
            "command_topic": f"{root}/limit/user/set",
            "command_template": f'{{"current_a": {{{{ value }}}}, {set_by}}}',
        },
        "pause": {
            "platform": "switch",
            "name": "Pause charging",
            "state_topic": f"{root}/pause",
            "command_topic": f"{root}/pause/set",
        },
        "no_limit": {
            "platform": "button",
            "name": "No limit",
            "command_topic": f"{root}/pause/set",
            "payload_press": "RESUME",
        },
    }


def _evse_entities(evse_id: int, root: str, name: str, *, communicates: bool) -> dict[str, Json]:
    """The sensors and buttons of one EVSE; `name`: what their names begin with."""
    state = f"{root}/evse/{evse_id}/state"

    def sensor(label: str, key: str, **more: object) -> Json:
        text = f"{name}{label}" if name else label[0].upper() + label[1:]
        return _sensor(text, state, key, **more)

    def measured(label: str, key: str, kind: str, unit: str) -> Json:
        return sensor(label, key, device_class=kind, unit_of_measurement=unit, state_class="measurement")

    parts: dict[str, Json] = {
        "status": sensor("status", "status", device_class="enum", options=[*ConnectorStatus]),
        "charging": sensor("charging state", "charging_state", device_class="enum", options=[*ChargingState]),
        "current": measured("current", "current_a", "current", "A"),
        "offered": measured("offered current", "offered_a", "current", "A"),
        "reason": sensor("reason of the limit", "reason"),
        "power": measured("power", "power_w", "power", "W"),
        "energy": sensor(
            "energy", "energy_wh", device_class="energy", unit_of_measurement="Wh", state_class="total_increasing"
        ),
        "charge_now": {
            "platform": "button",
            "name": f"{name}charge now" if name else "Charge now",
            "command_topic": f"{root}/evse/{evse_id}/charge-now/set",
        },
    }
    if communicates:
        parts["wants"] = measured("energy wanted", "vehicle_wants_wh", "energy_storage", "Wh")
        parts["departs"] = sensor("departure", "vehicle_departs_at", device_class="timestamp")
        parts["soc"] = measured("state of charge", "vehicle_soc_percent", "battery", "%")
    return {f"evse{evse_id}_{key}": part for key, part in parts.items()}


def _sensor(name: str, topic: str, key: str, **more: object) -> Json:
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{key} }}}}",
        **more,
    }


def _id(identity: str) -> str:
    """An identity in the characters that discovery topics allow; distinct identities stay distinct."""
    return "borne_" + re.sub(r"[^a-zA-Z0-9-]", lambda match: f"_{ord(match[0]):x}_", identity)
