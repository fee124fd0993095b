"""A valid installation file is read without pydantic; what is read without it, pydantic accepts with equal values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import cast

import msgspec
import pytest

from foundation import table, table_model
from foundation.secret import Secret
from foundation.table import Table, all_values, given_values
from foundation.table_definition import InvalidTableError, keys_of
from station.configuration.installation_example import sample_values
from station.configuration.installation_file import Configuration
from station.core.installation_file.document import KeyPath
from tools.references.installation_file import sections

GPIO = {"line": 5, "chip": "/dev/gpiochip1", "active_low": True, "bias": "pull-up"}
ANALOG = {"path": "/sys/bus/iio/devices/iio:device1", "channel": 0, "gain": 4.7, "offset_v": 0.0}
SIMULATED = {
    "station": {
        "identity": "BORNE-1",
        "vendor": "v",
        "serial_number": "1",
        "iccid": "89",
        "time_zone": "Europe/Paris",
        "storage": "data",
        "commissioning": "required",
        "firmware_version": "1",
    },
    "csms": {
        "url": "wss://csms.example/ocpp",
        "password": "0123456789abcdef",
        "ca_file": "roots.pem",
        "certificate_file": "a.pem",
        "key_file": "b.pem",
        "message_timeout_s": 20,
        "security_profile": 3,
        "accept": ["relative-station-limits"],
    },
    "http": {
        "host": "::",
        "port": 80,
        "names": ["a.b"],
        "installer_code": "ABCD-EFGH-JKLM",
        "tls": True,
        "certificate_file": "p.pem",
        "key_file": "q.pem",
    },
    "log": {"level": "debug", "file": "x.log", "frames": True},
    "evse": [
        {
            "id": 1,
            "phases": 3,
            "max_current_a": 16,
            "attached_cable": True,
            "connector_type": "cType2",
            "priority": 1,
            "secc": {"type": "simulated"},
        },
        {
            "id": 2,
            "meter": {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "h", "port": 502, "timeout_s": 2},
            "cable_without_rating": 13,
            "secc": {"type": "external", "socket": "/run/secc/evse2.sock"},
        },
        {"id": 3, "meter": {"type": "modbus-rtu", "model": "abb-b23", "device": "/dev/x", "stop_bits": 2}},
    ],
    "board": {"type": "simulated", "selector_a": 16, "jumpers": "3-4"},
    "light": {"type": "sysfs", "paths": ["/sys/class/leds/a"], "brightness": 0.5},
    "reader": [
        {"type": "serial", "device": "/dev/r", "baud": 9600, "checksum": "xor", "evse": 1},
        {"type": "keyboard", "device": "/dev/k", "digits": "decimal"},
        {"type": "simulated", "name": "r"},
    ],
    "display": {
        "evses": [1, 2],
        "languages": ["fr", "en"],
        "rotation_s": 5,
        "session_page": "https://c.example/{evse}",
        "output": [
            {"type": "lcd", "address": 0x27, "characters": "A02", "evse": 1},
            {"type": "file", "path": "d.json"},
            {"type": "mqtt"},
        ],
    },
    "protection": {"shunt_trip_pulse_s": 1.5, "pause_above_c": 60},
    "firmware": {"type": "command", "install_command": ["a", "b"], "confirm_command": ["c"]},
    "grid": {
        "phases": 3,
        "max_current_a": 40,
        "unbalance_a": 20,
        "silent_pause_after_s": False,
        "source": {"type": "p1", "device": "/dev/p", "key": "00112233445566778899AABBCCDDEEFF"},
    },
    "grid_order": {"type": "dry-contact", "polarity": "open-dims", "line": 17, "limit_w": 4200},
    "mqtt": {"host": "m", "password": "secret", "topic": "borne/x"},
    "mdns": {"enabled": True, "name": "Garage"},
    "prices": {
        "currency": "NOK",
        "energy_per_kwh": 0.25,
        "time_per_hour": 1,
        "idle_after_s": 3,
        "period": [{"name": "HC", "energy_per_kwh": "0.18"}],
    },
    "simulation": {"rate": 2, "meter_model": "abb-b23", "seed": 1, "p1": {"version": "BE", "fuse_a": 40}},
    "variable": [{"component": "OCPPCommCtrlr", "variable": "HeartbeatInterval", "value": "300", "evse": 1}],
}
REGISTERS = [{"quantity": "power_w", "address": 12, "type": "f32", "word_order": "low-first", "factor": 0.5}]
REAL = {
    "station": {"identity": "BORNE-1"},
    "evse": [{"phases": 1, "meter": {"type": "modbus-rtu-over-tcp", "model": "abb-b23", "host": "h", "port": 5}}],
    "board": {
        "type": "linux",
        "shunt_trip": {"line": 21},
        "selector": {"lines": [{"line": 22}, {"line": 23}], "positions": ["Z", "32", "25", "8"]},
        "jumpers": {"lines": [{"line": 30 + place} for place in range(5)]},
        "evse": [
            {
                "contactor": GPIO,
                "contactor_feedback": {"line": 6},
                "temperature": "/sys/class/hwmon/hwmon0/temp1_input",
                "pilot": {"pwm": {"path": "/sys/class/pwm/pwmchip0"}, "high": ANALOG, "low": ANALOG | {"channel": 1}},
                "proximity": ANALOG | {"channel": 2, "pull_up_ohm": 1000, "reference_v": 3.3},
                "lock": {
                    "kind": "motor",
                    "shut": {"line": 10},
                    "open": {"line": 11},
                    "feedback": {"line": 12},
                    "pulse_s": 0.6,
                },
                "residual": {"tripped": {"line": 13}, "test": {"line": 14}},
            }
        ],
    },
    "firmware": {"type": "command", "install_command": ["a"]},
    "grid": {
        "phases": 1,
        "silent_pause_after_s": 60,
        "source": {
            "type": "modbus",
            "every_s": 2,
            "meter": {"type": "modbus-rtu", "model": "custom", "device": "/dev/y", "registers": REGISTERS},
        },
    },
}
CONTROLLERS = {
    "station": {"identity": "BORNE-1"},
    "evse": [{"phases": 1, "meter": {"type": "modbus-tcp", "model": "abb-b23", "host": "h", "unit": 3}}],
    "board": {
        "type": "modbus",
        "selector_a": 16,
        "evse": [{"model": "heidelberg-energy-control", "device": "/dev/z", "parity": "N"}],
    },
    "firmware": {"type": "command", "install_command": ["a"]},
    "grid": {
        "phases": 1,
        "source": {"type": "ct", "clamps": [{"channel": 0, "primary_a": 50, "bias_v": 1.65}], "sampling_hz": 3000},
    },
}
LINKY = {
    "station": {"identity": "BORNE-1"},
    "evse": [{"phases": 1}],
    "grid": {"phases": 1, "source": {"type": "linky", "mode": "standard"}},
    "simulation": {"linky": {"mode": "standard", "phases": 1, "subscribed_va": 9000}},
}
WIRES = {
    "station": {"identity": "BORNE-1"},
    "evse": [{"phases": 3, "meter": {"type": "modbus-rtu", "model": "abb-b23", "device": "/dev/x"}}],
    "board": {
        "type": "linux",
        "flap": {"line": 40},
        "evse": [
            {
                "contactor": {"line": 1},
                "contactor_feedback": {"line": 2},
                "pilot": {"pwm": {"path": "/sys/class/pwm/pwmchip0"}, "high": ANALOG},
                "proximity": ANALOG | {"channel": 2, "pull_up_ohm": 1000, "reference_v": 3.3},
                "lock": {"kind": "solenoid", "shut": {"line": 3}},
                "phases": {"connect": {"line": 5}, "feedback": {"line": 6}},
                "residual": {"tripped": {"line": 7}},
            }
        ],
    },
    "light": {"type": "simulated"},
    "firmware": {"type": "command", "install_command": ["a"]},
    "reader": [{"type": "serial", "device": "/dev/r"}],
    "mqtt": {"host": "m"},
}
FILES: dict[str, object] = {
    "simulated": SIMULATED,
    "real": REAL,
    "controllers": CONTROLLERS,
    "linky": LINKY,
    "wires": WIRES,
}
EMPTY_LIST: list[object] = []
ODD: tuple[object, ...] = (
    *(None, True, False, 0, 1, 2, 3, 7, -1, 10**6, 10**30, 0.0, 1.0, 0.5, 2.5, 1e300, math.inf, -math.inf, math.nan),
    *(
        "",
        " ",
        "1",
        "0.5",
        "true",
        "x" * 60,
        "é",
        "a b",
        "a#",
        "topic\n",
        "ws://h",
        "12345678",
        "linux",
        "8",
        "inf",
        "€",
    ),
    *(
        EMPTY_LIST,
        dict[str, object](),
        [1],
        ["a"],
        ["a", "a"],
        {"type": "simulated"},
        {"line": 3},
        [dict[str, object]()],
        Decimal("0.1234567"),
        Secret("s"),
    ),
)
"""values that are wrong for most keys, and right for some, as TOML, JSON and environment variables can give them"""


def paths(tree: object, value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of all values, tables and keys that are left out; `value`: what has been read of the tree."""
    if path:
        yield path
    if isinstance(value, Table) and isinstance(tree, dict):
        given = cast("dict[str, object]", tree)
        for key, name in keys_of(type(value)).items():
            if key in given:
                yield from paths(given[key], getattr(value, name.removeprefix("given_")), (*path, key))
            else:
                yield (*path, key)
    elif isinstance(value, tuple) and isinstance(tree, list):
        pairs = zip(cast("list[object]", tree), cast("tuple[object, ...]", value), strict=True)
        for place, (inner, read) in enumerate(pairs):
            yield from paths(inner, read, (*path, place))


def tables_in(value: object) -> Iterator[Table]:
    """A table and all tables in it."""
    if isinstance(value, Table):
        yield value
        for name in keys_of(type(value)).values():
            yield from tables_in(getattr(value, name.removeprefix("given_")))
    elif isinstance(value, tuple):
        for item in cast("tuple[object, ...]", value):
            yield from tables_in(item)


PLACES: dict[str, Callable[[object], dict[str, object]]] = {
    "board": lambda sample: {"board": sample},
    "light": lambda sample: {"light": sample},
    "firmware": lambda sample: {"firmware": sample},
    "evse[].meter": lambda sample: {"evse": [{"phases": 1, "meter": sample}]},
    "grid.source": lambda sample: {"grid": {"phases": 1, "source": sample}},
    "reader[]": lambda sample: {"reader": [sample]},
    "display.output[]": lambda sample: {"display": {"output": [sample]}, "mqtt": {"host": "m"}},
}
"""the tables of which there are several kinds"""


def kinds_in(files: Iterable[object]) -> set[type[Table]]:
    """The kinds of tables in these files."""
    return {type(table) for file in files for table in tables_in(Configuration.from_tree(file))}


def sample_files(files: Mapping[str, object]) -> dict[str, object]:
    """For each table type of `PLACES` that no given file contains: a file with the sample values of the example."""
    written = kinds_in(files.values())
    missing = [section for section in sections() if section.places[0] in PLACES and section.model not in written]
    return {
        f"{section.places[0]} {section.choice}": CONTROLLERS | PLACES[section.places[0]](sample_values(section.model))
        for section in missing
    }


FILES.update(sample_files(FILES))


def changed(tree: object, path: KeyPath, value: object) -> object:
    """A copy of the tree with another value at a path."""
    if not path:
        return value
    step, *rest = path
    if isinstance(tree, dict):
        inner = cast("dict[str | int, object]", tree)
        return inner | {step: changed(inner.get(step), tuple(rest), value)}
    entries = list(cast("list[object]", tree))
    entries[cast("int", step)] = changed(entries[cast("int", step)], tuple(rest), value)
    return entries


def without_pydantic(tree: object, monkeypatch: pytest.MonkeyPatch) -> Configuration | None:
    """The configuration if it is read without pydantic."""

    def refuse(*_: object) -> object:
        raise LookupError

    with monkeypatch.context() as patched:
        patched.setattr(table_model, "validate", refuse)
        try:
            return Configuration.from_tree(tree)
        except LookupError:
            return None


def by_pydantic(tree: object, monkeypatch: pytest.MonkeyPatch) -> Configuration:
    """The configuration as pydantic validates it."""

    def refuse(*_: object, **__: object) -> object:
        raise msgspec.ValidationError

    with monkeypatch.context() as patched:
        patched.setattr(table, "convert", refuse)
        return Configuration.from_tree(tree)


@pytest.mark.parametrize("name", FILES)
def test_a_valid_file_is_read_without_pydantic(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_pydantic(FILES[name], monkeypatch) == by_pydantic(FILES[name], monkeypatch)


@pytest.mark.parametrize("name", FILES)
def test_every_key_with_every_odd_value_is_read_as_by_pydantic_or_left_to_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = 0
    for path in paths(FILES[name], Configuration.from_tree(FILES[name])):
        for value in ODD:
            tree = changed(FILES[name], path, value)
            read = without_pydantic(tree, monkeypatch)
            if read is not None:
                accepted += 1
                assert repr(read) == repr(by_pydantic(tree, monkeypatch)), (path, value)  # 1 == 1.0 == True
    assert accepted >= 10


def test_the_files_have_every_kind_of_table() -> None:
    assert {section.model for section in sections()} <= kinds_in(FILES.values())


def test_a_kind_of_board_source_meter_or_reader_that_no_file_has_is_read_as_its_sample() -> None:
    """As one that is added later: here all but those of two files."""
    samples = sample_files({"simulated": SIMULATED, "linky": LINKY})
    assert {'board type = "linux"', 'board type = "modbus"', 'grid.source type = "ct"'} <= samples.keys()
    assert kinds_in(samples.values())


@pytest.mark.parametrize("name", FILES)
def test_the_values_that_differ_from_the_defaults_make_the_same_configuration(name: str) -> None:
    configuration = Configuration.from_tree(FILES[name])
    assert Configuration.from_tree(given_values(configuration)) == configuration


def test_a_number_in_quotes_that_a_table_has_always_allowed_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = changed(CONTROLLERS, ("evse", 0, "meter", "unit"), "3")
    assert without_pydantic(tree, monkeypatch) is None
    assert Configuration.from_tree(tree) == Configuration.from_tree(CONTROLLERS)


def test_a_deeply_nested_value_is_rejected_like_any_other() -> None:
    nested = list[object]()
    for _ in range(400):
        nested = [nested]
    with pytest.raises(InvalidTableError, match=r"station\.identity"):
        Configuration.from_tree({"station": {"identity": nested}})


def test_all_values_show_no_secret() -> None:
    printed = str(all_values(Configuration.from_tree(SIMULATED)))
    for secret in ("0123456789abcdef", "ABCD-EFGH-JKLM", "00112233445566778899AABBCCDDEEFF", "'secret'"):
        assert secret not in printed


def test_an_error_shows_no_value() -> None:
    with pytest.raises(InvalidTableError) as refused:
        Configuration.from_tree(changed(SIMULATED, ("csms", "password"), "hunter2"))
    assert "csms.password" in str(refused.value)
    assert "hunter2" not in f"{refused.value} {refused.value!r}"
