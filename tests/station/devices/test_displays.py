"""Drivers of displays: a character display on the bytes of its I²C bus, and a file for other programs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from RPLCD.codecs import hd44780_a00, hd44780_a02

from station.core.screen import (
    CharacterSet,
    DisplayError,
    DisplayOutput,
    LineReason,
    LineRole,
    Screen,
    ScreenLine,
    TextSpan,
)
from station.devices.display_config import CharacterLcdConfig, FileDisplayConfig
from station.display.text_layout import fold
from tests.descriptors import open_descriptors
from tests.i2c_double import Hd44780, wire_bus


def screen_of(*texts: str) -> Screen:
    """A screen with these lines."""
    return Screen(tuple(ScreenLine((TextSpan(text),), LineRole.TEXT, LineReason.STATE) for text in texts))


def lcd(device: Path, **keys: object) -> DisplayOutput:
    """The driver of an [[display.output]] of type "lcd"."""
    return CharacterLcdConfig.from_tree({"type": "lcd", "device": str(device), **keys}).open()


async def test_the_rows_of_a_screen_stand_on_the_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    chip = bus.devices[0x27] = Hd44780()
    output = lcd(device)
    await output.show(screen_of("Lädt 7,4 kW", "Energie 12,34 kWh", "Dauer 1:05 h", "Kosten 3,70 EUR"))
    assert chip.text() == ["Lädt 7,4 kW", "Energie 12,34 kWh", "Dauer 1:05 h", "Kosten 3,70 EUR"]
    assert chip.on
    assert chip.lit
    await output.show(screen_of("Bereit"))
    assert chip.text() == ["Bereit", "", "", ""], "nothing of the last screen stays"


async def test_only_what_has_changed_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    chip = bus.devices[0x27] = Hd44780()
    output = lcd(device)
    await output.show(screen_of("Energy 12.34 kWh"))
    before = chip.memory[:]
    await output.show(screen_of("Energy 12.35 kWh"))
    assert [at for at, code in enumerate(chip.memory) if code != before[at]] == [11]
    assert chip.text()[0] == "Energy 12.35 kWh"


async def test_a_display_of_16_by_2_has_its_own_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    chip = bus.devices[0x3F] = Hd44780(16, 2)
    await lcd(device, address=0x3F, columns=16, rows=2).show(screen_of("Ready to charge", "Card, please"))
    assert chip.text() == ["Ready to charge", "Card, please"]


async def test_a_display_that_is_unplugged_fails_and_works_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However often it is tried, no descriptor stays open."""
    bus, device = wire_bus(monkeypatch, tmp_path)
    output = lcd(device)
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(DisplayError, match="Remote I/O"):
            await output.show(screen_of("Ready"))
    assert open_descriptors() == before
    chip = bus.devices[0x27] = Hd44780()
    await output.show(screen_of("Ready"))
    assert chip.text()[0] == "Ready"
    del bus.devices[0x27]
    with pytest.raises(DisplayError):
        await output.show(screen_of("Charging"))
    again = bus.devices[0x27] = Hd44780()
    await output.show(screen_of("Charging"))
    assert again.text()[0] == "Charging", "it has been set up again"
    await output.close()
    assert open_descriptors() == before


async def test_a_display_that_was_without_supply_for_a_moment_is_set_up_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Although every transfer succeeds, and the screen is the same."""
    bus, device = wire_bus(monkeypatch, tmp_path)
    output = lcd(device)
    bus.devices[0x27] = Hd44780()
    await output.show(screen_of("Ready"))
    before = open_descriptors()
    chip = bus.devices[0x27] = Hd44780()
    await output.show(screen_of("Ready"))
    assert chip.text()[0] == "Ready"
    assert open_descriptors() == before
    chip.memory[-1] = ord("x")
    await output.show(screen_of("Ready"))
    assert chip.memory[-1] == ord("x"), "one that had supply is not cleared"
    await output.close()


async def test_at_the_end_the_display_is_dark_and_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    chip = bus.devices[0x27] = Hd44780()
    output = lcd(device)
    await output.show(screen_of("Ready"))
    await output.close()
    assert chip.text() == ["", "", "", ""]
    assert not chip.lit
    await output.close()


async def test_without_a_bus_the_driver_says_so(tmp_path: Path) -> None:
    with pytest.raises(DisplayError, match="No such file"):
        await lcd(tmp_path / "i2c-9").show(screen_of("Ready"))


@given(st.text(), st.sampled_from(CharacterSet))
def test_whatever_is_folded_can_be_shown_by_the_display(text: str, characters: CharacterSet) -> None:
    """Each character has a code in the ROM, by the tables of RPLCD; `?` may stand for others."""
    rom = hd44780_a00 if characters is CharacterSet.A00 else hd44780_a02
    table: Collection[str] = rom.encoding_table
    folded = fold(text, characters)
    assert [char for char in folded if char not in table] == []
    assert fold(folded, characters) == folded


async def test_the_file_has_the_whole_screen_as_json_and_goes_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "display.json"
    output = FileDisplayConfig(path=path).open()
    for text in ("Bereit", "Lädt"):
        await output.show(screen_of(text))
        written = json.loads(path.read_text(encoding="utf-8"))
        assert [line["text"] for line in written["lines"]] == [text]
        assert written["lines"][0]["reason"] == "state"
    assert path.stat().st_mode & 0o777 == 0o644, "a program of another user reads it"
    assert os.listdir(tmp_path) == [path.name], "no half file beside it"
    await output.close()
    assert not path.exists()


async def test_a_file_that_cannot_be_written_is_a_display_that_fails(tmp_path: Path) -> None:
    output = FileDisplayConfig(path=tmp_path / "absent" / "display.json").open()
    with pytest.raises(DisplayError, match="No such file"):
        await output.show(screen_of("Ready"))
    await output.close()


def names(outputs: Sequence[DisplayOutput]) -> list[str]:
    """Their names in the log."""
    return [str(output) for output in outputs]


def test_the_log_names_a_driver_by_its_place(tmp_path: Path) -> None:
    file = FileDisplayConfig(path=tmp_path / "display.json").open()
    assert names([lcd(Path("/dev/i2c-1")), file]) == [
        "character display 0x27 on /dev/i2c-1",
        f"display file {tmp_path / 'display.json'}",
    ]
