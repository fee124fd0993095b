"""The jumpers of the smart-meter port against the configured meter."""

from __future__ import annotations

from typing import Any

import pytest

from energy.sources.dry_contact import DryContactConfig
from station.load.jumpers import Jumpers, expected_position
from tests.energy.listening import configured

CONTACT = DryContactConfig(type="dry-contact", polarity="open-dims", line=1)
RTU = {"type": "modbus-rtu", "model": "eastron-sdm630", "device": "/dev/ttyS1"}


@pytest.mark.parametrize(
    ("source", "contacts", "position"),
    [
        ({"type": "linky", "device": "/dev/ttyS0"}, None, "3-4"),
        ({"type": "linky", "device": "socket://h:1"}, None, "9-10"),
        ({"type": "p1", "device": "/dev/ttyS0"}, None, "5-6"),
        ({"type": "p1", "device": "socket://h:1"}, None, "9-10"),
        ({"type": "modbus", "meter": RTU}, None, "1-2"),
        ({"type": "modbus", "meter": RTU, "port": "rs-232"}, None, "5-6"),
        (
            {"type": "modbus", "meter": {"type": "modbus-tcp", "model": "siemens-pac2200", "host": "h"}},
            None,
            "9-10",
        ),
        ({"type": "ct", "clamps": [{"channel": 0}]}, None, "9-10"),
        ({"type": "ct", "clamps": [{"channel": 0}]}, CONTACT, "7-8"),
        ({"type": "linky", "device": "/dev/ttyS0"}, CONTACT, "3-4"),
        (None, CONTACT, "7-8"),
        (None, None, "9-10"),
    ],
)
def test_each_meter_has_its_position(
    source: dict[str, Any] | None, contacts: DryContactConfig | None, position: str
) -> None:
    config = configured(source) if source is not None else None
    assert expected_position(config, contacts) == position


def test_a_mismatch_is_one_sentence_and_what_cannot_be_read_is_none() -> None:
    assert Jumpers("3-4", "3-4").mismatch is None
    assert Jumpers(None, "3-4").mismatch is None
    assert Jumpers("1-2", "3-4").mismatch == (
        "jumpers J1 and J2 are in position 1-2 (a Modbus meter on RS-485), "
        "but a Linky is configured: move them to position 3-4"
    )
