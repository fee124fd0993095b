"""A meter that lies in every way: each lie is refused, and the refusal names it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from metering.meter import ImplausibleReadingError, MeterError, MeterIdentity
from metering.plausibility import PlausibilityRules, PlausibleMeter
from metering.reading import Phases, Reading
from tests.rows import each_row

RULES = PlausibilityRules(max_power_w=22_000.0)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TRUTH = Reading(
    START,
    energy_import_wh=5_000_000.0,
    energy_export_wh=100.0,
    energies_import_wh=Phases(2_000_000.0, 1_500_000.0, 1_500_000.0),
    energies_export_wh=Phases(50.0, 25.0, 25.0),
    power_w=11_000.0,
    currents_a=Phases(16.0, 16.0, 16.0),
    voltages_v=Phases(230.0, 230.0, 230.0),
    powers_w=Phases(3_680.0, 3_680.0, 3_640.0),
    frequency_hz=50.0,
)


class FaultyMeter:
    """A meter that returns correct readings until a test replaces `next_reading`."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.next_reading: Callable[[], Reading] = lambda: TRUTH
        self.serial = "4711"

    async def identity(self) -> MeterIdentity:
        """The identity that the test has set."""
        return MeterIdentity(self.serial)

    async def read(self) -> Reading:
        """The reading that the test has set."""
        reading = self.next_reading()
        self.at_s = (reading.taken_at - START).total_seconds()
        return reading

    def plausible(self) -> PlausibleMeter:
        """A plausibility check of this meter."""
        return PlausibleMeter(self, RULES, lambda: self.at_s)

    async def close(self) -> None:
        """There is no wire."""


def later(seconds: float = 1.0, **changed: object) -> Reading:
    """A correct reading some seconds later, with these fields changed."""
    return replace(TRUTH, taken_at=START + timedelta(seconds=seconds), **changed)


IMPLAUSIBLE: dict[str, tuple[Reading, str]] = {
    "no register": (later(energy_import_wh=None), "The import register is missing"),
    "not a number": (later(energy_import_wh=math.nan), "energy_import_wh shows nan"),
    "infinite": (later(energy_import_wh=math.inf), "energy_import_wh shows inf"),
    "below zero": (later(energy_import_wh=-1.0), "energy_import_wh shows -1"),
    "more digits than a display has": (later(energy_import_wh=1e13), "energy_import_wh shows 1e+13"),
    "back to zero": (later(energy_import_wh=0.0), "energy_import_wh ran backwards"),
    "back by a milliwatt-hour": (later(energy_import_wh=4_999_999.999), "energy_import_wh ran backwards"),
    "ahead of the fuse": (later(energy_import_wh=5_000_200.0), "energy_import_wh jumped"),
    "an hour of more than the fuse": (later(3600, energy_import_wh=5_030_000.0), "energy_import_wh jumped"),
    "export back": (later(energy_export_wh=99.0), "energy_export_wh ran backwards"),
    "export ahead": (later(energy_export_wh=900.0), "energy_export_wh jumped"),
    "a phase back": (
        later(energies_import_wh=Phases(2_000_000.0, 1_400_000.0, 1_500_000.0)),
        "energies_import_wh.l2 ran backwards",
    ),
    "a phase ahead": (
        later(energies_import_wh=Phases(2_000_000.0, 1_500_000.0, 1_900_000.0)),
        "energies_import_wh.l3 jumped",
    ),
    "export of a phase back": (
        later(energies_export_wh=Phases(50.0, 24.0, 25.0)),
        "energies_export_wh.l2 ran backwards",
    ),
    "export of a phase ahead": (later(energies_export_wh=Phases(50.0, 25.0, 900.0)), "energies_export_wh.l3 jumped"),
    "export of a phase not a number": (
        later(energies_export_wh=Phases(math.nan, 25.0, 25.0)),
        "energies_export_wh.l1 shows nan",
    ),
    "words swapped: power": (later(power_w=4.7e8), "power_w shows"),
    "words swapped: current": (later(currents_a=Phases(16.0, 1e30, 16.0)), "currents_a.l2 shows"),
    "current beyond the circuit": (later(currents_a=Phases(16.0, 16.0, -2_000.0)), "currents_a.l3 shows"),
    "voltage of another world": (later(voltages_v=Phases(23_000.0, 230.0, 230.0)), "voltages_v.l1 shows"),
    "negative voltage": (later(voltages_v=Phases(230.0, 230.0, -230.0)), "voltages_v.l3 shows"),
    "frequency of a radio": (later(frequency_hz=5e6), "frequency_hz shows"),
    "frequency not a number": (later(frequency_hz=math.nan), "frequency_hz shows nan"),
    "power of a phase not a number": (later(powers_w=Phases(math.nan, 0.0, 0.0)), "powers_w.l1 shows nan"),
}


@each_row("case", IMPLAUSIBLE)
async def test_a_lie_is_refused_by_its_name_and_the_truth_is_believed_again(case: str) -> None:
    implausible, named = IMPLAUSIBLE[case]
    faulty_meter = FaultyMeter()
    meter = faulty_meter.plausible()
    assert await meter.read() == TRUTH
    faulty_meter.next_reading = lambda: implausible
    with pytest.raises(ImplausibleReadingError) as refused:
        await meter.read()
    assert named in str(refused.value)
    assert refused.value.transient
    assert meter.last_accepted == TRUTH
    truth = later(max(2.0, (implausible.taken_at - START).total_seconds() + 1.0))
    faulty_meter.next_reading = lambda: truth
    assert await meter.read() == truth


async def test_a_lie_that_is_kept_up_is_a_foreign_meter() -> None:
    faulty_meter = FaultyMeter()
    meter = faulty_meter.plausible()
    await meter.read()
    for seconds in (1.0, 2.0):
        faulty_meter.next_reading = lambda seconds=seconds: later(seconds, energy_import_wh=10.0 + seconds)
        with pytest.raises(ImplausibleReadingError) as refused:
            await meter.read()
    assert refused.value.foreign
    assert not refused.value.transient


async def test_another_serial_number_is_another_meter_whatever_it_shows() -> None:
    faulty_meter = FaultyMeter()
    meter = faulty_meter.plausible()
    await meter.read()

    def silent() -> Reading:
        raise MeterError("silent")

    faulty_meter.next_reading = silent
    with pytest.raises(MeterError, match="silent"):
        await meter.read()
    faulty_meter.serial, faulty_meter.next_reading = "4712", lambda: later(2.0)
    with pytest.raises(ImplausibleReadingError, match=r"serial number is 4712, not 4711") as refused:
        await meter.read()
    assert refused.value.foreign
    meter.accept_exchange()
    assert (await meter.read(), meter.serial_number) == (later(2.0), "4712")


@pytest.mark.parametrize("digits", [5, 6, 7])
async def test_a_display_that_begins_again_is_known_for_what_it_is(digits: int) -> None:
    """It is refused while it may belong to a transaction, and believed when somebody says that there is none."""
    width = 10.0 ** (digits + 3)
    full = replace(TRUTH, energy_import_wh=width - 10.0, energies_import_wh=Phases(None, None, None))
    faulty_meter = FaultyMeter()
    faulty_meter.next_reading = lambda: full
    meter = faulty_meter.plausible()
    await meter.read()
    over = replace(full, taken_at=START + timedelta(seconds=1), energy_import_wh=5.0)
    faulty_meter.next_reading = lambda: over
    for _ in range(2):
        with pytest.raises(ImplausibleReadingError, match="rolled over") as refused:
            await meter.read()
        assert not refused.value.foreign
    assert meter.rolled_over
    meter.accept_roll_over()
    assert await meter.read() == over


async def test_a_register_far_from_its_top_has_not_rolled_over() -> None:
    faulty_meter = FaultyMeter()
    meter = faulty_meter.plausible()
    await meter.read()
    faulty_meter.next_reading = lambda: later(86_400.0, energy_import_wh=5.0)
    with pytest.raises(ImplausibleReadingError, match="ran backwards"):
        await meter.read()
    assert not meter.rolled_over
    meter.accept_roll_over()
    assert meter.last_accepted == TRUTH


@pytest.mark.parametrize("set_by_s", [-86_400.0, 86_400.0])
async def test_a_wall_time_that_is_set_makes_no_room_for_a_jump(set_by_s: float) -> None:
    faulty_meter = FaultyMeter()
    meter = PlausibleMeter(faulty_meter, RULES, iter((0.0, 0.0, 1.0, 1.0, 2.0, 2.0)).__next__)
    await meter.read()
    faulty_meter.next_reading = lambda: later(set_by_s, energy_import_wh=5_200_000.0)
    with pytest.raises(ImplausibleReadingError, match="energy_import_wh jumped"):
        await meter.read()
    faulty_meter.next_reading = lambda: later(set_by_s, energy_import_wh=5_000_010.0)
    assert await meter.read() == later(set_by_s, energy_import_wh=5_000_010.0)
