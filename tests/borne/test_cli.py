"""The command line, run as a user runs it: what it prints, where, and how it exits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest

from borne.cli import COMMANDS, GROUPS
from energy.sources.grid_source_config import GridSourceConfig
from station.configuration import schema_keys as config_keys
from station.configuration.installation_example import installation_example
from station.configuration.installation_file import Configuration, load_configuration
from station.devices.device_config import RealBoardConfig

ROOT = Path(__file__).parents[2]
STATION = '[station]\nidentity = "BORNE-0001"\n'
REAL = """
[firmware]
type = "command"
install_command = ["/bin/true"]
[[evse]]
[evse.meter]
type = "modbus-tcp"
model = "eastron-sdm630"
host = "192.168.1.20"
"""
"""tables that a real board requires"""
HEAVY = {
    "typer",
    "click",
    "rich",
    "fastapi",
    "uvicorn",
    "ocpp",
    "websockets",
    "cryptography",
    "pymodbus",
    "serialx",
    "pydantic_settings",
    "gpiod",
}


EXAMPLE = installation_example()


def alternatives(place: str) -> list[tuple[str, str]]:
    """The tables of the example that may take the place of a table: the lines with their marks, and the TOML."""
    heading = rf"^# In place of \[{re.escape(place)}\] above: .*\n(?:# .*\n)*?((?:#  .*\n)+)"
    return [(lines, re.sub("^#  ", "", lines, flags=re.M)) for lines in re.findall(heading, EXAMPLE, re.M)]


def alternative(place: str, kind: str) -> tuple[str, str]:
    """The alternative whose table has this `type`."""
    return next(found for found in alternatives(place) if f'type = "{kind}"' in found[1])


def without(example: str, place: str) -> str:
    """The example without the table that another is to replace."""
    return re.sub(rf"^\[{re.escape(place)}\].*\n(?:.+\n)*", "", example, count=1, flags=re.MULTILINE)


def borne(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}
    return subprocess.run(
        [sys.executable, "-m", "borne", *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def uncommented(example: str) -> str:
    """The example with every key in force, except of tables in place of others."""
    return re.sub(r"^#(?=[a-z_]+ = |\[)", "", example, flags=re.MULTILINE)


def keys_of(kind: object) -> Iterator[str]:
    for key, entry_type in config_keys.table_keys(kind).items():
        yield key
        yield from keys_of(entry_type)
        yield from keys_of(config_keys.entry(entry_type))


# --- check


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("", "1 EVSE (3 phases, 32 A), stand-alone"),
        (
            "[csms]\nurl = 'wss://csms.example/ocpp'\npassword = '0123456789abcdef'\n"
            "[[evse]]\n[[evse]]\nid = 2\nphases = 1\nmax_current_a = 16.5",
            "2 EVSEs (3 phases, 32 A; 1 phase, 16.5 A), CSMS wss://csms.example/ocpp",
        ),
    ],
)
def test_check_sums_up_a_good_file_in_one_line(tmp_path: Path, text: str, summary: str) -> None:
    (tmp_path / "station.toml").write_text(STATION + text)
    result = borne("check", "station.toml", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        f"station.toml: ok: BORNE-0001, {summary}\n",
        "",
    )


@pytest.mark.parametrize(
    ("http", "notes"),
    [
        ("", ["http.host", "http.installer_code"]),
        ('[http]\nhost = "0.0.0.0"', ["http.installer_code"]),
        ('[http]\nhost = "::1"\ninstaller_code = "TRYS-TATN-HERE"', ["http.host"]),
        ('[http]\nhost = "0.0.0.0"\ninstaller_code = "TRYS-TATN-HERE"', []),
    ],
)
def test_check_notes_what_an_installer_lacks_to_commission_the_station(
    tmp_path: Path, http: str, notes: list[str]
) -> None:
    (tmp_path / "station.toml").write_text(f'{STATION}commissioning = "required"\n{http}\n')
    result = borne("check", "station.toml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[1] for line in result.stdout.splitlines() if line.startswith("note: ")] == notes


def test_check_takes_the_environment_into_account(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("")
    result = borne("check", "station.toml", cwd=tmp_path, BORNE_STATION_IDENTITY="BORNE-0002")
    assert result.stdout.startswith("station.toml: ok: BORNE-0002, ")


@pytest.mark.parametrize("arguments", [("check", "station.toml"), ("run", "--config", "station.toml")])
def test_a_bad_file_ends_with_2_and_one_sentence_on_stderr(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "station.toml").write_text(f"{STATION}[[evse]]\nmax_current_a = 3\n")
    result = borne(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (
        2,
        "",
        "station.toml:4: evse[0].max_current_a: must be at least 6 (is 3)\n",
    )


def test_check_lists_every_mistake_on_a_line_of_its_own_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = f"{STATION}[http]\nport = -1\n[board]\nselector_a = 7\n[csms]\nurl = 'x'\n"
    (tmp_path / "station.toml").write_text(text)
    result = borne("check", "station.toml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "station.toml:4: http.port: must be at least 0 (is -1)",
        "station.toml:6: board.selector_a: must be 32, 25, 20, 16, 12 or 8 (is 7)",
        "station.toml:8: csms.url: must begin with ws:// or wss://",
    ]


def test_check_names_each_variable_that_the_station_would_not_apply(tmp_path: Path) -> None:
    rows = (
        ("DeviceDataCtrlr", "BytesPerMessage", "42", 'instance = "GetReport"'),
        ("DeviceDataCtrlr", "ItemsPerMessage", "42", 'instance = "GetReport"'),
        ("ReservationCtrlr", "Available", "false", ""),
        ("LocalAuthListCtrlr", "Available", "true", ""),
        ("TxCtrlr", "TxStartPoint", "Tomorrow", ""),
        ("SecurityCtrlr", "MaxCertificateChainSize", "many", ""),
        ("DeviceDataCtrlr", "ReportingValueSize", "9", ""),
        ("VendorCtrlr", "Colour", "red", 'mutability = "ReadOnly"'),
        ("DeviceDataCtrlr", "BytesPerMesage", "4096", 'instance = "GetReport"'),
        ("ChargingStation", "Model", "Other", ""),
        ("EVSE", "Power", "7000", "evse = 1"),
        ("OCPPCommCtrlr", "HeartbeatInterval", "60", ""),
    )
    text = "".join(
        f'[[variable]]\ncomponent = "{component}"\nvariable = "{name}"\nvalue = "{value}"\n{more}\n'
        for component, name, value, more in rows
    )
    (tmp_path / "station.toml").write_text(STATION + text)
    result = borne("check", "station.toml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "station.toml:3: variable[0]: DeviceDataCtrlr.BytesPerMessage must be between 512 and 1000000",
        'station.toml:13: variable[2]: ReservationCtrlr.Available must be "true": it reports what the station can do,'
        " and switches nothing",
        "station.toml:23: variable[4]: TxCtrlr.TxStartPoint 'Tomorrow' is not one of ParkingBayOccupancy, EVConnected,"
        " Authorized, DataSigned, PowerPathClosed, EnergyTransfer",
        "station.toml:28: variable[5]: SecurityCtrlr.MaxCertificateChainSize must be a whole number",
        "station.toml:33: variable[6]: DeviceDataCtrlr.ReportingValueSize is fixed by the program",
        "station.toml:43: variable[8]: DeviceDataCtrlr.BytesPerMesage is not known (UnknownVariable); a custom variable"
        " needs `mutability`",
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "station.toml"]


def test_check_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(STATION)
    result = borne("check", "station.toml", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    imported = {line.split("|")[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert {"station", "msgspec", "argparse"} <= imported
    assert imported & {*HEAVY, "pydantic"} == set()


# --- run


def test_run_refuses_a_log_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(f"{STATION}[log]\nfile = 'none/borne.log'")
    result = borne("run", "--config", "station.toml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (
        2,
        "station.toml: log.file: cannot be opened: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run",), "the following arguments are required: --config"),
        (("run", "--config", "station.toml", "--http-port", "65536"), "must be 0 to 65535 (is 65536)"),
        (("run", "--config", "station.toml", "--http-port", "eighty"), "--http-port"),
        (("fly",), "No such command 'fly'"),
    ],
)
def test_a_command_that_is_not_understood_ends_with_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = borne(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr


# --- init


def test_what_init_writes_passes_check(tmp_path: Path) -> None:
    assert borne("init", "station.toml", cwd=tmp_path).returncode == 0
    result = borne("check", "station.toml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_init_without_a_file_writes_to_stdout(tmp_path: Path) -> None:
    result = borne("init", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, EXAMPLE)
    assert list(tmp_path.iterdir()) == []


def test_init_overwrites_only_when_forced(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text("mine")
    result = borne("init", "station.toml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "station.toml: already exists; use --force to overwrite it\n")
    assert file.read_text() == "mine"
    assert borne("init", "station.toml", "--force", cwd=tmp_path).returncode == 0
    assert file.read_text() == EXAMPLE


def test_init_says_why_it_cannot_write(tmp_path: Path) -> None:
    result = borne("init", "none/station.toml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (
        2,
        "none/station.toml: cannot be written: No such file or directory\n",
    )


def test_the_example_holds_with_all_its_keys_in_force(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    # The device of the grid source and the simulated Linky exclude each other.
    text = uncommented(EXAMPLE).replace('device = "/dev/ttyS0"', "")
    file.write_text(text.replace("tls = false", "tls = true", 1), encoding="utf-8")  # that of [http], with its files
    configuration = load_configuration(file, {})
    assert configuration.csms is not None
    assert configuration.grid is not None
    assert configuration.simulation.linky is not None
    assert len(configuration.variable) == 1


def test_what_the_example_shows_of_defaults_is_so(tmp_path: Path) -> None:
    original, uncommented_file = tmp_path / "plain.toml", tmp_path / "shown.toml"
    original.write_text(STATION)
    tables = re.split(r"\n\n", uncommented(EXAMPLE))
    of_defaults = [table for table in tables if re.search(r"^\[(http|log|board)\]", table, re.MULTILINE)]
    examples = r"^(file|jumpers|names|installer_code|service_code|certificate_file|key_file) = .*$"
    text = re.sub(examples, "", "\n".join(of_defaults), flags=re.MULTILINE)  # of what has no default
    uncommented_file.write_text(STATION + text, encoding="utf-8")
    assert load_configuration(uncommented_file, {}) == load_configuration(original, {})


def test_the_example_names_every_key() -> None:
    named_keys = set(re.findall(r"^[# ]*([a-z_0-9]+) = ", EXAMPLE, re.MULTILINE))
    tables = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"^[# ]*\[+([a-z_0-9.]+)\]", EXAMPLE, re.MULTILINE))))
    assert set(keys_of(Configuration)) <= named_keys | tables


@pytest.mark.parametrize("keys", [str, uncommented])
def test_every_other_grid_source_of_the_example_can_be_loaded(tmp_path: Path, keys: Callable[[str], str]) -> None:
    """With its required keys, and with all."""
    loaded: list[str] = []
    for _, source in alternatives("grid.source"):
        file = tmp_path / "other.toml"
        file.write_text(f"{STATION}[grid]\nphases = 1\n{keys(source)}[[evse]]\nphases = 1\n", encoding="utf-8")
        grid = load_configuration(file, {}).grid
        assert grid is not None
        loaded.append(grid.source.type)
    assert {*loaded, "linky"} == {table.__struct_config__.tag for table in get_args(GridSourceConfig)}


@pytest.mark.parametrize("keys", [str, uncommented])
def test_every_other_board_of_the_example_can_be_loaded(tmp_path: Path, keys: Callable[[str], str]) -> None:
    """With its required keys, and with all: a controller has a host or a device, and only CHARX a charging point."""
    loaded: list[str] = []
    for _, board in alternatives("board"):
        file = tmp_path / "other.toml"
        text = re.sub(r"^(?:host|charging_point) = .*\n", "", keys(board), flags=re.MULTILINE)
        file.write_text(f"{STATION}{REAL}{text}", encoding="utf-8")
        loaded.append(load_configuration(file, {}).board.type)
    assert loaded == [table.__struct_config__.tag for table in get_args(RealBoardConfig)]


@pytest.mark.parametrize("keys", [str, uncommented])
@pytest.mark.parametrize(
    ("place", "kinds"),
    [
        ("evse.meter", ["modbus-tcp", "modbus-rtu", "modbus-rtu-over-tcp"]),
        ("light", ["sysfs"]),
        ("firmware", ["command", "rauc"]),
    ],
)
def test_every_other_table_of_the_example_takes_the_place_of_the_one_above(
    tmp_path: Path, place: str, kinds: list[str], keys: Callable[[str], str]
) -> None:
    """With its required keys, and with all: of which `registers` belong to another model."""
    loaded: list[str] = []
    for lines, table in alternatives(place):
        file = tmp_path / "station.toml"
        text = re.sub(r"^\[\[evse\.meter\.registers\]\].*\n(?:.+\n)*", "", keys(table), flags=re.MULTILINE)
        file.write_text(without(EXAMPLE.replace(lines, text), place), encoding="utf-8")
        configuration = load_configuration(file, {})
        tables = {
            "evse.meter": configuration.evse[0].meter,
            "light": configuration.light,
            "firmware": configuration.firmware,
        }
        loaded.append(tables[place].type)
    assert loaded == kinds


@pytest.mark.parametrize("kind", ["linux", "modbus"])
def test_the_example_with_another_board_uncommented_declares_nothing_twice(tmp_path: Path, kind: str) -> None:
    """As an installer uncomments the lines of that board, and does what is said above them."""
    text = EXAMPLE
    for place, chosen in (("board", kind), ("evse.meter", "modbus-tcp"), ("firmware", "command")):
        lines, table = alternative(place, chosen)
        text = without(text.replace(lines, table), place)
    (tmp_path / "station.toml").write_text(text, encoding="utf-8")
    assert load_configuration(tmp_path / "station.toml", {}).board.type == kind


@pytest.mark.parametrize("kind", ["linux", "modbus"])
def test_check_of_variables_opens_no_device_of_a_real_station(tmp_path: Path, kind: str) -> None:
    """The station may be running beside it. Here none of the devices exists."""
    _, board = alternative("board", kind)
    other_tables = """
[csms]
url = "wss://csms.example.com/ocpp"
password = "0123456789abcdef"
[grid]
phases = 3
source = { type = "linky", device = "/dev/no-linky" }
[grid_order]
type = "dry-contact"
polarity = "closed-dims"
chip = "/dev/no-gpiochip"
line = 5
unsupervised = true
[[reader]]
type = "serial"
device = "/dev/no-reader"
[[variable]]
component = "OCPPCommCtrlr"
variable = "HeartbeatInterval"
value = "60"
"""
    (tmp_path / "station.toml").write_text(f"{STATION}{REAL}{board}{other_tables}", encoding="utf-8")
    program = """
import sys
def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/dev/", "/sys/")):
        print("opened", arguments[0], file=sys.stderr)
sys.addaudithook(watch)
from borne.cli import main
sys.exit(main(["check", "station.toml"]))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("station.toml: ok:")
    assert list(tmp_path.iterdir()) == [tmp_path / "station.toml"]


# --- version


def test_version_prints_the_version(tmp_path: Path) -> None:
    result = borne("version", cwd=tmp_path)
    assert result.returncode == 0
    assert re.fullmatch(r"borne (\d+\.\d+\.\d+\S*|unpackaged)\n", result.stdout)


def test_the_option_prints_the_version_too(tmp_path: Path) -> None:
    result = borne("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, borne("version", cwd=tmp_path).stdout)


# --- sim


def test_sim_without_arguments_lists_the_actions(tmp_path: Path) -> None:
    result = borne("sim", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "borne sim evses/1/plug" in result.stdout
    assert "borne sim status" in result.stdout


def test_sim_says_in_a_sentence_that_no_station_answers(tmp_path: Path) -> None:
    result = borne("sim", "status", "--api", "http://127.0.0.1:9", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (
        2,
        "cannot connect to a station at http://127.0.0.1:9: Connection refused\n",
    )


def test_label_is_drawn_from_the_file_and_shows_the_code_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(STATION + '[http]\ninstaller_code = "KXQ7-2M4P-R9WT"\n')
    without_code, full = borne("label", path.name, cwd=tmp_path), borne("label", path.name, "--code", cwd=tmp_path)
    for drawn in (without_code, full):
        assert (drawn.returncode, drawn.stderr) == (0, "")
        assert ElementTree.fromstring(drawn.stdout).get("width") == "80mm"
        assert ">BORNE-0001<" in drawn.stdout
    assert "KXQ7" not in without_code.stdout
    assert ">code KXQ7-2M4P-R9WT<" in full.stdout
    path.write_text(STATION)
    refused = borne("label", path.name, "--code", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.strip() == "station.toml: http.installer_code: is missing"


# --- help


@pytest.mark.parametrize("arguments", [("--help",), ("journal", "--help"), ("board", "--help")])
def test_help_lists_the_commands_with_a_sentence_each(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = borne(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    commands = COMMANDS if len(arguments) == 1 else GROUPS[arguments[0]]
    for name, command in commands.items():
        assert re.search(rf"^  {name} +{re.escape(command.summary)}$", result.stdout, re.MULTILINE)


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(tmp_path: Path) -> None:
    result = borne(cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, borne("--help", cwd=tmp_path).stdout)


def test_every_command_has_help_of_its_own(tmp_path: Path) -> None:
    for name in COMMANDS:
        result = borne(name, "--help", cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, "")
        assert f"borne {name}" in result.stdout


def test_options_may_stand_between_the_arguments(tmp_path: Path) -> None:
    result = borne("sim", "evses/1/plug", "--api", "http://127.0.0.1:9", "{}", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (
        2,
        "cannot connect to a station at http://127.0.0.1:9: Connection refused\n",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--speed", "21"), "must be 0.1 to 20 (is 21)"),
        (("csms", "--port", "65536"), "must be 0 to 65535 (is 65536)"),
        (("check",), "the following arguments are required: FILE"),
        (("journal", "burn"), "No such command 'burn'"),
        (("--verbose",), "No such option '--verbose'"),
        (("sim", "status", "--ap", "http://127.0.0.1:9"), "unrecognized arguments: --ap"),
    ],
)
def test_an_argument_that_is_not_understood_ends_with_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = borne(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr


def test_a_reader_that_goes_away_is_no_crash(tmp_path: Path) -> None:
    command = f"{sys.executable} -m borne init | true"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert result.stderr == b""
