"""What is entered on site lies over the installation file and below the environment, and never stops a start."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from station.configuration.installation_example import installation_example
from station.configuration.installation_file import Configuration
from station.maintenance.commissioning.site_settings import SettingsRefusedError, SiteSettings
from tests.examples import examples
from tests.walk import configuration

GRID: dict[str, Any] = {
    "phases": 3,
    "max_current_a": 40.0,
    "source": {"type": "modbus", "meter": {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "192.0.2.1"}},
}
NAME = "site-settings.json"


def installed(storage: Path, **tables: Any) -> Configuration:
    """An installation file with this storage."""
    return configuration(storage, None, **tables)


def test_without_anything_entered_the_installation_file_counts(tmp_path: Path) -> None:
    file = installed(tmp_path, grid=GRID)
    assert SiteSettings(file, {}).load_effective() is file


def test_what_is_entered_is_kept_and_counts_after_the_next_start(tmp_path: Path) -> None:
    file = installed(tmp_path)
    SiteSettings(file, {}).apply_patch({"grid": GRID, "evse": [{"phase_rotation": "STR"}]})
    found = SiteSettings(file, {}).load_effective()
    assert found.grid is not None
    assert (found.grid.max_current_a, found.grid.source.type) == (40.0, "modbus")
    assert found.evse[0].phase_rotation == "STR"
    assert (found.station, found.simulation, found.http) == (file.station, file.simulation, file.http)


def test_a_patch_changes_what_it_names_and_null_takes_a_setting_back(tmp_path: Path) -> None:
    site = SiteSettings(installed(tmp_path, grid=GRID), {})
    site.apply_patch({"grid": {"safe_current_a": 8.0, "max_current_a": 32.0}})
    found = site.apply_patch({"grid": {"max_current_a": None}})
    assert found.grid is not None
    assert (found.grid.max_current_a, found.grid.safe_current_a) == (40.0, 8.0)
    assert site.to_json == {"grid": {"safe_current_a": 8.0}}


def test_another_kind_of_meter_takes_nothing_over_from_the_former(tmp_path: Path) -> None:
    site = SiteSettings(installed(tmp_path, grid=GRID), {})
    found = site.apply_patch({"grid": {"source": {"type": "linky", "device": "/dev/ttyAMA0"}}})
    assert found.grid is not None
    assert found.grid.source.type == "linky"


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"grid": {"safe_current_a": 99}}, "grid.safe_current_a: must be at most 80"),
        ({"grid": {"breaker": "Z"}}, "grid.breaker: must be"),
        ({"grid": {"saef_current_a": 8.0}}, "grid.saef_current_a: is not a known key"),
        ({"csms": {"url": "http://csms.example"}}, "csms.url: "),
        ({"evse": [{"phase_rotation": "XYZ"}]}, "evse[0].phase_rotation: must be"),
    ],
)
def test_a_mistake_names_its_field_and_nothing_is_saved(tmp_path: Path, patch: dict[str, object], field: str) -> None:
    site = SiteSettings(installed(tmp_path, grid=GRID), {})
    with pytest.raises(SettingsRefusedError) as refused:
        site.apply_patch(patch)
    assert str(refused.value).startswith(field)
    assert not (tmp_path / NAME).exists()
    assert site.to_json == {}


@pytest.mark.parametrize(
    "patch",
    [
        {"station": {"storage": "/etc"}},
        {"station": {"identity": "OTHER"}},
        {"csms": {"url": "wss://csms.example", "key_file": "/etc/key"}},
        {"http": {"host": "::"}},
        {"evse": [{"max_current_a": 80.0}]},
        {"protection": {"pause_above_c": 90.0}},
        {"firmware": {"allow_unsigned": True}},
        {"grid": {"source": GRID["source"]}, "board": {"selector_a": 32}},
    ],
)
def test_what_is_not_a_matter_of_the_site_is_refused(tmp_path: Path, patch: dict[str, object]) -> None:
    with pytest.raises(SettingsRefusedError, match="cannot be set on site"):
        SiteSettings(installed(tmp_path, grid=GRID), {}).apply_patch(patch)


def test_the_environment_outweighs_what_is_entered(tmp_path: Path) -> None:
    site = SiteSettings(installed(tmp_path, grid=GRID), {"BORNE_GRID_MAX_CURRENT_A": "25"})
    found = site.apply_patch({"grid": {"max_current_a": 63.0}})
    assert found.grid is not None
    assert found.grid.max_current_a == 25.0


# a busy machine proves nothing
@settings(examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b"{}x", b'{"grid": {"phases": 7}}', b'{"a": 1}'])))
def test_a_file_that_cannot_be_used_is_set_aside_and_the_station_starts(tmp_path: Path, content: bytes) -> None:
    logging.disable(logging.CRITICAL)
    try:
        (tmp_path / NAME).write_bytes(content)
        found = SiteSettings(installed(tmp_path, grid=GRID), {}).load_effective()
    finally:
        logging.disable(logging.NOTSET)
    assert found.grid is not None
    assert found.grid.phases == 3


def test_what_is_set_aside_is_logged_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_text('{"grid": {"phases": 7}}', encoding="utf-8")
    SiteSettings(installed(tmp_path, grid=GRID), {}).load_effective()
    assert "grid.phases" in caplog.text
    assert (tmp_path / "site-settings.broken").read_text(encoding="utf-8") == '{"grid": {"phases": 7}}'
    assert not (tmp_path / NAME).exists()


def test_a_password_is_kept_where_only_the_station_reads_it_and_never_shown(tmp_path: Path) -> None:
    site = SiteSettings(installed(tmp_path), {})
    found = site.apply_patch({"csms": {"url": "ws://csms.example", "password": "0123456789abcdef"}})
    assert found.csms is not None
    assert found.csms.password is not None
    assert found.csms.password.get_secret_value() == "0123456789abcdef"
    assert site.to_json == {"csms": {"url": "ws://csms.example", "password": "***"}}
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_forgotten_settings_leave_the_installation_file(tmp_path: Path) -> None:
    file = installed(tmp_path, grid=GRID)
    site = SiteSettings(file, {})
    site.apply_patch({"grid": {"max_current_a": 20.0}})
    assert site.reset() is file
    assert SiteSettings(file, {}).load_effective() is file


def test_the_example_survives_being_laid_under_something(tmp_path: Path) -> None:
    import tomllib

    tree = tomllib.loads(installation_example())
    tree["station"]["storage"] = str(tmp_path)
    file = Configuration.from_tree(tree)
    found = SiteSettings(file, {}).apply_patch({"protection": {"shunt_trip": "pulse"}})
    assert replace(found, protection=file.protection) == file


@pytest.mark.parametrize(
    ("key", "stored", "now"),
    [
        ("silent_pause_after_s", 0, 10.0),
        ("silent_pause_after_s", 172_800.0, 86_400.0),
        ("unbalance_a", 1e308, 10_000.0),
        ("max_current_a", 1e308, 10_000.0),
        ("safe_current_a", 1e308, 20.0),
    ],
)
def test_a_number_that_an_earlier_version_accepted_is_clipped_and_the_rest_stays_in_force(
    tmp_path: Path, key: str, stored: float, now: float, caplog: pytest.LogCaptureFixture
) -> None:
    tree: dict[str, Any] = {"csms": {"url": "ws://csms.example/ocpp"}, "grid": {"max_current_a": 20.0, key: stored}}
    (tmp_path / "site-settings.json").write_text(json.dumps(tree))
    site = SiteSettings(installed(tmp_path, grid=GRID), {})
    found = site.load_effective()
    assert found.grid is not None
    assert found.csms is not None
    assert getattr(found.grid, key) == now
    assert key == "max_current_a" or found.grid.max_current_a == 20.0
    assert not site.lost
    assert f"grid.{key}" in caplog.text


def test_settings_that_cannot_be_used_are_lost_and_that_is_known(tmp_path: Path) -> None:
    clamp = {"path": "/dev/iio", "channel": "voltage0"}
    source = {"type": "ct", "path": "/sys/bus/iio/devices/iio:device0", "clamps": [clamp, clamp]}
    for text in ("{", json.dumps({"grid": {"source": source}}), json.dumps({"grid": 5})):
        (tmp_path / "site-settings.json").write_text(text)
        site = SiteSettings(installed(tmp_path), {})
        assert site.load_effective().grid is None
        assert site.lost
