"""Settings of which one must not exceed another, or two must differ, are refused; all numbers have bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundation.table_definition import InvalidTableError
from station.configuration.installation_file import Configuration, ConfigurationError, load_configuration
from station.configuration.related_settings import RELATED_SETTINGS
from station.maintenance.commissioning.site_settings import SettingsRefusedError, SiteSettings
from tests.station.configuration.test_hardware_rules import REAL

STATION = '[station]\nidentity = "B1"\n'
P1 = '[grid.source]\ntype = "p1"\ndevice = "/dev/p1"\n'
CLAMPS = '[grid.source]\ntype = "ct"\nclamps = [{{channel = 0}}, {{channel = {0}}}, {{channel = {1}}}]\n'
METER = 'meter = {{ type = "modbus-rtu", model = "abb-b23", device = "/dev/ttyS0", unit = {0} }}\n'
ORDER = '[grid_order]\ntype = "dry-contact"\npolarity = "closed-dims"\nline = 5\n'


def refused(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "station.toml"
    file.write_text(text, encoding="utf-8")
    try:
        load_configuration(file, {})
    except ConfigurationError as error:
        return [line.partition(": ")[2] for line in str(error).splitlines()]
    return []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            f"{STATION}[grid]\nphases = 3\nmax_current_a = 20\nsafe_current_a = 32\n{P1}",
            ["grid.safe_current_a: must be at most 20, the value of grid.max_current_a (is 32)"],
        ),
        (f"{STATION}[grid]\nphases = 3\nmax_current_a = 20\nsafe_current_a = 20\n{P1}", []),
        (f"{STATION}[grid]\nphases = 3\nsafe_current_a = 32\n{P1}", []),
        (
            f"{STATION}[grid]\nphases = 3\n{CLAMPS.format(0, 0)}",
            ["grid.source.clamps[1].channel: must not be the same as grid.source.clamps[0].channel; and 1 more error"],
        ),
        (f"{STATION}[grid]\nphases = 3\n{CLAMPS.format(1, 2)}", []),
        (
            f"{STATION}{ORDER}opposite_line = 5\n",
            ["grid_order.opposite_line: must not be the same as grid_order.line"],
        ),
        (
            f"{STATION}{ORDER}opposite_line = 6\nlimit_w = 22081\n",
            ["grid_order.limit_w: must be at most 22080, the power of all EVSEs (is 22081)"],
        ),
        (f"{STATION}{ORDER}opposite_line = 6\nlimit_w = 22080\n", []),
        (
            f"{STATION}[[evse]]\nid = 1\n{METER.format(1)}[[evse]]\nid = 2\n{METER.format(1)}",
            ["evse[1].meter.unit: must not be the same as evse[0].meter.unit"],
        ),
        (f"{STATION}[[evse]]\nid = 1\n{METER.format(1)}[[evse]]\nid = 2\n{METER.format(2)}", []),
        (
            f'{STATION}[grid]\nphases = 3\n{P1}[[reader]]\ntype = "serial"\ndevice = "/dev/p1"\n',
            ["reader[0].device: must not be the same as grid.source.device"],
        ),
        (
            f"{REAL}{ORDER}opposite_line = 7\n",
            ["grid_order.line: must not be the same as board"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(
    tmp_path: Path, text: str, sentences: list[str]
) -> None:
    assert refused(tmp_path, text) == sentences


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        ({"grid": {"safe_current_a": 21}}, "grid.safe_current_a: must be at most 20"),
        ({"grid": {"max_current_a": 5}}, "grid.safe_current_a: must be at most 5"),
        ({"grid": {"max_current_a": 1e308}}, "grid.max_current_a: must be at most 10000"),
        ({"grid": {"unbalance_a": 1e308}}, "grid.unbalance_a: must be at most 10000"),
        ({"grid": {"silent_pause_after_s": 0}}, "grid.silent_pause_after_s: must be at least 10 or false"),
        ({"grid_order": {"limit_w": 1e12}}, "grid_order.limit_w: must be at most 1e+07"),
        ({"grid_order": {"limit_w": 23_000}}, "grid_order.limit_w: must be at most 22080"),
        ({"grid_order": {"limit_w": float("inf")}}, "grid_order.limit_w: must be a finite number"),
    ],
)
def test_an_installer_is_refused_what_the_file_is_refused(
    tmp_path: Path, patch: dict[str, object], sentence: str
) -> None:
    site = SiteSettings(configuration_with_grid(tmp_path), {})
    with pytest.raises(SettingsRefusedError) as error:
        site.apply_patch(patch)
    assert sentence in str(error.value)
    assert site.to_json == {}


def configuration_with_grid(tmp_path: Path) -> Configuration:
    source = {"type": "p1", "device": "/dev/p1"}
    order = {"type": "dry-contact", "polarity": "open-dims", "line": 1}
    return Configuration.from_tree(
        {
            "station": {"identity": "B1", "storage": str(tmp_path / "storage")},
            "grid": {"phases": 3, "max_current_a": 20, "source": source},
            "grid_order": order,
        }
    )


def test_a_safe_current_that_an_earlier_version_has_stored_is_lowered_and_the_rest_stays_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = configuration_with_grid(tmp_path)
    configuration.station.storage.mkdir()
    stored = {"grid": {"safe_current_a": 32.0, "max_current_a": 16.0}, "csms": {"url": "ws://csms.example/"}}
    (configuration.station.storage / "site-settings.json").write_text(json.dumps(stored), encoding="utf-8")
    found = SiteSettings(configuration, {}).load_effective()
    assert found.grid is not None
    assert (found.grid.safe_current_a, found.grid.max_current_a) == (16.0, 16.0)
    assert found.csms is not None
    assert "site settings: grid.safe_current_a: must be at most 16" in caplog.text


def test_each_row_of_the_table_is_a_rule_of_the_installation_file() -> None:
    assert len(RELATED_SETTINGS) == 8
    with pytest.raises(InvalidTableError):
        Configuration.from_tree(
            {
                "station": {"identity": "B1"},
                "grid": {
                    "phases": 3,
                    "max_current_a": 20,
                    "safe_current_a": 32,
                    "source": {"type": "p1", "device": "x"},
                },
            }
        )


def numbers(schema: Any, path: str, root: Any, within: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """Each number of a JSON schema with its path."""
    if (reference := schema.get("$ref")) is not None:
        if reference not in within:
            yield from numbers(root["$defs"][reference.rpartition("/")[2]], path, root, within | {reference})
        return
    for kind in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for alternative in schema.get(kind, ()):
            yield from numbers(alternative, path, root, within)
    for name, inner in schema.get("properties", {}).items():
        yield from numbers(inner, f"{path}.{name}", root, within)
    if isinstance(schema.get("items"), dict):
        yield from numbers(schema["items"], f"{path}[]", root, within)
    if schema.get("type") in {"number", "integer"} and not {"enum", "const"} & schema.keys():
        yield path, schema


def test_every_number_of_the_installation_file_has_a_lowest_and_a_highest_value() -> None:
    from foundation.table_model import table_model  # as the test of the names does, for its schema

    schema = table_model(Configuration).model_json_schema()
    found = dict(numbers(schema, "", schema))
    assert ".grid.max_current_a" in found
    assert ".grid.source.clamps[].gain" in found
    unbounded = [
        path
        for path, number in found.items()
        if not {"minimum", "exclusiveMinimum"} & number.keys() or not {"maximum", "exclusiveMaximum"} & number.keys()
    ]
    assert unbounded == []
