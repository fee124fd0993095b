"""`borne init` with options, and with answers on a terminal: each file that it writes is accepted by `borne check`."""

from __future__ import annotations

import asyncio
import tomllib
from itertools import cycle, product
from pathlib import Path

import pytest

from metering.drivers.models import ModelName
from station.configuration.installation_choices import (
    BOARDS,
    GRIDS,
    LANGUAGES,
    MAX_EVSES,
    METERS,
    InstallationChoices,
    chosen_values,
)
from station.configuration.installation_example import installation_example
from station.configuration.installation_file import Configuration
from station.core.languages import LanguageCode
from tests.command_line import Outcome, invoke
from tests.terminal import Terminal, in_terminal

SOME_METERS: tuple[ModelName, ...] = ("eastron-sdm630", "eastron-sdm120", "siemens-pac2200")


def written(folder: Path, *options: str) -> tuple[Path, Outcome]:
    file = folder / "station.toml"
    return file, invoke(["init", "--force", *options, str(file)])


@pytest.mark.parametrize(("board", "grid"), list(product(BOARDS, GRIDS)))
def test_every_combination_of_the_options_is_accepted_by_check(board: str, grid: str, tmp_path: Path) -> None:
    """A language is written to [display] alone, where no rule looks at other tables: every pair meets all of them."""
    languages = cycle(LANGUAGES)
    for (meter, evses), language in zip(product(SOME_METERS, (1, 3)), languages, strict=False):
        options = ["--board", board, "--grid", grid, "--meter", meter, "--evses", str(evses), "--language", language]
        file, outcome = written(tmp_path, *options)
        assert outcome.exit_code == 0, options
        checked = invoke(["check", str(file)])
        assert (checked.exit_code, checked.stderr) == (0, ""), options
        assert f"{evses} EVSE" in checked.stdout


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("board", BOARDS)
def test_every_model_of_meter_is_configured_as_chosen(board: str, meter: ModelName) -> None:
    text = installation_example(chosen_values(InstallationChoices(board=board, meter=meter, evses=2)))
    configuration = Configuration.from_tree(tomllib.loads(text))
    if board == "simulated":
        assert configuration.simulation.meter_model == meter
    else:
        assert {getattr(evse.meter, "model", None) for evse in configuration.evse} == {meter}


@pytest.mark.parametrize("board", BOARDS)
def test_the_largest_number_of_evses_is_accepted(board: str, tmp_path: Path) -> None:
    file, _ = written(tmp_path, "--board", board, "--evses", str(MAX_EVSES), "--grid", "modbus")
    assert f"{MAX_EVSES} EVSEs" in invoke(["check", str(file)]).stdout


def test_choices_are_in_force_and_what_is_not_chosen_stays_as_in_the_example(tmp_path: Path) -> None:
    file, _ = written(tmp_path, "--grid", "linky", "--language", "fr", "--language", "nl", "--storage", "records")
    given = tomllib.loads(file.read_text(encoding="utf-8"))
    assert given["display"] == {"languages": ["fr", "nl"]}
    assert given["grid"]["source"]["device"] == "simulated"
    assert given["station"] == {"identity": "BORNE-0001", "storage": "records"}
    assert given["board"] == {"type": "simulated"}


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("grid", GRIDS)
def test_the_short_file_configures_the_same_station_as_the_example(board: str, grid: str, tmp_path: Path) -> None:
    options = ("--board", board, "--grid", grid, "--evses", "2", "--storage", "records")
    given = [
        Configuration.from_tree(tomllib.loads(written(tmp_path, *options, *short)[0].read_text("utf-8")))
        for short in ((), ("--short",))
    ]
    assert given[0] == given[1]


def test_the_short_file_has_nothing_that_a_later_version_would_word_in_another_way(tmp_path: Path) -> None:
    file, _ = written(tmp_path, "--short", "--storage", "/var/lib/borne")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        *("[station]", 'identity = "BORNE-0001"', 'storage = "/var/lib/borne"'),
        *("[[evse]]", "[evse.meter]", 'type = "simulated"'),
        *("[board]", 'type = "simulated"', "[light]", 'type = "simulated"', "[firmware]", 'type = "simulated"'),
    ]


@pytest.mark.parametrize("board", BOARDS)
def test_the_file_for_an_image_is_accepted_and_has_what_an_image_needs(board: str, tmp_path: Path) -> None:
    file, _ = written(tmp_path, "--image", "--board", board)
    assert invoke(["check", str(file)]).exit_code == 0
    configuration = Configuration.from_tree(tomllib.loads(file.read_text(encoding="utf-8")))
    assert configuration.firmware.type == "rauc"
    assert (configuration.http.host, str(configuration.station.storage)) == ("0.0.0.0", "/var/lib/borne")


def test_without_options_and_without_a_terminal_the_example_is_written(tmp_path: Path) -> None:
    file, outcome = written(tmp_path)
    assert file.read_text(encoding="utf-8") == installation_example()
    assert outcome.stdout == ""


def test_the_records_of_the_service_are_not_in_a_relative_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("borne.commands.initial_file.SERVICE_FILE", tmp_path / "station.toml")
    for options, storage in (((), "/var/lib/borne"), (("--storage", "/srv/borne"), "/srv/borne")):
        file, _ = written(tmp_path, *options)
        configuration = Configuration.from_tree(tomllib.loads(file.read_text(encoding="utf-8")))
        assert str(configuration.station.storage) == storage


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--board", "beagle"), ("--board", "'beagle'", *BOARDS)),
        (("--grid", "wind"), ("--grid", "'wind'", *GRIDS)),
        (("--meter", "sundial"), ("--meter", "'sundial'", *METERS)),
        (("--language", "it"), ("--language", "'it'", *LANGUAGES)),
        (("--evses", "0"), ("--evses", "must be 1 to 100 (is 0)")),
        (("--evses", "101"), ("--evses", "must be 1 to 100 (is 101)")),
        (("--evses", "two"), ("--evses", "must be 1 to 100 (is two)")),
        (("--evses", "²"), ("--evses", "must be 1 to 100 (is ²)")),
    ],
)
def test_a_wrong_value_names_the_option_and_what_is_allowed(
    options: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    file, outcome = written(tmp_path, *options)
    assert outcome.exit_code == 2
    assert [word for word in words if word not in outcome.stderr] == []
    assert not file.exists()


ANSWERS: dict[str, str] = {
    "Kind of board": "modbus",
    "Meter of the house": "p1",
    "Model of the billing meters": "eastron-sdm72d-m-v2",
    "Number of EVSEs": "3",
    "Language of the display": "de",
}


async def test_on_a_terminal_each_choice_is_asked_for(tmp_path: Path) -> None:
    async with in_terminal("init", "station.toml", cwd=tmp_path) as terminal:
        for question, answer in ANSWERS.items():
            await terminal.wait_for(question)
            terminal.type_line(answer)
        await terminal.wait_for("station.toml: written")
        assert await terminal.exit_code() == 0
    chosen = InstallationChoices(board="modbus", grid="p1", meter="eastron-sdm72d-m-v2", evses=3, languages=("de",))
    assert (tmp_path / "station.toml").read_text(encoding="utf-8") == installation_example(chosen_values(chosen))


async def test_on_a_terminal_a_wrong_answer_is_asked_for_again_and_enter_takes_the_default(tmp_path: Path) -> None:
    async with in_terminal("init", "station.toml", cwd=tmp_path) as terminal:
        await terminal.wait_for("Kind of board")
        terminal.type_line("beagle")
        await terminal.wait_for("must be one of linux, modbus, simulated (is beagle)")
        await _answer_with_enter(terminal, questions=len(ANSWERS))
        assert await terminal.exit_code() == 0
    defaults = installation_example(chosen_values(InstallationChoices()))
    assert (tmp_path / "station.toml").read_text(encoding="utf-8") == defaults


async def test_the_end_of_the_input_writes_nothing(tmp_path: Path) -> None:
    async with in_terminal("init", "station.toml", cwd=tmp_path) as terminal:
        await terminal.wait_for("Kind of board")
        terminal.type("\x04")
        assert await terminal.exit_code() == 1
        assert "Aborted!" in terminal.text
    assert not (tmp_path / "station.toml").exists()


async def test_an_existing_file_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("mine", encoding="utf-8")
    async with in_terminal("init", "station.toml", cwd=tmp_path) as terminal:
        assert await terminal.exit_code() == 2
        assert "already exists" in terminal.text
        assert "Kind of board" not in terminal.text


async def test_an_option_answers_for_all_on_a_terminal(tmp_path: Path) -> None:
    options: tuple[LanguageCode, ...] = ("fr",)
    async with in_terminal("init", "--language", *options, "station.toml", cwd=tmp_path) as terminal:
        assert await terminal.exit_code() == 0
        assert "Kind of board" not in terminal.text
    await asyncio.to_thread(_check_language, tmp_path / "station.toml")


def _check_language(file: Path) -> None:
    assert tomllib.loads(file.read_text(encoding="utf-8"))["display"]["languages"] == ["fr"]


async def _answer_with_enter(terminal: Terminal, *, questions: int) -> None:
    for number in range(1, questions + 1):
        await terminal.wait_for(list(ANSWERS)[number - 1], count=2 if number == 1 else 1)
        terminal.type_line("")
