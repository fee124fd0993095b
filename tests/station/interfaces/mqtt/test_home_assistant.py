"""The discovery message, checked against Home Assistant's documentation of each platform."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from station.interfaces.mqtt.home_assistant import DiscoveryDevice, discovery_message, discovery_topic
from station.load.shared_limits import parse_limit_request

ROOT = "borne/BORNE-0001"
ONE_EVSE = DiscoveryDevice("BORNE-0001", "borne", "flex", "0001", "1.2.3", [1], 32.0)
TWO = DiscoveryDevice("BORNE-0001", "borne", "flex", None, "1.2.3", [1, 2], 16.0, communicating_evses=[2])

# https://www.home-assistant.io/integrations/{mqtt,sensor.mqtt,number.mqtt,switch.mqtt,button.mqtt}/
ENTITY = {"platform", "name", "unique_id", "entity_category", "device_class"}
KEYS = {
    "sensor": {"state_topic", "value_template", "unit_of_measurement", "state_class", "options"},
    "number": {
        *("command_topic", "command_template", "state_topic", "value_template", "unit_of_measurement"),
        *("min", "max", "step", "mode"),
    },
    "switch": {"command_topic", "state_topic", "value_template", "payload_on", "payload_off"},
    "button": {"command_topic", "command_template", "payload_press"},
}
REQUIRED = {
    "sensor": {"state_topic"},
    "number": {"command_topic"},
    "switch": {"command_topic"},
    "button": {"command_topic"},
}
UNITS = {
    "current": {"A", "mA"},
    "power": {"W", "kW"},
    "energy": {"Wh", "kWh"},
    "energy_storage": {"Wh", "kWh"},
    "battery": {"%"},
}
STATE_CLASSES = dict.fromkeys(UNITS, "measurement") | {"energy": "total_increasing"}
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version", "serial_number"}


def message(device: DiscoveryDevice) -> dict[str, Any]:
    """The discovery message as it is published, decoded from JSON."""
    return cast("dict[str, Any]", json.loads(json.dumps(discovery_message(device, ROOT))))


def rendered(template: str, payload: object) -> str:
    """A template as Home Assistant fills it in, for a message it received."""
    return Environment(autoescape=True).from_string(template).render(value_json=payload)


@pytest.mark.parametrize("device", [ONE_EVSE, TWO], ids=["one EVSE", "two EVSEs"])
def test_every_part_has_the_keys_that_its_platform_allows_and_needs(device: DiscoveryDevice) -> None:
    for key, part in message(device)["components"].items():
        platform = part["platform"]
        assert part.keys() <= ENTITY | KEYS[platform], key
        assert part.keys() >= REQUIRED[platform] | {"name", "unique_id"}, key


@pytest.mark.parametrize("device", [ONE_EVSE, TWO], ids=["one EVSE", "two EVSEs"])
def test_every_measured_value_has_a_unit_and_a_state_class_that_its_kind_allows(device: DiscoveryDevice) -> None:
    sensors = [part for part in message(device)["components"].values() if part["platform"] == "sensor"]
    for part in sensors:
        kind = part.get("device_class")
        if kind == "enum":
            assert part["options"]
            assert not part.keys() & {"state_class", "unit_of_measurement"}, "of a choice there is neither"
        elif kind == "timestamp":
            assert not part.keys() & {"state_class", "unit_of_measurement", "options"}
        elif kind is not None:
            assert part["unit_of_measurement"] in UNITS[kind]
            assert part["state_class"] == STATE_CLASSES[kind]


def test_the_energy_is_what_the_energy_page_of_home_assistant_takes() -> None:
    energy = message(ONE_EVSE)["components"]["evse1_energy"]
    assert (energy["device_class"], energy["state_class"]) == ("energy", "total_increasing")
    assert energy["unit_of_measurement"] == "Wh"
    assert energy["state_topic"] == "borne/BORNE-0001/evse/1/state"


def test_the_device_is_identified_and_unavailable_when_the_station_is() -> None:
    discovery = message(ONE_EVSE)
    assert discovery["device"].keys() <= DEVICE
    assert discovery["device"]["identifiers"] == ["borne_BORNE-0001"]
    assert discovery["origin"]["name"]
    (availability,) = discovery["availability"]
    assert availability == {
        "topic": "borne/BORNE-0001/online",
        "payload_available": "true",
        "payload_not_available": "false",
    }


def test_what_a_vehicle_wants_is_announced_only_where_vehicles_communicate() -> None:
    parts = message(TWO)["components"].keys()
    assert {key for key in parts if "wants" in key or "departs" in key or "soc" in key} == {
        "evse2_wants",
        "evse2_departs",
        "evse2_soc",
    }


def test_no_two_parts_have_the_same_unique_id() -> None:
    ids = [part["unique_id"] for part in message(TWO)["components"].values()]
    assert len(set(ids)) == len(ids)
    names = [part["name"] for part in message(TWO)["components"].values()]
    assert len(set(names)) == len(names)


def test_what_a_person_sets_is_a_limit_that_the_station_takes() -> None:
    number = message(ONE_EVSE)["components"]["limit"]
    order = Environment(autoescape=True).from_string(number["command_template"]).render(value=10)
    wish = parse_limit_request(json.loads(order))
    assert (wish.current_a, wish.for_s, wish.by) == (10.0, None, "Home Assistant")


@pytest.mark.parametrize(
    ("limit", "number"),
    [
        (None, "32"),
        ({"current_a": 10.0, "power_w": None}, "10.0"),
        ({"current_a": None, "power_w": 4200.0}, "32"),
        ({"current_a": 0.0}, "32"),
        ({"current_a": 100.0}, "32"),
    ],
)
def test_the_number_never_leaves_its_range(limit: object, number: str) -> None:
    assert rendered(message(ONE_EVSE)["components"]["limit"]["value_template"], limit) == number


def test_what_is_not_known_is_none_which_home_assistant_shows_as_unknown() -> None:
    template = message(ONE_EVSE)["components"]["evse1_power"]["value_template"]
    assert rendered(template, {"power_w": None}) == "None"
    assert rendered(template, {"power_w": 690.0}) == "690.0"


@given(st.text(min_size=1, max_size=48), st.text(min_size=1, max_size=48))
def test_every_identity_makes_a_topic_of_its_own_that_home_assistant_listens_to(first: str, second: str) -> None:
    topic = discovery_topic("homeassistant", first)
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)
    assert (topic == discovery_topic("homeassistant", second)) is (first == second)
