"""A register that does not count what flows is not believed; one that counts in coarse steps is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from metering.meter import ImplausibleReadingError, MeterError
from metering.plausibility import PlausibilityRules, PlausibleMeter
from metering.reading import UNKNOWN_PHASES, Phases, Reading

RULES = PlausibilityRules(max_power_w=22_080.0)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FULL = Reading(START, energy_import_wh=5_000.0, power_w=22_080.0, currents_a=Phases(32.0, 32.0, 32.0))
MAINS = Phases(230.0, 230.0, 230.0)
IDLE = replace(FULL, power_w=0.0, currents_a=Phases(0.0, 0.0, 0.0))


class ScriptedMeter:
    """A meter that returns the readings it is given, with a clock of its own."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.reading = FULL
        self.silent = False
        self.plausible = PlausibleMeter(self, RULES, lambda: self.at_s)

    async def read(self) -> Reading:
        """The reading that the test has set, with the present time."""
        if self.silent:
            raise MeterError("silent")
        return replace(self.reading, taken_at=START + timedelta(seconds=self.at_s))

    async def close(self) -> None:
        """There is no wire."""

    async def accepted_for_s(self, reading: Reading, seconds: float, every_s: float = 1.0) -> float:
        """Return this reading for `seconds`; for how many of them it was accepted."""
        self.reading = reading
        until_s, began_s = self.at_s + seconds, self.at_s
        while self.at_s < until_s:
            self.at_s += every_s
            try:
                await self.plausible.read()
            except ImplausibleReadingError:
                return self.at_s - began_s
        return seconds


async def test_a_register_that_stands_still_while_a_current_flows_is_refused_after_200_wh() -> None:
    meter = ScriptedMeter()
    seconds = await meter.accepted_for_s(FULL, 600)
    assert 200.0 < seconds * 22_080.0 / 3600.0 < 215.0  # the last second of it is refused
    with pytest.raises(ImplausibleReadingError, match=r"remains at 5000 Wh, although 2\d\d Wh flowed") as refused:
        await meter.plausible.read()
    assert refused.value.register_stuck
    assert not refused.value.transient


async def test_it_stays_refused_without_current_until_it_moves() -> None:
    meter = ScriptedMeter()
    await meter.accepted_for_s(FULL, 600)
    assert await meter.accepted_for_s(IDLE, 86_400, every_s=600) == 600
    counting = replace(IDLE, energy_import_wh=5_200.0)
    assert await meter.accepted_for_s(counting, 86_400, every_s=600) == 86_400
    assert await meter.accepted_for_s(replace(FULL, energy_import_wh=5_200.0), 600) < 40


async def test_it_stays_refused_when_the_current_flows_again_as_before() -> None:
    meter = ScriptedMeter()
    await meter.accepted_for_s(FULL, 600)
    assert await meter.accepted_for_s(IDLE, 60) == 1
    assert await meter.accepted_for_s(FULL, 60) == 1


async def test_a_register_that_stands_still_after_a_roll_over_is_refused() -> None:
    meter = ScriptedMeter()
    assert await meter.accepted_for_s(replace(IDLE, energy_import_wh=99_999_950.0), 60) == 60
    rolled_over = replace(FULL, energy_import_wh=20.0)
    assert await meter.accepted_for_s(rolled_over, 60) == 1
    meter.plausible.accept_roll_over()
    assert 30 < await meter.accepted_for_s(rolled_over, 600) < 40


async def test_a_register_that_catches_up_with_what_has_flowed_is_believed() -> None:
    """A gateway repeated an old one: that is no jump of another meter; more than has flowed is one."""
    meter = ScriptedMeter()
    await meter.accepted_for_s(FULL, 34)
    assert await meter.accepted_for_s(replace(IDLE, energy_import_wh=5_200.0), 5) == 5
    meter = ScriptedMeter()
    await meter.accepted_for_s(FULL, 34)
    meter.reading, meter.at_s = replace(IDLE, energy_import_wh=5_500.0), meter.at_s + 1.0
    with pytest.raises(ImplausibleReadingError, match="jumped"):
        await meter.plausible.read()


async def test_an_exchanged_meter_is_accepted_from_its_first_reading() -> None:
    meter = ScriptedMeter()
    await meter.accepted_for_s(FULL, 600)
    meter.plausible.accept_exchange()
    assert await meter.accepted_for_s(IDLE, 600) == 600


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"power_w": None}, id="a meter without power"),
        pytest.param({"power_w": 0.0}, id="it has lost its voltages"),
        pytest.param({"power_w": -22_080.0}, id="it is wired in reverse"),
        pytest.param({"power_w": 100.0}, id="a power that no vehicle draws with this current"),
        pytest.param({"currents_a": UNKNOWN_PHASES}, id="a meter without currents"),
        pytest.param({"currents_a": UNKNOWN_PHASES, "power_w": -22_080.0}, id="without currents, wired in reverse"),
        pytest.param({"currents_a": Phases(-32.0, -32.0, -32.0)}, id="currents with a sign"),
    ],
)
async def test_whatever_else_the_meter_shows_the_energy_is_bounded(changes: dict[str, object]) -> None:
    assert 30 < await ScriptedMeter().accepted_for_s(replace(FULL, **changes), 600) < 40


@given(
    step_wh=st.sampled_from([0.1, 1.0, 10.0, 100.0]),
    current_a=st.floats(6.0, 32.0),
    phases=st.sampled_from([1, 3]),
    voltage_v=st.floats(207.0, 253.0),
    power_factor=st.floats(0.6, 1.0),
    every_s=st.floats(1.0, 10.0),
    shows_power=st.booleans(),
    offset_wh=st.floats(0.0, 100.0),
)
async def test_a_register_of_any_resolution_is_believed_at_any_current(
    step_wh: float,
    current_a: float,
    phases: int,
    voltage_v: float,
    power_factor: float,
    every_s: float,
    shows_power: bool,
    offset_wh: float,
) -> None:
    meter = ScriptedMeter()
    power_w = current_a * phases * voltage_v * power_factor
    currents = Phases(current_a, *((current_a, current_a) if phases == 3 else (None, None)))
    for number in range(300):
        true_wh = offset_wh + number * every_s * power_w / 3600.0
        register_wh = true_wh // step_wh * step_wh
        reading = Reading(START, register_wh, power_w=power_w if shows_power else None, currents_a=currents)
        assert await meter.accepted_for_s(reading, every_s, every_s) == every_s


async def test_reactive_current_of_a_vehicle_that_hardly_charges_is_no_energy() -> None:
    """3 A on each phase with 220 W, and a register that counts in steps of 100 Wh."""
    meter = ScriptedMeter()
    little = replace(FULL, power_w=220.0, currents_a=Phases(3.0, 3.0, 3.0))
    assert await meter.accepted_for_s(little, 1_630) == 1_630
    asleep = replace(FULL, energy_import_wh=5_100.0, power_w=4.0, currents_a=Phases(0.9, 0.9, 0.9))
    assert await meter.accepted_for_s(asleep, 7 * 86_400, every_s=60) == 7 * 86_400


@pytest.mark.parametrize("current_a", [1.0, 2.9])
@pytest.mark.parametrize("power_w", [0.0, 4.0])
async def test_reactive_current_of_a_vehicle_at_rest_is_no_energy_for_days(current_a: float, power_w: float) -> None:
    """Filters of chargers draw it on all phases while the contactor is closed."""
    at_rest = replace(IDLE, power_w=power_w, currents_a=Phases(current_a, current_a, current_a), voltages_v=MAINS)
    days = 200.0 / power_w / 24.0 / 2.0 if power_w else 30.0  # by then a register in steps of 100 Wh has moved
    assert await ScriptedMeter().accepted_for_s(at_rest, days * 86_400, every_s=10) >= days * 86_400


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"voltages_v": Phases(0.0, 0.0, 0.0)}, id="it has lost its voltages"),
        pytest.param({"voltages_v": Phases(230.0, 230.0, 0.0)}, id="it has lost one of them"),
        pytest.param({"voltages_v": UNKNOWN_PHASES}, id="it shows no voltages"),
        pytest.param({"voltages_v": MAINS, "power_w": -1_800.0}, id="it is wired in reverse"),
        pytest.param({"voltages_v": MAINS, "power_w": None}, id="it shows no power"),
    ],
)
async def test_a_small_current_counts_where_no_power_can_be_believed(changes: dict[str, object]) -> None:
    small = replace(IDLE, power_w=0.0, currents_a=Phases(2.9, 2.9, 2.9), voltages_v=MAINS)
    assert await ScriptedMeter().accepted_for_s(replace(small, **changes), 86_400, every_s=10) < 600


async def test_a_register_that_stood_still_before_a_power_cut_is_not_believed_after_it_until_it_moves() -> None:
    meter = ScriptedMeter()
    await meter.accepted_for_s(FULL, 600)
    after_restart = ScriptedMeter()
    after_restart.plausible.restore(None, uncounted_energy=meter.plausible.uncounted_energy)
    assert await after_restart.accepted_for_s(IDLE, 60) == 1
    counting = replace(IDLE, energy_import_wh=5_200.0)
    assert await after_restart.accepted_for_s(counting, 60) == 60
    assert await after_restart.accepted_for_s(replace(FULL, energy_import_wh=5_200.0), 600) > 30


async def test_a_silence_is_no_energy() -> None:
    """Through it the contactor opens, and the first reading after it shows no current."""
    meter = ScriptedMeter()
    assert await meter.accepted_for_s(FULL, 20) == 20
    meter.silent = True
    with pytest.raises(MeterError):
        await meter.plausible.read()
    meter.silent, meter.at_s = False, meter.at_s + 3_600.0
    assert await meter.accepted_for_s(IDLE, 60) == 60


async def test_a_meter_that_shows_neither_current_nor_power_is_not_judged() -> None:
    assert await ScriptedMeter().accepted_for_s(Reading(START, 5_000.0), 86_400, every_s=60) == 86_400
