"""All wrong values of a file are listed at once; rules between tables are judged once every value is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.configuration.installation_file import ConfigurationError, load_configuration

STATION = '[station]\nidentity = "BORNE-1"\n'


def refusal(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The sentences with which a file is refused, without its directory."""
    file = tmp_path / "station.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_configuration(file, environ or {})
    return [sentence.removeprefix(f"{tmp_path}/") for sentence in refused.value.sentences]


def complaints(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The keys that are complained of, and the variables, in order."""
    sentences = refusal(tmp_path, text, environ)
    return [sentence.split(": ")[1 if "station.toml" in sentence else 0] for sentence in sentences]


def test_all_wrong_values_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = f"""{STATION}colour = "red"
[http]
port = 80800
[[evse]]
max_current_a = 3
[evse.meter]
type = "modbus-tcp"
model = "?"
[mqtt]
port = 1883
"""
    named = ["station.colour", "http.port", "evse[0].max_current_a", "evse[0].meter.host", "evse[0].meter.model"]
    assert complaints(tmp_path, text) == [*named, "mqtt.host"]


def test_all_broken_rules_between_tables_are_listed_once_every_value_is_valid(tmp_path: Path) -> None:
    rules = '[[evse]]\nid = 2\n[[reader]]\ntype = "serial"\ndevice = "/dev/ttyUSB1"\nevse = 3\n'
    assert complaints(tmp_path, f"{STATION}{rules}[http]\nport = 80800\n") == ["http.port"]
    assert complaints(tmp_path, STATION + rules) == ["evse[0].id", "reader[0].evse"]


@pytest.mark.parametrize("text", ["evse = 3\n", "evse = [1]\n", "station = 1\n", "evse = []\n", "board = [1]\n"])
def test_a_value_in_place_of_a_table_is_one_mistake(tmp_path: Path, text: str) -> None:
    whole = text if text.startswith("station") else text + STATION
    assert len(complaints(tmp_path, whole)) == 1


def test_a_value_of_several_kinds_is_one_mistake(tmp_path: Path) -> None:
    text = f'{STATION}[grid]\nphases = 1\nsilent_pause_after_s = "x"\n[grid.source]\ntype = "linky"\ndevice = "x"'
    (sentence,) = refusal(tmp_path, f"{text}\n[[evse]]\nphases = 1\n")
    assert sentence.endswith('grid.silent_pause_after_s: must be a number or false (is "x")')


def test_two_rules_that_are_broken_at_the_same_key_are_two_mistakes(tmp_path: Path) -> None:
    time_zone = '[[variable]]\ncomponent = "ClockCtrlr"\nvariable = "TimeZone"\n'
    rows = f'{time_zone}mutability = "ReadOnly"\n{time_zone}value = "Europe/Berlin"\n'
    assert refusal(tmp_path, f'{STATION}time_zone = "Europe/Paris"\n{rows}') == [
        "station.toml:8: variable[1]: ClockCtrlr.TimeZone is configured twice",
        "station.toml:8: variable[1]: ClockCtrlr.TimeZone is already set by station.time_zone",
    ]


def test_unknown_variables_are_listed_with_the_mistakes_of_the_file(tmp_path: Path) -> None:
    environ = {"BORNE_FOO": "1", "BORNE_EVSE_7_PHASES": "1", "BORNE_HTTP_PORT": "x"}
    named = complaints(tmp_path, f"{STATION}colour = 1\n", environ)
    assert named == ["station.colour", "BORNE_HTTP_PORT", "BORNE_EVSE_7_PHASES", "BORNE_FOO"]
