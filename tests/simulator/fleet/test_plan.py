"""The plan of a fleet: its errors name file, line and key, and each station gets its own installation file."""

from __future__ import annotations

import pickle
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from foundation.secret import Secret
from foundation.table import Table
from foundation.table_definition import keys_of
from simulator.fleet.example import PLAN_EXAMPLE, TEMPLATE_EXAMPLE
from simulator.fleet.plan import InstallationFiles, StationCredentials, load_plan
from simulator.fleet.plan_tables import FleetPlan
from simulator.pki.v2g_pki import TestPki
from station.configuration.schema_keys import entry, key_types, tables
from station.core.installation_file.document import ConfigurationError
from tests.simulator.fleet.plans import TEMPLATE, write_plan

FLEET = '[fleet]\nstations = 3\ntemplate = "station.toml"\n'
CONTRACTS = "[[vehicle]]\niso15118_share = 1.0\ncontract_share = 0.5\n"
THOUSAND = Path(__file__).parents[3] / "deploy/fleet/thousand.toml"
URL = "ws://127.0.0.1:9000/ocpp"


def plan_errors(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_plan(path)
    return [sentence.replace(f"{path.parent}/", "") for sentence in raised.value.sentences]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{FLEET}station = 4\n", ["plan.toml:4: fleet.station: is not a known key (did you mean stations?)"]),
        ('[fleet]\ntemplate = "station.toml"\n', ["plan.toml:1: fleet.stations: is missing"]),
        (f'{FLEET}csms = "http://x"\n', ['plan.toml:4: fleet.csms: must be "bundled", or a ws:// or wss:// URL']),
        (f'{FLEET}identity = "CS-1"\n', ["plan.toml:4: fleet.identity: must contain {n}: every station needs its own"]),
        (
            f'{FLEET}identity = "{{n:05}}-{{m}}"\n',
            ["plan.toml:4: fleet.identity: must contain no other placeholder than {n}, such as {n:05}"],
        ),
        *(
            (
                f'{FLEET}identity = "{pattern}"\n',
                ["plan.toml:4: fleet.identity: must contain no other placeholder than {n}, such as {n:05}"],
            )
            for pattern in ("{n[0]}", "{n.real}", "{n:099999999999999999999}", "{n:{n}}", "{", "{n!z}")
        ),
        (
            f'{FLEET}identity = "{{{{n}}}}"\n',
            ["plan.toml:4: fleet.identity: must contain {n}: every station needs its own"],
        ),
        (
            f"{FLEET}[[vehicle]]\ncontract_share = 0.5\n",
            ["plan.toml:5: vehicle[0].contract_share: needs iso15118_share above 0"],
        ),
        (
            f'{FLEET}csms = "ws://x"\n{CONTRACTS}',
            ["plan.toml:1: contracts.pki: is missing: the CSMS must know the roots of the contracts"],
        ),
        (
            f'{FLEET}{CONTRACTS}[contracts]\nnames = ["valid", "stolen"]\n',
            [
                "plan.toml:8: contracts.names[1]: without a pki must be one of valid, second, expired, not-yet-valid,"
                " revoked, wrong-chain"
            ],
        ),
        (f"{FLEET}[contracts]\nnames = []\n", ["plan.toml:5: contracts.names: must have 1 or more entries"]),
        (
            f'{FLEET}{CONTRACTS}[contracts]\npki = "nothing"\n',
            [
                "plan.toml:8: contracts.pki: nothing: is not a PKI of `borne pki`: options.json: No such file or"
                " directory"
            ],
        ),
        (f"{FLEET}[[vehicle]]\nsoc = [0.5, 1.5]\n", ["plan.toml:5: vehicle[0].soc[1]: must be at most 1 (is 1.5)"]),
        (
            f"{FLEET}[[vehicle]]\nsoc = [0.9, 0.5]\n",
            ["plan.toml:5: vehicle[0].soc: must be a smallest and a largest value"],
        ),
        (
            f'{FLEET}\n[[disturbance]]\ntype = "power-cut"\nat_s = 900\n',
            ["plan.toml:7: disturbance[0].at_s: must be less than fleet.duration_s (600)"],
        ),
        (
            f'{FLEET}csms = "ws://csms.example/ocpp"\n[[disturbance]]\ntype = "csms-restart"\nat_s = 10\n',
            ['plan.toml:6: disturbance[0].type: needs fleet.csms = "bundled"'],
        ),
        (
            f'{FLEET}[[disturbance]]\ntype = "earthquake"\nat_s = 1\n',
            [
                'plan.toml:5: disturbance[0].type: must be "reconnect-storm", "link-cut", "power-cut" or "csms-restart"'
                ' (is "earthquake")'
            ],
        ),
        (
            f'{FLEET}[tokens]\nuids = ["04A3"]\n',
            ["plan.toml:5: tokens.uids[0]: must be a UID of 8, 14 or 20 hexadecimal digits"],
        ),
        (f"{FLEET}[arrivals]\nhours = {[0] * 24}\n", ["plan.toml:5: arrivals.hours: must not all be 0"]),
        (
            f'{FLEET}csms = "ws://user:secret@csms.example/ocpp"\n',
            ["plan.toml:4: fleet.csms: must not contain a user or password; the password has its own key"],
        ),
        (f'{FLEET}csms = "ws://csms.example:99999/ocpp"\n', ["plan.toml:4: fleet.csms: is not a URL"]),
        (
            f'{FLEET}identity = "CS {{n}}"\npassword = "secret-{{n}}"\n',
            [
                "plan.toml:4: fleet.identity: must contain only the characters a-z A-Z 0-9 * - _ = : + | @ .,"
                " at station 1",
                "plan.toml:5: fleet.password: must have 16 to 64 characters (has 8), at station 1",
            ],
        ),
        (
            f'{FLEET}first = 8\nidentity = "{{n:046}}-{{n}}"\n',
            ["plan.toml:5: fleet.identity: must have 1 to 48 characters (has 49), at station 10"],
        ),
        (
            f'{FLEET}identity = "CS:{{n}}"\npassword = "0123456789abcdef"\n',
            ["plan.toml:4: fleet.identity: must not contain a colon if there is a password, at station 1"],
        ),
        ("[fleet\n", ["plan.toml:1: is not valid TOML: Expected ']' at the end of a table declaration (column 7)"]),
    ],
)
def test_an_error_names_file_line_and_key(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert plan_errors(write_plan(tmp_path, text)) == expected


def test_an_error_of_the_template_names_its_line(tmp_path: Path) -> None:
    path = write_plan(tmp_path, FLEET, TEMPLATE.replace("max_current_a = 16", "max_current_a = 5"))
    assert plan_errors(path) == ["station.toml:11: evse[0].max_current_a: must be at least 6 (is 5)"]


@pytest.mark.parametrize("readers", ["5", '"x"', '["x"]', "{}"])
def test_a_template_with_something_else_than_readers_is_refused(tmp_path: Path, readers: str) -> None:
    path = write_plan(tmp_path, FLEET, template=f"reader = {readers}\n{TEMPLATE}")
    assert all(error.startswith("station.toml:1: reader") for error in plan_errors(path))


def test_a_template_with_a_mistake_is_not_blamed_for_what_the_plan_adds(tmp_path: Path) -> None:
    for mistake, key in (("[[evse]]\nid = 2\n", "evse[0].id"), ('[log]\nlevel = "x"\n', "log.level")):
        path = write_plan(tmp_path, FLEET, template=f"[http]\nport = 1\n{mistake}")
        assert [error.split(": ")[1] for error in plan_errors(path)] == [key]


def test_a_template_is_checked_with_the_last_number_too(tmp_path: Path) -> None:
    path = write_plan(tmp_path, f"{FLEET}first = 8\n", TEMPLATE.replace('"{n}"', f'"{"x" * 24}{{n}}"'))
    assert plan_errors(path) == [
        'station.toml:3: station.serial_number: length must be at most 25 (is "xxxxxxxxxxxxxxxxxxxxxxxx10")'
    ]


def test_an_unknown_key_of_a_simulated_board_is_named(tmp_path: Path) -> None:
    path = write_plan(tmp_path, FLEET, f'{TEMPLATE}[board]\ntype = "simulated"\nselector = 16\n')
    (sentence,) = plan_errors(path)
    assert sentence.startswith("station.toml:14: board.selector: is not a known key")


def test_a_template_with_real_hardware_is_refused(tmp_path: Path) -> None:
    wiring = '[[board.evse]]\nmodel = "heidelberg-energy-control"\ndevice = "/dev/ttyS9"\n'
    modbus = f'[board]\ntype = "modbus"\nselector_a = 16\n{wiring}'
    meter = '[evse.meter]\ntype = "modbus-tcp"\nmodel = "eastron-sdm630"\nhost = "192.0.2.1"\n'
    firmware = '[firmware]\ntype = "command"\ninstall = ["true"]\nreboot = ["true"]\n'
    sentences = plan_errors(write_plan(tmp_path, FLEET, TEMPLATE + meter + modbus + firmware))
    assert sentences
    assert all(sentence.startswith("station.toml") for sentence in sentences)


def test_the_example_of_a_thousand_stations_is_valid() -> None:
    assert list(load_plan(THOUSAND).numbers) == list(range(1, 1001))


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    path = write_plan(tmp_path, FLEET)
    (tmp_path / "station.toml").unlink()
    assert plan_errors(path) == ["station.toml: cannot be read: No such file or directory"]


@pytest.mark.parametrize("key", ["template", "credentials"])
def test_a_file_name_that_no_system_accepts_names_its_line(tmp_path: Path, key: str) -> None:
    plan = {"stations": "3", "template": '"station.toml"', key: '"a\\u0000b"'}
    text = "".join(f"{name} = {value}\n" for name, value in plan.items())
    line = 2 + list(plan).index(key)
    assert plan_errors(write_plan(tmp_path, f"[fleet]\n{text}")) == [
        f"plan.toml:{line}: fleet.{key}: must not contain the character NUL"
    ]


def test_each_station_has_its_own_identity_and_password(tmp_path: Path) -> None:
    text = f'{FLEET}first = 7\nidentity = "CS-{{n:03}}"\npassword = "0123456789abcdef-{{n}}"\nrate = 30\n'
    loaded = load_plan(write_plan(tmp_path, text))
    assert list(loaded.numbers) == [7, 8, 9]
    configuration = InstallationFiles(loaded).configuration(8, URL, tmp_path / "8")
    assert (configuration.station.identity, configuration.station.serial_number) == ("CS-008", "8")
    assert configuration.csms is not None
    assert configuration.csms.url == URL
    assert configuration.csms.password is not None
    assert configuration.csms.password.get_secret_value() == "0123456789abcdef-8"
    assert configuration.simulation.rate == 30
    assert configuration.station.storage == tmp_path / "8"


def test_credentials_come_from_a_csv_file(tmp_path: Path) -> None:
    path = write_plan(tmp_path, f'{FLEET}credentials = "stations.csv"\n')
    csv = tmp_path / "stations.csv"
    csv.write_text("identity,password\nA,0123456789abcdef\nB,\nC,0123456789abcdeg\n", encoding="utf-8")
    loaded = load_plan(path)
    assert loaded.station_credentials(2) == StationCredentials("B", None)
    assert loaded.station_credentials(3) == StationCredentials("C", Secret("0123456789abcdeg"))
    csv.write_text("identity,password\nA,0123456789abcdef\nB,secret\n\nC é,\n", encoding="utf-8")
    assert plan_errors(path) == [
        "stations.csv:3: password: must have 16 to 64 characters (has 6)",
        "stations.csv:5: identity: must contain only the characters a-z A-Z 0-9 * - _ = : + | @ .",
    ]
    csv.write_text("identity,password\nA,\nA,\nC,\n", encoding="utf-8")
    assert plan_errors(path) == ["stations.csv: identity: A is used by 2 stations"]
    csv.write_text("identity\nA\n", encoding="utf-8")
    assert plan_errors(path) == ["stations.csv: has 1 stations, but fleet.stations is 3"]
    csv.write_text("name\nA\nB\nC\n", encoding="utf-8")
    assert plan_errors(path) == ["stations.csv:1: identity: is missing: the first line must name the columns"]


def test_neither_a_plan_nor_its_errors_show_a_password(tmp_path: Path) -> None:
    password = "0123456789abcdef"
    csv = tmp_path / "stations.csv"
    csv.write_text(f"identity,password\nA,{password}a\nB,{password}b\nC,\n", encoding="utf-8")
    template = f'{TEMPLATE}[csms]\npassword = "{password}"\n'
    by_file = load_plan(write_plan(tmp_path, f'{FLEET}credentials = "stations.csv"\n', template))
    by_pattern = load_plan(write_plan(tmp_path, f'{FLEET}password = "{password}-{{n}}"\n', template))
    for loaded in (by_file, by_pattern):
        assert password not in f"{loaded!r} {loaded} {loaded.station_credentials(1)!r} {loaded.credentials!r}"
    for password_text in (f"{password}-{{m}}", password * 7, ""):
        (found,) = plan_errors(write_plan(tmp_path, f'{FLEET}password = "{password_text}"\n'))
        assert found.startswith("plan.toml:4: fleet.password: ")
        assert password not in found


def test_a_loaded_plan_can_be_sent_to_another_process(tmp_path: Path) -> None:
    loaded = load_plan(write_plan(tmp_path, FLEET))
    assert pickle.loads(pickle.dumps(loaded)) == loaded


def test_the_example_is_valid_and_names_every_key(tmp_path: Path) -> None:
    path = write_plan(tmp_path, PLAN_EXAMPLE, TEMPLATE_EXAMPLE)
    load_plan(path)
    example = re.sub(r"(?m)^#(?=[\[\w])", "", PLAN_EXAMPLE)
    example = example.replace('csms = "bundled"', "").replace("uids = [", "unused_uids = [")
    (tmp_path / "stations.csv").write_text(
        "identity,password\n" + "".join(f"S{n},\n" for n in range(20)), encoding="utf-8"
    )
    named: dict[str, Any] = tomllib.loads(example)
    named["tokens"]["uids"] = named["tokens"].pop("unused_uids")
    named["fleet"]["csms"] = "bundled"
    FleetPlan.from_tree(named)
    for name, kind in key_types(FleetPlan).items():
        (table,) = tables(entry(kind) or kind)
        example_table: list[dict[str, Any]] | dict[str, Any] = named[name]
        keys = (
            {key for entry in example_table for key in entry} if isinstance(example_table, list) else set(example_table)
        )
        assert keys >= set(keys_of(table)), name


def test_commented_keys_of_the_example_show_the_defaults() -> None:
    defaults = re.sub(r"(?m)^#(?=[\w]+ = )", "", PLAN_EXAMPLE)
    commented = tomllib.loads(re.sub(r"(?m)^#(?=\[)", "", defaults))
    for table, without in (
        ("fleet", {"password", "credentials", "hosts"}),
        ("ramp", set[str]()),
        ("arrivals", {"hours"}),
        ("tokens", {"uids"}),
        ("houses", set[str]()),
        ("thresholds", {"max_boot_p95_s", "max_reconnect_p95_s", "max_latency_p95_ms"}),
    ):
        (model,) = tables(key_types(FleetPlan)[table])
        for key in set(commented[table]) - without:
            if f"#{key} = " in PLAN_EXAMPLE:
                assert commented[table][key] == default_of(model, key), key


def default_of(table: type[Table], key: str) -> object:
    return next(field.default for field in fields(table) if field.name == key)


@pytest.mark.parametrize(
    ("evses", "with_secc"),
    [
        ("", [True]),
        ("[[evse]]\nid = 1\n[[evse]]\nid = 2\n", [True, True]),
        ('[[evse]]\nid = 1\n[[evse]]\nid = 2\nsecc = {type = "simulated"}\n', [False, True]),
    ],
)
def test_vehicles_that_communicate_find_an_secc(tmp_path: Path, evses: str, with_secc: list[bool]) -> None:
    template = f'[station]\nidentity = "{{identity}}"\n{evses}'
    loaded = load_plan(write_plan(tmp_path, f"{FLEET}[[vehicle]]\niso15118_share = 0.5\n", template))
    configuration = InstallationFiles(loaded).configuration(1, URL, tmp_path)
    assert [evse.secc is not None for evse in configuration.evse] == with_secc


def test_the_contracts_of_a_plan_are_those_of_its_pki(tmp_path: Path) -> None:
    pki = TestPki.create(tmp_path / "pki")
    contracts = '[contracts]\npki = "pki"\nnames = ["second", "revoked"]\n'
    loaded = load_plan(write_plan(tmp_path, FLEET + CONTRACTS + contracts))
    assert loaded.contracts == (pki.contract("second"), pki.contract("revoked"))
    assert loaded.pki_path == str(tmp_path / "pki")
    assert pickle.loads(pickle.dumps(loaded)) == loaded
    missing = '[contracts]\npki = "pki"\nnames = ["nobody"]\n'
    (sentence,) = plan_errors(write_plan(tmp_path, FLEET + CONTRACTS + missing))
    assert sentence.startswith("plan.toml:9: contracts.names[0]: pki/contracts/nobody.pem: No such file")
