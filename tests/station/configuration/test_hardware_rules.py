"""What goes with a real board and what does not, each refused in a sentence that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundation.table_definition import InvalidTableError
from station.configuration.installation_file import Configuration, ConfigurationError, load_configuration
from station.devices.linux.linux_board_config import LinuxBoardConfig
from tests.linux_double import Bench

REAL = """
[station]
identity = "BORNE-0001"
[firmware]
type = "command"
install_command = ["/bin/true"]
[[evse]]
attached_cable = true
meter = { type = "modbus-tcp", model = "eastron-sdm630", host = "192.168.1.20" }
[board]
type = "linux"
[[board.evse]]
contactor = { line = 5 }
contactor_feedback = { line = 6 }
[board.evse.pilot]
pwm = { path = "/sys/class/pwm/pwmchip0" }
high = { path = "/sys/bus/iio/devices/iio:device0", channel = 0 }
"""


def refusal_message(tmp_path: Path, text: str) -> str:
    file = tmp_path / "station.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_configuration(file, {})
    return str(error.value).replace(str(tmp_path) + "/", "")


def test_a_real_board_needs_no_more_than_its_wires(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(REAL, encoding="utf-8")
    assert isinstance(load_configuration(file, {}).board, LinuxBoardConfig)


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        (
            "[simulation]\nrate = 2.0\n",
            'simulation: must be left out: board.type is "linux", and nothing is simulated',
        ),
        (
            '[[reader]]\ntype = "simulated"\n',
            'reader[0].type: must not be simulated: board.type is "linux"',
        ),
        (
            '[grid]\nphases = 3\nsource = { type = "p1", device = "simulated" }\n',
            'grid.source.device: must not be simulated: board.type is "linux"',
        ),
        (
            '[grid_order]\ntype = "dry-contact"\npolarity = "open-dims"\nchip = "simulated"\nline = 1\n',
            'grid_order.chip: must not be simulated: board.type is "linux"',
        ),
        (
            '[grid]\nphases = 3\n[grid.source]\ntype = "modbus"\n'
            'meter = { type = "modbus-tcp", model = "eastron-sdm630", host = "simulated" }\n',
            'grid.source.meter.host: must not be simulated: board.type is "linux"',
        ),
    ],
)
def test_what_is_simulated_is_refused_beside_it(tmp_path: Path, added: str, sentence: str) -> None:
    assert refusal_message(tmp_path, REAL + added).endswith(sentence)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            '[firmware]\ntype = "command"\ninstall_command = ["/bin/true"]\n',
            "",
            'firmware.type: must be "command", or "rauc" on a station image: board.type is "linux"',
        ),
        (
            'meter = { type = "modbus-tcp", model = "eastron-sdm630", host = "192.168.1.20" }\n',
            "",
            'evse[0].meter: must be a real meter: board.type is "linux"',
        ),
        ("attached_cable = true\n", "", "board.evse[0].proximity: is missing: a socket needs it"),
        ("[board]", "[[evse]]\nid = 2\n[board]", "evse[1].meter: must be a real meter: board.type is"),
        ("{ line = 6 }", "{ line = 5 }", "board: line 5 of /dev/gpiochip0 is used twice"),
        ('type = "linux"', 'type = "lunix"', "board.type: must be one of"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    assert before in REAL
    assert sentence in refusal_message(tmp_path, REAL.replace(before, after))


MODBUS = """
[station]
identity = "BORNE-0001"
[firmware]
type = "command"
install_command = ["/bin/true"]
[[evse]]
meter = { type = "modbus-tcp", model = "eastron-sdm630", host = "192.168.1.20" }
[board]
type = "modbus"
selector_a = 16
evse = [{ model = "heidelberg-energy-control", device = "/dev/ttyUSB0" }]
"""


def test_controllers_on_modbus_need_the_selector_and_have_no_shunt_trip(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(MODBUS, encoding="utf-8")
    assert load_configuration(file, {}).board.type == "modbus"
    assert "board.selector_a: is missing" in refusal_message(tmp_path, MODBUS.replace("selector_a = 16\n", ""))
    added = '[protection]\nshunt_trip = "hold"\n'
    assert "protection.shunt_trip: needs board.shunt_trip, which is missing" in refusal_message(
        tmp_path, MODBUS + added
    )
    assert "simulation: must be left out" in refusal_message(tmp_path, MODBUS + "[simulation]\nrate = 1.0\n")


SERIAL = 'model = "heidelberg-energy-control", device = "/dev/ttyUSB0"'


@pytest.mark.parametrize("model", ["simple-evse", "phoenix-em-cp-pp-eth", "phoenix-ev-cc-eth", "phoenix-ev-cc-serial"])
def test_a_controller_without_a_known_timeout_has_to_be_accepted_by_name(tmp_path: Path, model: str) -> None:
    """Nothing would open its contactor when the program ends in the middle of a charge."""
    text = MODBUS.replace(SERIAL, f'model = "{model}", host = "192.168.1.22"')
    assert refusal_message(tmp_path, text) == (
        f'station.toml:9: board.i_accept_no_timeout: must be true with model "{model}": no communication time-out is '
        "known, so it may go on offering current when this program stops"
    )
    accepted = text.replace("selector_a", "i_accept_no_timeout = true\nselector_a")
    (tmp_path / "station.toml").write_text(accepted, encoding="utf-8")
    assert load_configuration(tmp_path / "station.toml", {}).board.type == "modbus"


@pytest.mark.parametrize(
    ("wiring", "sentence"),
    [
        ('model = "phoenix-charx", device = "/dev/x"', 'needs host: model = "phoenix-charx" has Modbus TCP only'),
        ('model = "bender-cc612", device = "/dev/x"', 'needs host: model = "bender-cc612" has Modbus TCP only'),
        (
            f"{SERIAL}, charging_point = 1",
            'must not have charging_point: model = "heidelberg-energy-control" has one charging point',
        ),
        ('model = "phoenix-charx", host = "h", charging_point = 49', "board.evse[0].charging_point: must be at most"),
    ],
)
def test_a_key_that_a_controller_does_not_have_is_named(tmp_path: Path, wiring: str, sentence: str) -> None:
    assert sentence in refusal_message(tmp_path, MODBUS.replace(SERIAL, wiring))


def test_the_controllers_of_a_charx_group_share_an_address_and_no_charging_point(tmp_path: Path) -> None:
    meter = '{ type = "modbus-tcp", model = "eastron-sdm630", host = "192.168.1.21" }'
    second = f"[[evse]]\nid = 2\nmeter = {meter}\n[board]"
    group = ", ".join(f'{{ model = "phoenix-charx", host = "h", charging_point = {n} }}' for n in (1, 2))
    text = MODBUS.replace("[board]", second).replace(f"{{ {SERIAL} }}", group)
    (tmp_path / "station.toml").write_text(text, encoding="utf-8")
    assert load_configuration(tmp_path / "station.toml", {}).board.type == "modbus"
    assert "board.evse[1].charging_point: must not be the same as board.evse[0].charging_point" in refusal_message(
        tmp_path, text.replace("charging_point = 2", "charging_point = 1")
    )


def test_every_evse_has_its_wiring(tmp_path: Path) -> None:
    meter = '{ type = "modbus-tcp", model = "eastron-sdm630", host = "192.168.1.21" }'
    text = REAL + f"[[evse]]\nid = 2\nattached_cable = true\nmeter = {meter}\n"
    assert "board.evse: must have 2 entries, one for each [[evse]] (has 1)" in refusal_message(tmp_path, text)


def test_an_attached_cable_has_no_lock(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "station": {"identity": "BORNE-0001"},
        "firmware": {"type": "command", "install_command": ["/bin/true"]},
        "evse": [
            {
                "attached_cable": True,
                "meter": {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "192.168.1.20"},
            }
        ],
        "board": Bench(tmp_path).table(),
    }
    with pytest.raises(InvalidTableError, match="must be left out with attached_cable = true"):
        Configuration.from_tree(given)
