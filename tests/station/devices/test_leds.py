"""Multicolour LEDs of the kernel, on a made-up tree of its files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from station.core.light_patterns import STARTING, Colour, Light, LightReason, Pattern
from station.devices.leds import LightError, PageLightConfig, SysfsLed, SysfsLightConfig, show_on_all_leds

GREEN = Light(Colour.GREEN, Pattern.STEADY, LightReason.AVAILABLE)
CHARGING = Light(Colour.BLUE, Pattern.BLINKING, LightReason.CHARGING)
ORANGE = Light(Colour.ORANGE, Pattern.STEADY, LightReason.RESERVED)


def create_led_folder(
    path: Path, *, order: str = "red green blue", most: int = 255, triggers: str = "[none] timer pattern"
) -> Path:
    """Create the folder of an LED as in sysfs, with the attributes of its triggers."""
    path.mkdir()
    files = {"multi_index": order, "max_brightness": str(most), "trigger": triggers, "multi_intensity": "0 0 0"}
    for name, text in (files | {"brightness": "0", "pattern": "", "delay_on": "0", "delay_off": "0"}).items():
        (path / name).write_text(text)
    return path


def written(path: Path, name: str) -> str:
    """The text that was written to the attribute last."""
    return (path / name).read_text()


def test_a_steady_light_is_an_intensity_for_each_led_and_a_brightness(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status")
    SysfsLed(path).show_blocking(GREEN)
    assert written(path, "multi_intensity") == "0 255 0"
    assert written(path, "brightness") == "255"
    assert written(path, "trigger") == "none"


def test_the_leds_are_named_in_the_order_of_the_kernel_and_scaled_to_its_range(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status", order="blue red green white", most=51)
    SysfsLed(path).show_blocking(ORANGE)
    assert written(path, "multi_intensity") == "0 51 14 0"
    assert written(path, "brightness") == "51"


def test_a_light_may_be_dimmed_for_the_street_at_night(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status")
    SysfsLed(path, 0.2).show_blocking(GREEN)
    assert written(path, "brightness") == "51"
    assert written(path, "multi_intensity") == "0 255 0", "the colour stays what it is"


def test_a_blinking_light_is_left_to_the_kernel_with_its_pattern_trigger(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status", triggers="none timer [pattern]")
    SysfsLed(path).show_blocking(CHARGING)
    assert written(path, "trigger") == "pattern"
    assert written(path, "multi_intensity") == "0 0 255"
    assert written(path, "pattern") == "255 500 255 0 0 500 0 0"


def test_without_a_pattern_trigger_the_timer_blinks(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status", triggers="[none] timer heartbeat")
    SysfsLed(path).show_blocking(CHARGING)
    assert written(path, "trigger") == "timer"
    assert (written(path, "delay_on"), written(path, "delay_off"), written(path, "brightness")) == ("500", "500", "255")


def test_a_kernel_that_cannot_blink_shows_the_colour_and_is_complained_of(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status", triggers="[none] heartbeat")
    with pytest.raises(LightError, match="does not blink"):
        SysfsLed(path).show_blocking(CHARGING)
    assert written(path, "brightness") == "255"


def test_a_file_that_udev_hands_over_a_moment_later_is_waited_for(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status")
    (path / "pattern").unlink()
    udev = threading.Timer(0.1, (path / "pattern").touch)
    udev.start()
    SysfsLed(path).show_blocking(CHARGING)
    udev.join()
    assert written(path, "pattern") == "255 500 255 0 0 500 0 0"
    (path / "pattern").unlink()
    with pytest.raises(LightError, match="pattern"):
        SysfsLed(path).show_blocking(CHARGING)


async def test_an_led_that_is_not_there_is_complained_of_and_never_made(tmp_path: Path) -> None:
    with pytest.raises(LightError, match="rgb:status"):
        await SysfsLed(tmp_path / "rgb:status").show(GREEN)
    path = create_led_folder(tmp_path / "rgb:other")
    (path / "multi_intensity").unlink()
    with pytest.raises(LightError, match="rgb:other"):
        SysfsLed(path).show_blocking(GREEN)
    assert not (path / "multi_intensity").exists()


def test_the_first_light_is_there_on_every_lamp_though_one_is_broken(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:right")
    config = SysfsLightConfig(paths=(tmp_path / "rgb:broken", path))
    show_on_all_leds(config, STARTING)
    assert written(path, "multi_intensity") == "255 255 255"
    assert written(path, "trigger") == "pattern"


def test_a_simulated_light_has_no_lamp() -> None:
    assert list(PageLightConfig().open()) == []
