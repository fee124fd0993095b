"""The installation file: what it may say, and the one sentence that refuses what it may not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from energy.sources.grid_source_config import GridSourceConfig
from energy.sources.linky import LinkyConfig
from foundation.secret import Secret
from foundation.table import all_values
from metering.drivers.modbus import ModbusTcpMeterConfig
from station.configuration.installation_file import (
    SIMULATED_DEVICE,
    Configuration,
    ConfigurationError,
    load_configuration,
)
from station.devices.simulated_config import SimulatedBoardConfig

STATION = '[station]\nidentity = "BORNE-0001"\n'
PASSWORD = "0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "station.toml"


def loaded(file: Path, text: str, environ: Mapping[str, str] | None = None) -> Configuration:
    file.write_text(text, encoding="utf-8")
    return load_configuration(file, environ or {})


def refusal(file: Path, text: str, environ: Mapping[str, str] | None = None) -> str:
    """The error message with which the file is refused, without its directory."""
    with pytest.raises(ConfigurationError) as refused:
        loaded(file, text, environ)
    return str(refused.value).removeprefix(f"{file.parent}/")


# --- what is accepted


def test_an_identity_is_enough(file: Path) -> None:
    configuration = loaded(file, STATION)
    assert configuration.station.identity == "BORNE-0001"
    assert configuration.station.storage == Path("./borne-data")
    assert configuration.csms is None
    assert (configuration.http.host, configuration.http.port) == ("127.0.0.1", 8080)
    assert [(evse.id, evse.phases, evse.max_current_a) for evse in configuration.evse] == [(1, 3, 32.0)]
    assert configuration.evse[0].meter.type == "simulated"
    assert isinstance(configuration.board, SimulatedBoardConfig)
    assert configuration.board.selector_a == 32
    assert configuration.grid is None
    assert (configuration.simulation.rate, configuration.simulation.linky) == (1.0, None)


def test_evses_without_an_id_are_numbered_in_their_order(file: Path) -> None:
    configuration = loaded(file, f"{STATION}[[evse]]\n[[evse]]\nphases = 1\n[[evse]]\nid = 3\n")
    assert [(evse.id, evse.phases) for evse in configuration.evse] == [(1, 3), (2, 1), (3, 3)]


def test_every_table_is_read(file: Path) -> None:
    configuration = loaded(
        file,
        f"""
        [station]
        identity = "BORNE-0001"
        [csms]
        url = "wss://csms.example/ocpp"
        password = "{PASSWORD}"
        [http]
        port = 0
        [[evse]]
        id = 1
        [evse.meter]
        type = "modbus-tcp"
        model = "eastron-sdm630"
        host = "192.168.1.20"
        [[evse]]
        id = 2
        max_current_a = 16
        [grid]
        phases = 3
        max_current_a = 40
        source = {{ type = "linky", device = "/dev/ttyS0" }}
        [simulation]
        rate = 0
        seed = 7
        [[variable]]
        component = "OCPPCommCtrlr"
        variable = "HeartbeatInterval"
        value = "300"
        """,
    )
    assert configuration.csms is not None
    assert configuration.csms.password == Secret(PASSWORD)
    assert configuration.http.port == 0
    meter = configuration.evse[0].meter
    assert isinstance(meter, ModbusTcpMeterConfig)
    assert (meter.host, meter.port) == ("192.168.1.20", 502)
    assert configuration.evse[1].max_current_a == 16.0
    assert configuration.grid is not None
    source = configuration.grid.source
    assert isinstance(source, LinkyConfig)
    assert (source.device, configuration.grid.safe_current_a) == ("/dev/ttyS0", 6.0)
    assert (configuration.simulation.rate, configuration.simulation.seed) == (0.0, 7)
    assert configuration.variable[0].value == "300"


@pytest.mark.parametrize(
    ("keys", "profile"),
    [
        ('url = "ws://h"', 0),
        (f'url = "ws://h"\npassword = "{PASSWORD}"', 1),
        (f'url = "wss://h"\npassword = "{PASSWORD}"', 2),
        (f'url = "WSS://h"\npassword = "{PASSWORD}"', 2),
        ('url = "wss://h"\ncertificate_file = "c"\nkey_file = "k"', 3),
        (f'url = "wss://h"\npassword = "{PASSWORD}"\ncertificate_file = "c"\nkey_file = "k"', 3),
        (
            f'url = "wss://h"\npassword = "{PASSWORD}"\ncertificate_file = "c"\nkey_file = "k"\nsecurity_profile = 2',
            2,
        ),
    ],
)
def test_the_security_profile_follows_from_the_other_keys(file: Path, keys: str, profile: int) -> None:
    configuration = loaded(file, f"{STATION}[csms]\n{keys}")
    assert configuration.csms is not None
    assert configuration.csms.security_profile == profile


def test_a_simulated_linky_brings_its_own_device(file: Path) -> None:
    configuration = loaded(
        file,
        f"{STATION}[grid]\nphases = 3\nsource.type = 'linky'\n"
        "[simulation.linky]\nmode = 'standard'\nphases = 3\nsubscribed_va = 36000",
    )
    assert configuration.grid is not None
    assert isinstance(configuration.grid.source, LinkyConfig)
    assert configuration.grid.source.device == SIMULATED_DEVICE


# --- what is refused, and in which words

SOURCES = ", ".join(f'"{kind.__struct_config__.tag}"' for kind in get_args(GridSourceConfig))
RULES = {
    "a value below its minimum": (
        "[[evse]]\nmax_current_a = 3",
        "station.toml:4: evse[0].max_current_a: must be at least 6 (is 3)",
    ),
    "a value above its maximum": (
        "[http]\nport = 70000",
        "station.toml:4: http.port: must be at most 65535 (is 70000)",
    ),
    "text for a number": (
        '[http]\nport = "80"',
        'station.toml:4: http.port: must be a whole number (is "80")',
    ),
    "true for a number": ("[http]\nport = true", "station.toml:4: http.port: must be a whole number (is true)"),
    "an endless number": (
        "[simulation]\nrate = inf",
        "station.toml:4: simulation.rate: must be a finite number (is inf)",
    ),
    "a number for text": ("[http]\nhost = 3", "station.toml:4: http.host: must be text in quotes (is 3)"),
    "a word that is none of the choices": (
        '[log]\nformat = "xml"',
        'station.toml:4: log.format: must be "auto", "human" or "json" (is "xml")',
    ),
    "a table for a list": ("[evse]", "station.toml:3: evse: must be a list of tables, in double brackets"),
    "a key mistyped": (
        "[[evse]]\nmax_curent_a = 32",
        "station.toml:4: evse[0].max_curent_a: is not a known key (did you mean max_current_a?)",
    ),
    "a key like no other": (
        "[board]\nselector_a = 32\ncolour = 1",
        "station.toml:5: board.colour: is not a known key (known keys: type, selector_a, jumpers)",
    ),
    "a table that is not known": (
        "[grids]",
        "station.toml:3: grids: is not a known key (did you mean grid?)",
    ),
    "a required key in a table": ("[csms]\n", "station.toml:3: csms.url: is missing"),
    "a key of a chosen meter": (
        '[evse.meter]\ntype = "modbus-tcp"\nmodel = "abb-b23"\nhost = "h"\nport = 0'.replace(
            "[evse", "[[evse]]\n[evse"
        ),
        "station.toml:8: evse[0].meter.port: must be at least 1 (is 0)",
    ),
    "a key missing of a chosen meter": (
        '[[evse]]\nmeter = { type = "modbus-tcp", model = "abb-b23" }',
        "station.toml:4: evse[0].meter.host: is missing",
    ),
    "a mistyped key of a chosen meter": (
        '[[evse]]\n[evse.meter]\ntype = "modbus-tcp"\nmodel = "abb-b23"\nhost = "h"\nunits = 1',
        "station.toml:8: evse[0].meter.units: is not a known key (did you mean unit?)",
    ),
    "a meter without a type": (
        "[[evse]]\n[evse.meter]\nunit = 1",
        "station.toml:4: evse[0].meter.type: is missing",
    ),
    "a type that is none": (
        '[grid]\nphases = 1\nsource.type = "linki"',
        f'station.toml:5: grid.source.type: must be one of {SOURCES} (is "linki")',
    ),
    "no EVSE": ("evse = []", "station.toml:1: evse: must have at least one entry"),
    "EVSEs out of order": (
        "[[evse]]\n[[evse]]\nid = 3",
        "station.toml:5: evse[1].id: must be 2: EVSEs are numbered 1, 2, … in order (is 3)",
    ),
    "an id beside those that follow from the order": (
        "[[evse]]\n[[evse]]\n[[evse]]\nid = 2",
        "station.toml:6: evse[2].id: must be 3: EVSEs are numbered 1, 2, … in order (is 2)",
    ),
    "lamps for some EVSEs": (
        "[[evse]]\n[[evse]]\nid = 2\n[light]\ntype = 'sysfs'\npaths = ['a', 'b', 'c']",
        "station.toml:8: light.paths: must have 1 entry, or 2: one for each EVSE (has 3)",
    ),
    "three phases behind one": (
        "[[evse]]\n[grid]\nphases = 1\nsource = { type = 'linky', device = 'd' }",
        "station.toml:3: evse[0].phases: must be 1, because grid.phases is 1 (is 3)",
    ),
    "a linky without device": (
        "[grid]\nphases = 3\n[grid.source]\ntype = 'linky'",
        "station.toml:5: grid.source.device: is missing",
    ),
    "a linky with two devices": (
        "[grid]\nphases = 3\n[grid.source]\ntype = 'linky'\ndevice = 'd'\n"
        "[simulation.linky]\nmode = 'standard'\nphases = 3\nsubscribed_va = 9000",
        "station.toml:7: grid.source.device: must be left out, because [simulation.linky] provides the device",
    ),
    "fewer clamps than phases": (
        "[grid]\nphases = 3\n[grid.source]\ntype = 'ct'\nclamps = [{ channel = 0 }]",
        "station.toml:7: grid.source.clamps: must have 3 entries, one for each phase (has 1)",
    ),
    "a meter that shows totals only": (
        "[grid]\nphases = 3\n[grid.source]\ntype = 'modbus'\n"
        "meter = { type = 'modbus-tcp', host = 'h', model = 'eastron-sdm72d-m' }",
        "station.toml:7: grid.source.meter.model: Eastron SDM72D-M does not measure each of three phases, "
        "so the phases cannot be limited by it",
    ),
    "a contact whose broken wire would end an order": (
        "[grid_order]\ntype = 'dry-contact'\npolarity = 'closed-dims'\nline = 17",
        'station.toml:3: grid_order.opposite_line: is missing: with polarity = "closed-dims" a broken wire would end'
        " an order (or set unsupervised = true)",
    ),
    "a contact that gives the part of a heat pump to the EVSEs": (
        "[[evse]]\n[grid_order]\ntype = 'dry-contact'\npolarity = 'open-dims'\nline = 17\ndevices = 2",
        "station.toml:8: grid_order.devices: must be at most 1, the number of EVSEs: other devices do not count (is 2)",
    ),
    "a contact without a polarity": (
        "[grid_order]\ntype = 'dry-contact'\nline = 17",
        "station.toml:3: grid_order.polarity: is missing",
    ),
    "a key that is none": (
        "[grid]\nphases = 3\n[grid.source]\ntype = 'p1'\ndevice = 'd'\nkey = 'C0FFEE'",
        "station.toml:8: grid.source.key: must be 32 hexadecimal digits",
    ),
    "a custom meter without registers": (
        "[grid]\nphases = 3\n[grid.source]\ntype = 'modbus'\n"
        "meter = { type = 'modbus-tcp', host = 'h', model = 'custom' }",
        'station.toml:7: grid.source.meter: model = "custom" requires at least one entry in registers',
    ),
    "a simulated linky that nobody reads": (
        "[simulation.linky]\nmode = 'standard'\nphases = 3\nsubscribed_va = 9000",
        'station.toml:3: simulation.linky: needs a [grid] with a source of type "linky"',
    ),
    "a simulated linky of another house": (
        "[grid]\nphases = 3\nsource = { type = 'linky' }\n"
        "[simulation.linky]\nmode = 'standard'\nphases = 1\nsubscribed_va = 9000",
        "station.toml:8: simulation.linky.phases: must be 3, like grid.phases (is 1)",
    ),
    "a CSMS by http": ("[csms]\nurl = 'http://h'", "station.toml:4: csms.url: must begin with ws:// or wss://"),
    "a CSMS without host": ("[csms]\nurl = 'ws:///x'", "station.toml:4: csms.url: must contain a host name"),
    "a CSMS on a port that is none": ("[csms]\nurl = 'ws://h:x'", "station.toml:4: csms.url: is not a URL"),
    "a CSMS with a space": (
        "[csms]\nurl = 'ws://h/a b'",
        "station.toml:4: csms.url: must not contain spaces or a fragment (#)",
    ),
    "TLS without credentials": (
        "[csms]\nurl = 'wss://h'",
        "station.toml:4: csms.url: wss:// needs a password (security profile 2) "
        "or certificate_file and key_file (security profile 3)",
    ),
    "a file without name": ("[csms]\nurl = 'ws://h'\nca_file = ''", "station.toml:5: csms.ca_file: must not be empty"),
    "a file with NUL": (
        '[csms]\nurl = "ws://h"\nca_file = "a\\u0000"',
        "station.toml:5: csms.ca_file: must not contain the character NUL",
    ),
    "a certificate without key": (
        "[csms]\nurl = 'wss://h'\ncertificate_file = 'c'",
        "station.toml:3: csms.key_file: is missing: certificate_file needs it",
    ),
    "a security profile that does not fit": (
        "[csms]\nurl = 'ws://h'\nsecurity_profile = 2",
        "station.toml:5: csms.security_profile: must be 0 with the other keys (is 2)",
    ),
    "a tolerance that there is not": (
        "[csms]\nurl = 'ws://h'\naccept = ['anything']",
        'station.toml:5: csms.accept[0]: must be "relative-station-limits" (is "anything")',
    ),
    "a variable twice": (
        "[[variable]]\ncomponent = 'A'\nvariable = 'B'\nvalue = ''\n"
        "[[variable]]\ncomponent = 'a'\nvariable = 'b'\nvalue = ''",
        "station.toml:7: variable[1]: a.b is configured twice",
    ),
    "a variable about which nothing is said": (
        "[[variable]]\ncomponent = 'A'\nvariable = 'B'",
        "station.toml:3: variable[0].value: is missing: a variable needs value or mutability",
    ),
    "a variable of an EVSE that is not there": (
        "[[variable]]\ncomponent = 'A'\nvariable = 'B'\nvalue = ''\nevse = 2",
        "station.toml:7: variable[0].evse: must be the id of an [[evse]] (is 2)",
    ),
    "a driver of a display that is not there": (
        "[display]\nevses = [1]\n[[display.output]]\ntype = 'file'\npath = 'x'\nevse = 2",
        "station.toml:8: display.output[0].evse: must be one of display.evses (is 2)",
    ),
    "a display on MQTT without a broker": (
        "[[display.output]]\ntype = 'mqtt'",
        'station.toml:4: display.output[0].type: must not be "mqtt" without [mqtt]',
    ),
    "an address of an I2C device that is none": (
        "[[display.output]]\ntype = 'lcd'\naddress = 0x78",
        "station.toml:5: display.output[0].address: must be at most 119 (is 120)",
    ),
    "a page of the session that is none": (
        "[display]\nsession_page = 'charge.example'",
        "station.toml:4: display.session_page: must begin with http:// or https:// and a host name",
    ),
    "a display without a language": (
        "[display]\nlanguages = []",
        "station.toml:4: display.languages: must have 1 or more entries",
    ),
    "a variable of a connector of no EVSE": (
        "[[variable]]\ncomponent = 'A'\nvariable = 'B'\nvalue = ''\nconnector = 1",
        "station.toml:7: variable[0].connector: must be 1, together with evse",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), RULES.values(), ids=RULES.keys())
def test_a_refusal_names_file_line_and_key(file: Path, text: str, sentence: str) -> None:
    # A bare key must stand before the first table.
    complete = f"{text}\n{STATION}" if text.startswith("evse =") else f"{STATION}{text}"
    assert refusal(file, complete) == sentence


@pytest.mark.parametrize(
    "contact",
    [
        'polarity = "open-dims"',
        'polarity = "closed-dims"\nunsupervised = true',
        'polarity = "closed-dims"\nopposite_line = 18',
    ],
    ids=str,
)
def test_a_contact_may_be_supervised_in_several_ways_or_somebody_answers_for_it(file: Path, contact: str) -> None:
    assert loaded(file, f'{STATION}[grid_order]\ntype = "dry-contact"\nline = 17\n{contact}').grid_order is not None


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("", 'length must be at least 1 (is "")'),
        ("x" * 49, "length must be at most 48"),
        ("BORNE 1", "must contain only the characters a-z A-Z 0-9 * - _ = : + | @ ."),
        ("BORNÉ", "must contain only the characters a-z A-Z 0-9 * - _ = : + | @ ."),
        ("BORNE\\n", "must contain only the characters a-z A-Z 0-9 * - _ = : + | @ ."),
    ],
)
def test_an_identity_is_an_identifier_string(file: Path, identity: str, words: str) -> None:
    assert refusal(file, f'[station]\nidentity = "{identity}"').startswith(f"station.toml:2: station.identity: {words}")


def test_an_identity_with_a_colon_cannot_be_a_user_name_A00_FR_204(file: Path) -> None:
    text = '[station]\nidentity = "A:B"\n[csms]\nurl = "ws://h"\n'
    assert loaded(file, text).station.identity == "A:B"
    sentence = refusal(file, f'{text}password = "{PASSWORD}"')
    assert sentence == "station.toml:2: station.identity: must not contain a colon if csms.password is set"


@pytest.mark.parametrize(
    "text",
    [
        f"a = {'[' * 5000}{']' * 5000}",
        f"a = {'[' * 33}{']' * 33}",
        f"a = {'{a = ' * 5000}1{'}' * 5000}",
        f"[[variable]]\nvalue.{'.'.join('a' * 5000)} = 1",
        f"[{'.'.join('a' * 5000)}]",
    ],
    ids=["arrays", "a few arrays", "inline tables", "dotted keys", "header"],
)
def test_a_file_that_is_nested_too_deeply_is_refused_in_a_sentence(file: Path, text: str) -> None:
    sentence = "station.toml: is nested too deeply: at most 32 tables and arrays may be within each other"
    assert refusal(file, text) == sentence


def test_a_variable_that_is_nested_too_deeply_is_refused_in_a_sentence(file: Path) -> None:
    message = refusal(file, STATION, {"BORNE_HTTP_NAMES": f"{'[' * 5000}{']' * 5000}"})
    assert message.startswith("BORNE_HTTP_NAMES: ")


def test_an_empty_file_lacks_the_identity(file: Path) -> None:
    assert refusal(file, "") == "station.toml:1: station.identity: is missing"


def test_of_several_mistakes_the_first_in_the_file_is_reported_and_the_others_counted(file: Path) -> None:
    text = f'{STATION}[http]\nport = -1\n[board]\nselector_a = 7\n[csms]\nurl = "x"'
    assert refusal(file, text) == "station.toml:4: http.port: must be at least 0 (is -1); and 2 more errors"


def test_every_broken_rule_between_tables_is_reported(file: Path) -> None:
    """Also of a real board, whose EVSEs need not be as many as the tables."""
    text = """
[station]
identity = "A:B"
[csms]
url = "ws://localhost"
password = "0123456789abcdef"
[[evse]]
id = 2
[[reader]]
type = "serial"
device = "/dev/ttyUSB1"
evse = 3
[board]
type = "modbus"
selector_a = 16
[[board.evse]]
model = "heidelberg-energy-control"
device = "/dev/ttyUSB2"
[[board.evse]]
model = "heidelberg-energy-control"
device = "/dev/ttyUSB3"
"""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_configuration(file, {})
    assert [sentence.removeprefix(f"{file.parent}/").split(": ")[:2] for sentence in refused.value.sentences] == [
        ["station.toml:1", "firmware.type"],
        ["station.toml:3", "station.identity"],
        ["station.toml:7", "evse[0].meter"],
        ["station.toml:8", "evse[0].id"],
        ["station.toml:12", "reader[0].evse"],
        ["station.toml:16", "board.evse"],
    ]


def test_a_key_that_follows_from_a_wrong_one_is_no_second_mistake(file: Path) -> None:
    assert refusal(file, f'{STATION}[csms]\nurl = "x"').endswith("csms.url: must begin with ws:// or wss://")


# --- what is no TOML


def test_a_syntax_error_names_its_line(file: Path) -> None:
    assert refusal(file, f"{STATION}[http]\nport = \n") == (
        "station.toml:4: is not valid TOML: Invalid value (column 8)"
    )


def test_an_end_in_the_middle_names_the_last_line(file: Path) -> None:
    assert refusal(file, f"{STATION}[http]\nport = [1,\n").startswith("station.toml:4: is not valid TOML: ")


def test_a_missing_file_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read: No such file or directory$"):
        load_configuration(tmp_path / "none.toml", {})


def test_a_directory_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read: Is a directory$"):
        load_configuration(tmp_path, {})


def test_bytes_that_are_no_text_name_their_line(file: Path) -> None:
    file.write_bytes(b'[station]\nidentity = "\xff"\n')
    with pytest.raises(ConfigurationError, match=r"station\.toml:2: is not UTF-8 text$"):
        load_configuration(file, {})


def test_the_mark_that_windows_puts_before_utf_8_is_harmless(file: Path) -> None:
    file.write_text(STATION, encoding="utf-8-sig")
    assert load_configuration(file, {}).station.identity == "BORNE-0001"


# --- the environment


def test_every_key_may_come_from_the_environment(file: Path) -> None:
    environ = {
        "BORNE_STATION_IDENTITY": "12",
        "BORNE_STATION_ON_STORAGE_FAILURE": "continue",
        "BORNE_CSMS_URL": "wss://h",
        "BORNE_CSMS_PASSWORD": "1234567890123456",
        "BORNE_HTTP_PORT": "0",
        "BORNE_LOG_FRAMES": "true",
        "BORNE_EVSE_0_MAX_CURRENT_A": "16",
        "BORNE_EVSE_0_PHASES": "1",
        "BORNE_EVSE_0_METER_TYPE": "modbus-tcp",
        "BORNE_EVSE_0_METER_MODEL": "abb-b23",
        "BORNE_EVSE_0_METER_HOST": "127.0.0.1",
        "BORNE_EVSE_0_METER_TIMEOUT_S": "0.5",
        "BORNE_GRID_PHASES": "1",
        "BORNE_GRID_SOURCE_TYPE": "linky",
        "BORNE_SIMULATION_LINKY_MODE": "standard",
        "BORNE_SIMULATION_LINKY_PHASES": "1",
        "BORNE_SIMULATION_LINKY_SUBSCRIBED_VA": "9000",
        "PATH": "/bin",
    }
    configuration = loaded(file, "", environ)
    assert configuration.station.identity == "12"
    assert configuration.station.on_storage_failure == "continue"
    assert configuration.csms is not None
    assert configuration.csms.password == Secret("1234567890123456")
    assert configuration.http.port == 0
    assert configuration.log.frames is True
    evse = configuration.evse[0]
    assert (evse.max_current_a, evse.phases) == (16.0, 1)
    assert isinstance(evse.meter, ModbusTcpMeterConfig)
    assert evse.meter.timeout_s == 0.5
    assert configuration.simulation.linky is not None
    assert configuration.simulation.linky.subscribed_va == 9000


def test_a_variable_goes_over_the_file_and_leaves_the_rest(file: Path) -> None:
    text = f"{STATION}[[evse]]\nphases = 1\nmax_current_a = 3\n[[evse]]\nid = 2"
    configuration = loaded(file, text, {"BORNE_EVSE_0_MAX_CURRENT_A": "20", "BORNE_EVSE_2_ID": "3"})
    assert [(evse.id, evse.phases, evse.max_current_a) for evse in configuration.evse] == [
        (1, 1, 20.0),
        (2, 3, 32.0),
        (3, 3, 32.0),
    ]


def test_entries_are_counted_as_numbers_not_as_text(file: Path) -> None:
    configuration = loaded(file, STATION, {f"BORNE_EVSE_{i}_ID": str(i + 1) for i in reversed(range(12))})
    assert [evse.id for evse in configuration.evse] == list(range(1, 13))


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"BORNE_EVSE_0_MAX_CURRENT_A": "3"},
            "BORNE_EVSE_0_MAX_CURRENT_A: evse[0].max_current_a: must be at least 6 (is 3)",
        ),
        ({"BORNE_HTTP_PORT": "high"}, 'BORNE_HTTP_PORT: http.port: must be a whole number (is "high")'),
        ({"BORNE_HTTP_PORT": ""}, 'BORNE_HTTP_PORT: http.port: must be a whole number (is "")'),
        ({"BORNE_GRID_PHASES": "3"}, "BORNE_GRID_PHASES: grid.source: is missing"),
        (
            {"BORNE_CSMS_ULR": "ws://h"},
            "BORNE_CSMS_ULR: is not a known environment variable (did you mean BORNE_CSMS_URL?)",
        ),
        (
            {"BORNE_EVSE_3_METER_HOTS": "h"},
            "BORNE_EVSE_3_METER_HOTS: is not a known environment variable (did you mean BORNE_EVSE_3_METER_HOST?)",
        ),
        ({"BORNE_XYZZY": "1"}, "BORNE_XYZZY: is not a known environment variable"),
        ({"BORNE_EVSE_1_ID": "2"}, "BORNE_EVSE_1_ID: skips an entry of the list, whose next entry has index 0"),
    ],
)
def test_a_refusal_names_the_variable_in_place_of_a_line(file: Path, environ: Mapping[str, str], sentence: str) -> None:
    assert refusal(file, STATION, environ) == sentence


def test_a_variable_does_not_hide_what_is_wrong_in_the_file(file: Path) -> None:
    sentence = refusal(file, "http = 3\n" + STATION, {"BORNE_HTTP_PORT": "80"})
    assert sentence == "station.toml:1: http: must be a table"


# --- secrets


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("[csms]\nurl = 'ws://h'\npassword = 'hunter2'", {}),
        ("[csms]\nurl = 'ws://h'\npassword = \"hunter2 hunter2\\thunter2\"", {}),
        ("[csms]\nurl = 'ws://h'\npasword = 'hunter2'", {}),
        ("[csms]\nurl = 'ws://user:hunter2@h'", {}),
        ("[csms]\nurl = 'ws://h'\npassword = ['hunter2']", {}),
        ("[csms]\nurl = 'ws://h'\npassword = 'hunter2", {}),
        ("", {"BORNE_CSMS_URL": "ws://h", "BORNE_CSMS_PASSWORD": "hunter2"}),
        ("", {"BORNE_CSMS": "{url='ws://h', password='hunter2'"}),
        (
            "[[variable]]\ncomponent = 'SecurityCtrlr'\nvariable = 'basicAuthPassword'\nvalue = 'hunter2'",
            {},
        ),
    ],
)
def test_a_refusal_never_shows_a_password(file: Path, text: str, environ: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        loaded(file, STATION + text, environ)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__ or "hunter2" not in repr(refused.value.__cause__)


def test_a_configuration_does_not_show_its_password(file: Path) -> None:
    configuration = loaded(file, f'{STATION}[csms]\nurl = "ws://h"\npassword = "{PASSWORD}"')
    assert PASSWORD not in f"{configuration!r} {configuration} {all_values(configuration)}"


# --- the time zone


def test_the_time_zone_is_a_name_of_the_iana_database(file: Path) -> None:
    configuration = loaded(file, STATION + 'time_zone = "Europe/Paris"\n')
    assert configuration.station.time_zone == "Europe/Paris"
    assert loaded(file, STATION).station.time_zone is None


@pytest.mark.parametrize("name", ["Europe/Pari", "", "CEST", "right/Europe/Paris", "../../etc/passwd"])
def test_another_name_is_refused_with_its_line(file: Path, name: str) -> None:
    message = refusal(file, STATION + f'time_zone = "{name}"\n')
    assert message.startswith("station.toml:3: station.time_zone: must be a time zone of the IANA database")


def test_the_time_zone_is_not_given_as_a_variable_too(file: Path) -> None:
    row = '[[variable]]\ncomponent = "ClockCtrlr"\nvariable = "TimeZone"\nvalue = "Europe/Berlin"\n'
    message = refusal(file, STATION + 'time_zone = "Europe/Paris"\n' + row)
    assert "ClockCtrlr.TimeZone is already set by station.time_zone" in message
