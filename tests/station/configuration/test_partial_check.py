"""Wrong values do not hide the rules between tables, nor do they break one that holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.configuration.installation_file import ConfigurationError, load_configuration

STATION = '[station]\nidentity = "BORNE-1"\n'


def complaints(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The keys that are complained of, and the variables, in order."""
    file = tmp_path / "station.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_configuration(file, environ or {})
    return [sentence.split(": ")[1 if "station.toml" in sentence else 0] for sentence in refused.value.sentences]


def test_broken_rules_between_tables_are_listed_beside_wrong_values(tmp_path: Path) -> None:
    text = f"""{STATION}colour = "red"
[http]
port = 80800
[[evse]]
id = 2
max_current_a = 3
[[reader]]
type = "serial"
device = "/dev/ttyUSB1"
evse = 3
[mqtt]
port = 1883
"""
    assert complaints(tmp_path, text) == [
        "station.colour",
        "http.port",
        "evse[0].id",
        "evse[0].max_current_a",
        "reader[0].evse",
        "mqtt.host",
    ]


def test_what_is_missing_and_wrong_in_one_table_hides_no_rule_about_others(tmp_path: Path) -> None:
    text = f'{STATION}[[evse]]\nid = 2\n[evse.meter]\ntype = "modbus-tcp"\nmodel = "?"\n[[evse]]\nid = 3\n'
    assert complaints(tmp_path, text) == ["evse[0].id", "evse[0].meter.host", "evse[0].meter.model", "evse[1].id"]


@pytest.mark.parametrize("board", ["", 'type = "simulated"\n', 'type = "simulated"\nselector_a = 11\n'])
def test_mistakes_beside_a_simulated_board_are_listed(tmp_path: Path, board: str) -> None:
    text = f"{STATION}[http]\nport = 80800\n[[evse]]\nid = 2\n[board]\n{board}"
    wrong_board = ["board.selector_a"] if "selector" in board else []
    assert complaints(tmp_path, text) == ["http.port", "evse[0].id", *wrong_board]


def test_a_real_board_with_a_wrong_wire_still_has_nothing_simulated_beside_it(tmp_path: Path) -> None:
    text = f'{STATION}[[evse]]\nphases = 2\n[board]\ntype = "linux"\nselector_a = 11\n[simulation]\nrate = 2\n'
    assert complaints(tmp_path, text) == [
        "firmware.type",
        "evse[0].meter",
        "evse[0].phases",
        "board.evse",
        "board.selector_a",
        "simulation",
    ]


LINKY = "[simulation.linky]\nmode = 'standard'\nphases = 3\nsubscribed_va = 9000\n"
UNDECIDED = {
    "a Linky of a grid whose phases are wrong": (
        f"[grid]\nphases = 2\n[grid.source]\ntype = 'linky'\n{LINKY}",
        ["grid.phases"],
    ),
    "a Linky of a grid that cannot be read": (
        f"[grid]\nphases = 3\n[grid.source]\ntype = '?'\n{LINKY}",
        ["grid.source.type"],
    ),
    "one phase of a grid at an EVSE whose phases are wrong": (
        "[grid]\nphases = 1\n[grid.source]\ntype = 'linky'\ndevice = 'x'\n[[evse]]\nphases = 2",
        ["evse[0].phases"],
    ),
    "a reader of a list that lost an entry": (
        "[[reader]]\ntype = 'serial'\n[[reader]]\ntype = 'serial'\ndevice = 'x'\nevse = 2",
        ["reader[0].device"],
    ),
    "wires of a contact whose polarity is wrong": (
        "[grid_order]\ntype = 'dry-contact'\nline = 17\npolarity = '?'",
        ["grid_order.polarity"],
    ),
    "a shunt trip whose line is wrong": (
        "[protection]\nshunt_trip = 'pulse'\n[board]\ntype = 'linux'\nshunt_trip = {line = 'x'}",
        ["firmware.type", "evse[0].meter", "board.evse", "board.shunt_trip.line"],
    ),
    "a password that is wrong, beside a name with a colon": (
        "[csms]\nurl = 'ws://h'\npassword = 'short'",
        ["csms.password"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), UNDECIDED.values(), ids=UNDECIDED.keys())
def test_a_rule_that_reads_a_wrong_value_is_left_undecided(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert complaints(tmp_path, STATION.replace("-", ":") + text) == expected


def test_without_an_identity_the_rest_is_judged_nevertheless(tmp_path: Path) -> None:
    assert complaints(tmp_path, "[[evse]]\nid = 2") == ["station.identity", "evse[0].id"]


@pytest.mark.parametrize("text", ["evse = 3\n", "evse = [1]\n", "station = 1\n", "evse = []\n", "board = [1]\n"])
def test_a_value_in_place_of_a_table_is_one_mistake(tmp_path: Path, text: str) -> None:
    whole = text if text.startswith("station") else text + STATION
    assert len(complaints(tmp_path, whole)) == 1


def test_a_value_of_several_kinds_is_one_mistake(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    text = f'{STATION}[grid]\nphases = 1\nsilent_pause_after_s = "x"\n[grid.source]\ntype = "linky"\ndevice = "x"'
    file.write_text(f"{text}\n[[evse]]\nphases = 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_configuration(file, {})
    (sentence,) = refused.value.sentences
    assert sentence.endswith('grid.silent_pause_after_s: must be a number or false (is "x")')


def test_unknown_variables_are_listed_with_the_mistakes_of_the_file(tmp_path: Path) -> None:
    environ = {"BORNE_FOO": "1", "BORNE_EVSE_7_PHASES": "1", "BORNE_HTTP_PORT": "x"}
    named = complaints(tmp_path, f"{STATION}colour = 1\n", environ)
    assert named == ["station.colour", "BORNE_HTTP_PORT", "BORNE_EVSE_7_PHASES", "BORNE_FOO"]
