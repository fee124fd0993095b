"""Devices whose driver needs a package that is not installed are named, before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from station.configuration.installation_file import Configuration
from station.configuration.missing_packages import missing_package_errors
from tests.linux_double import Bench

METER = {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "192.168.1.20"}
CONTACT = {"type": "dry-contact", "polarity": "open-dims", "line": 40}


def configured(tmp_path: Path) -> Configuration:
    """A station with a board, a display and a contact on lines of the machine."""
    tree: dict[str, Any] = {
        "station": {"identity": "B1"},
        "firmware": {"type": "command", "install_command": ["/bin/true"]},
        "evse": [{"meter": METER}],
        "board": Bench(tmp_path).table(),
        "display": {"output": [{"type": "file", "path": "screen.json"}, {"type": "lcd"}]},
        "grid_order": CONTACT,
    }
    return Configuration.from_tree(tree)


def test_each_device_is_named_with_what_it_needs(tmp_path: Path) -> None:
    found = missing_package_errors(configured(tmp_path), lambda _: False, "linux")
    assert [problem.key for problem in found] == [
        ("board", "type"),
        ("display", "output", 1, "type"),
        ("grid_order", "type"),
    ]
    assert str(found[0]).startswith("needs gpiod, not installed: ")
    assert str(found[1]).startswith("needs RPLCD and smbus2, not installed: ")
    assert str(found[1]).endswith(' -m pip install "borne[board]"')


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    found = missing_package_errors(configured(tmp_path), lambda package: package != "smbus2", "linux")
    assert [problem.key for problem in found] == [("display", "output", 1, "type")]
    assert str(found[0]).startswith("needs smbus2, not installed")


def test_where_there_is_no_such_package_no_command_is_offered(tmp_path: Path) -> None:
    found = missing_package_errors(configured(tmp_path), lambda _: False, "darwin")
    assert {str(problem) for problem in found} == {
        "needs gpiod, for Linux only",
        "needs RPLCD and smbus2, for Linux only",
    }


@pytest.mark.parametrize("grid_order", [None, CONTACT | {"chip": "simulated"}])
def test_a_simulated_station_needs_none(grid_order: dict[str, object] | None) -> None:
    given = {"grid_order": grid_order} if grid_order is not None else {}
    configuration = Configuration.from_tree({"station": {"identity": "B1"}, **given})
    assert missing_package_errors(configuration, lambda _: False) == []


def test_a_station_of_the_tests_can_use_all_devices(tmp_path: Path) -> None:
    assert missing_package_errors(configured(tmp_path)) == []
