"""What an operator changes at run time: invalid texts are refused with a sentence, the rest outlives a power cut."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from borne.station_settings import StationSettings
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.sampling_settings import SamplingSettings
from station.charging.transaction_settings import TransactionSettings
from station.core.clock_settings import ClockSettings
from station.core.setting_kinds import (
    Choice,
    Country,
    Currency,
    Decimal,
    Integer,
    Members,
    Moment,
    Setting,
    Switch,
    Text,
    TimeOfDay,
    TimeOffset,
    TimeZone,
    TxPoints,
)
from station.core.setting_values import SettingGroup
from station.storage.database import Database, StorageError
from station.storage.settings_table import SettingsTable
from station.vehicle.vehicle_settings import VehicleSettings
from tests import fakes
from tests.databases import open_database
from tests.rows import each_row

GROUPS = StationSettings().groups
ALL = {setting.name: setting for setting in GROUPS.all()}


async def loaded(database: Database) -> StationSettings:
    """The settings after a start."""
    table = SettingsTable(database)
    settings = StationSettings(table)
    await settings.groups.load(table)
    return settings


def test_every_setting_is_found_by_its_name_and_nothing_else_is() -> None:
    assert len(ALL) > 30
    assert all(setting.name == name for name, setting in ALL.items())
    for name in ("", "change", "load", "no_such_setting", "__init__"):
        assert GROUPS.find(name) is None


@each_row("name", sorted(ALL))
def test_the_default_of_every_setting_is_allowed_and_survives_being_text(name: str) -> None:
    setting = ALL[name]
    assert setting.parse(setting.format(setting.default)) == setting.default


def invalid_texts(setting: Setting[object]) -> list[str]:
    """Texts that are invalid for a setting of this type."""
    if isinstance(setting, Integer):
        beyond = [str(setting.minimum - 1), str(setting.maximum + 1)]
        return [
            "",
            " ",
            "x",
            "1.5",
            "1e3",
            "NaN",
            "inf",
            "0x10",
            "1_0",
            "1,000",
            "\N{ARABIC-INDIC DIGIT THREE}",
            "9" * 5000,
            *beyond,
        ]
    if isinstance(setting, Decimal):
        beyond = [str(setting.minimum - 0.1), str(setting.maximum + 0.1)]
        return ["", "x", "NaN", "inf", "1,5", "1_0", "0x10", ".", "1e", "1e999", "9" * 5000, *beyond]
    if isinstance(setting, Choice):
        return ["", setting.choices[0] + "x", setting.choices[0] + ",", ",".join(setting.choices), "x" * 5000]
    if isinstance(setting, Text):
        return ["x" * (setting.maximum + 1), "x" * 5000, "a\0b", "a\nb"]
    if isinstance(setting, Country):
        return ["F", "fr", "FRA", "F1", "É", "x" * 5000]
    if isinstance(setting, Currency):
        return ["", "EU", "eur", "EURO", "€", "E1R", "x" * 5000]
    if isinstance(setting, TimeZone):
        return ["Mars/Olympus", "..", "/etc/passwd", "../UTC", "Europe", "x" * 5000]
    if isinstance(setting, TimeOffset):
        return ["1", "01:00", "+1:00", "+15:00", "+01:60", "+0100", "Z", "x" * 5000]
    if isinstance(setting, TimeOfDay):
        return ["7:30", "24:00", "07:60", "0730", "07:30:00", "x" * 5000]
    if isinstance(setting, Moment):
        return [
            "300",
            "true",
            "abc",
            "2026-10-25",
            "2026-13-01T00:00:00Z",
            "2026-10-25T01:00:00",
            "0001-01-01T00:00:00+14:00",
        ]
    if isinstance(setting, Switch):
        return ["", "yes", "1", "0", "on", "truee", "None"]
    if isinstance(setting, Members):
        first = setting.choices[0]
        return [
            "x",
            first.lower() + "x",
            f"{first},x",
            f"{first},{first}",
            f"{first};{first}",
            f"{first},",
            f",{first}",
            ",",
            "x" * 5000,
        ]
    raise AssertionError(f"{setting.name}: a kind of setting that this test does not know")


@each_row("name", sorted(ALL))
async def test_every_setting_refuses_invalid_texts_with_a_sentence_and_stays_as_it_was(name: str) -> None:
    setting = ALL[name]
    settings = StationSettings().groups.group_of(setting)
    changed_names: list[str] = []
    settings.any_changed.subscribe(lambda changed: changed_names.append(changed.name))
    for text in invalid_texts(setting):
        with pytest.raises(ValueError, match=r"must be|must have|is not one of|contains a value twice") as refused:
            await settings.change(setting, text)
        assert len(str(refused.value)) < 1000
    assert settings.value_of(setting) == setting.default
    assert changed_names == []


def another_value(setting: Setting[object]) -> str:
    """A valid text whose value differs from the default."""
    if isinstance(setting, Integer):
        return str(setting.minimum if setting.default != setting.minimum else setting.maximum)
    if isinstance(setting, Switch):
        return "false" if setting.default else "true"
    if isinstance(setting, Decimal):
        return "0.5"
    if isinstance(setting, Country):
        return "FR"
    if isinstance(setting, Currency):
        return "CHF"
    if isinstance(setting, TimeZone):
        return "Europe/Paris"
    if isinstance(setting, TimeOffset):
        return "-02:30"
    if isinstance(setting, TimeOfDay):
        return "07:30"
    if isinstance(setting, Moment):
        return "2026-10-25T01:00:00.000Z"
    if isinstance(setting, Choice):
        return next(choice for choice in setting.choices if choice != setting.default)
    if isinstance(setting, Text):
        return "another text"[: setting.maximum]
    assert isinstance(setting, Members)
    return setting.choices[0] if isinstance(setting, TxPoints) else setting.choices[-1]


async def test_every_setting_survives_a_restart(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        groups = StationSettings(SettingsTable(database)).groups
        for setting in ALL.values():
            await groups.group_of(setting).change(setting, another_value(setting))
        changed = {name: groups.group_of(setting).value_of(setting) for name, setting in ALL.items()}
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        groups = (await loaded(database)).groups
        assert {name: groups.group_of(setting).value_of(setting) for name, setting in ALL.items()} == changed
    assert all(changed[name] != setting.default for name, setting in ALL.items())


async def test_the_last_of_several_changes_counts(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        settings = TransactionSettings(SettingsTable(database))
        for text in ("10", "20", "30"):
            await settings.change(TransactionSettings.ev_connection_timeout_s, text)
        assert settings.ev_connection_timeout_s == 30
        reloaded = (await loaded(database)).transactions
        assert reloaded.ev_connection_timeout_s == 30


async def test_a_change_that_cannot_be_saved_does_not_count(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        settings = TransactionSettings(SettingsTable(database))
        await database.rows("PRAGMA query_only=1")
        with pytest.raises(StorageError):
            await settings.change(TransactionSettings.ev_connection_timeout_s, "10")
        assert settings.ev_connection_timeout_s == 120


async def test_a_value_that_is_put_in_force_unsaved_is_gone_after_a_restart(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        settings = CsmsLinkSettings(SettingsTable(database))
        settings.override(CsmsLinkSettings.heartbeat_interval_s, 7)
        assert settings.text_of(CsmsLinkSettings.heartbeat_interval_s) == "7"
        reloaded = (await loaded(database)).csms_link
        assert reloaded.heartbeat_interval_s == 300


async def test_saved_values_that_mean_nothing_any_more_are_left_at_their_defaults(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        rows = [
            ("gone", "1"),
            ("heartbeat_interval_s", "soon"),
            ("tx_start_points", "Moon"),
            ("aligned_interval_s", "9"),
        ]
        await database.write_many("INSERT INTO settings VALUES (?, ?)", rows)
        settings = await loaded(database)
    assert settings.csms_link.heartbeat_interval_s == 300
    assert settings.transactions.tx_start_points == ("EVConnected", "Authorized")
    assert settings.sampling.aligned_interval_s == 9
    assert [name for name, _ in rows if any(name in record.getMessage() for record in caplog.records)] == [
        "gone",
        "heartbeat_interval_s",
        "tx_start_points",
    ]


async def test_a_moment_that_was_set_to_none_is_loaded_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """None is the value of the empty text, not a refusal."""
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        settings = ClockSettings(SettingsTable(database))
        await settings.change(ClockSettings.next_time_offset_transition, "2026-10-25T01:00:00Z")
        await settings.change(ClockSettings.next_time_offset_transition, "")
        reloaded = await loaded(database)
    assert reloaded.clock.next_time_offset_transition is None
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_subscribers_receive_the_name_of_a_changed_setting_until_they_unsubscribe() -> None:
    settings = AuthorizationSettings()
    changed_names: list[str] = []
    unsubscribe = settings.any_changed.subscribe(lambda changed: changed_names.append(changed.name))
    await settings.change(AuthorizationSettings.local_pre_authorize, "TRUE")
    unsubscribe()
    await settings.change(AuthorizationSettings.local_pre_authorize, "false")
    assert changed_names == ["local_pre_authorize"]


async def test_each_setting_has_an_event_of_its_own_with_its_new_value() -> None:
    settings, intervals, names = CsmsLinkSettings(), list[int](), list[str]()
    settings.changed(CsmsLinkSettings.heartbeat_interval_s).subscribe(intervals.append)
    settings.any_changed.subscribe(lambda setting: names.append(setting.name))
    await settings.change(CsmsLinkSettings.heartbeat_interval_s, " 20 ")
    settings.override(CsmsLinkSettings.heartbeat_interval_s, 30)
    settings.restore(CsmsLinkSettings.heartbeat_interval_s)
    await settings.change(CsmsLinkSettings.offline_threshold_s, "7")
    assert intervals == [20, 30, 20]
    assert names == ["heartbeat_interval_s"] * 3 + ["offline_threshold_s"]


def test_every_setting_has_one_owner_whose_group_can_be_used_alone() -> None:
    declared = [setting for group in GROUPS.groups for setting in group.all()]
    owners = {setting.name: setting.owner for setting in declared}
    assert len(owners) == len(declared)
    assert owners["aligned_interval_s"] is SamplingSettings
    for setting in declared:
        assert setting.owner is not None
        assert issubclass(setting.owner, SettingGroup)
        assert type(GROUPS.group_of(setting)) is setting.owner
        assert setting in setting.owner.all()
    assert SamplingSettings().aligned_interval_s == 0
    assert "auth_enabled" not in [setting.name for setting in SamplingSettings.all()]


def test_a_station_has_every_group_once() -> None:
    """The settings of a group that is left out would not be loaded; those of a vehicle are of an EVSE with an SECC."""
    of_the_station = [group for group in SettingGroup.__subclasses__() if group is not VehicleSettings]
    assert Counter(type(group) for group in GROUPS.groups) == Counter(of_the_station)


async def test_stations_do_not_share_their_settings() -> None:
    first, second = CsmsLinkSettings(), CsmsLinkSettings()
    await first.change(CsmsLinkSettings.heartbeat_interval_s, "1")
    assert (first.heartbeat_interval_s, second.heartbeat_interval_s) == (1, 300)


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (Integer(1), " 42 ", 42),
        (Switch(False), " True", True),
        (Members((), ("a", "b")), "b, a", ("b", "a")),
        (Members(("a",), ("a", "b")), "", ()),
        (Text(), "anything, really", "anything, really"),
    ],
)
def test_texts_are_read_with_good_will(setting: Setting[object], text: str, value: object) -> None:
    assert setting.parse(text) == value


def test_a_text_has_a_bounded_length() -> None:
    assert Text(maximum=3).parse("abc") == "abc"
    with pytest.raises(ValueError, match="at most 3 characters"):
        Text(maximum=3).parse("abcd")


def test_data_signed_is_a_start_point_and_no_stop_point() -> None:
    """Part 2, 2.6.6.2: data that were signed cannot be unsigned again (E06.FR.05 was removed)."""
    assert TransactionSettings.tx_start_points.parse("DataSigned") == ("DataSigned",)
    with pytest.raises(ValueError, match="is not one of"):
        TransactionSettings.tx_stop_points.parse("DataSigned")


@pytest.mark.parametrize(("text", "why"), [("", "must contain a point"), ("Somehow", "is not one of")])
def test_points_that_never_come_are_refused(text: str, why: str) -> None:
    """Part 2, 2.6.6: without a point that comes no transaction would start, or none would end."""
    for setting in (TransactionSettings.tx_start_points, TransactionSettings.tx_stop_points):
        with pytest.raises(ValueError, match=why):
            setting.parse(text)


def test_a_clock_that_nobody_sets_is_refused() -> None:
    """TimeSource, B05.FR.07: with an empty list the time would never be corrected again (B01.FR.06)."""
    with pytest.raises(ValueError, match="must contain a source"):
        ClockSettings.time_source.parse(" ")
    assert ClockSettings.time_source.parse("NTP, Heartbeat") == ("NTP", "Heartbeat")


async def test_what_is_saved_outweighs_the_installation_file_and_a_moment_outweighs_both(tmp_path: Path) -> None:
    """B05.FR.10: what the CSMS has set is not undone by the installation file at the next boot."""
    setting, changed_names = CsmsLinkSettings.heartbeat_interval_s, list[str]()
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        settings = CsmsLinkSettings(SettingsTable(database))
        settings.preset(setting, 20)
        assert settings.heartbeat_interval_s == 20
        await settings.change(setting, "30")
        settings.override(setting, 40)
        assert settings.heartbeat_interval_s == 40
        settings.any_changed.subscribe(lambda changed: changed_names.append(changed.name))
        settings.restore(setting)
        settings.restore(setting)
        assert settings.heartbeat_interval_s == 30
        assert changed_names == ["heartbeat_interval_s"]
        reloaded = (await loaded(database)).csms_link
        reloaded.preset(setting, 20)
        assert reloaded.heartbeat_interval_s == 30


async def test_a_change_ends_what_was_in_force_for_a_moment() -> None:
    settings = CsmsLinkSettings()
    settings.override(CsmsLinkSettings.heartbeat_interval_s, 40)
    await settings.change(CsmsLinkSettings.heartbeat_interval_s, "50")
    settings.restore(CsmsLinkSettings.heartbeat_interval_s)
    assert settings.heartbeat_interval_s == 50


async def test_where_nobody_sees_who_parks_no_transaction_begins_or_ends_with_that() -> None:
    """B05.FR.08: valuesList is what a CSMS may choose from; what was saved of others gives way."""
    settings = TransactionSettings()
    settings.preset(TransactionSettings.tx_start_points, ("ParkingBayOccupancy",))
    settings.preset(TransactionSettings.tx_stop_points, ("ParkingBayOccupancy", "Authorized"))
    settings.disallow_parking_bay()
    assert settings.tx_start_points == ("EVConnected", "Authorized")
    assert settings.tx_stop_points == ("Authorized",)
    for setting in (TransactionSettings.tx_start_points, TransactionSettings.tx_stop_points):
        assert "ParkingBayOccupancy" not in settings.choices_of(setting)
        with pytest.raises(ValueError, match="'ParkingBayOccupancy' is not supported: the station has no such sensor"):
            await settings.change(setting, "ParkingBayOccupancy,Authorized")
        await settings.change(setting, "EVConnected")


async def test_only_measurands_that_the_meters_give_are_accepted_and_in_force() -> None:
    """SampledDataCtrlr.TxUpdatedMeasurands: its valuesList is what a CSMS may choose from."""
    settings, setting = SamplingSettings(), SamplingSettings.sampled_tx_updated_measurands
    assert "Current.Import" in settings.sampled_tx_updated_measurands
    settings.restrict_measurands(["Energy.Active.Import.Register", "Power.Active.Import"])
    assert settings.sampled_tx_updated_measurands == ("Energy.Active.Import.Register", "Power.Active.Import")
    assert settings.choices_of(setting) == ("Energy.Active.Import.Register", "Power.Active.Import")
    assert ClockSettings().choices_of(ClockSettings.time_source) == ClockSettings.time_source.choices
    with pytest.raises(ValueError, match=r"'Power\.Factor' is not supported by the meters of the station"):
        await settings.change(setting, "Energy.Active.Import.Register,Power.Factor")
    await settings.change(setting, "Power.Active.Import")
    assert settings.text_of(setting) == "Power.Active.Import"
