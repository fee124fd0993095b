"""Register tables against the sample images, and the arithmetic between registers and readings."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from metering.drivers.models import MODELS, ModelName, find_model_name
from metering.drivers.quantities import CURRENTS, POWER_FACTORS, REACTIVE_POWERS, Quantity, values_of
from metering.drivers.register_image import RegisterImage, decode_image
from metering.drivers.registers import (
    MeterModel,
    NumberType,
    Register,
    RegisterBlock,
    SerialLine,
    WordOrder,
    decode,
    encode,
    mismatch,
    plan_blocks,
    swap_direction,
)
from metering.reading import UNKNOWN_PHASES, Phases, Reading
from tests.rows import each_row
from tests.shared import SHARED

SAMPLES = SHARED / "meters" / "samples" / "modbus"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
IMAGES: dict[ModelName, str] = {
    "eastron-sdm630": "sdm630.json",
    "eastron-sdm72d-m": "sdm72d-m.json",
    "abb-b23": "abb-b23.json",
    "carlo-gavazzi-em340": "em340.json",
    "schneider-iem3155": "iem3155.json",
    "siemens-pac2200": "pac2200.json",
    "janitza-umg": "janitza-umg.json",
}
NOT_IN_SAMPLES = frozenset({*REACTIVE_POWERS, *POWER_FACTORS, Quantity.REACTIVE_POWER, Quantity.POWER_FACTOR})
"""quantities without an expected value in the samples"""
NAMES: tuple[ModelName, ...] = get_args(ModelName)

needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample images are not on this machine")


@dataclass(frozen=True, slots=True)
class RegisterSample:
    """A sample: register words by address, and the reading that they encode."""

    functions: frozenset[int]
    words: dict[tuple[int, int], int]
    expected: Reading


def load(name: ModelName) -> RegisterSample:
    image = cast("dict[str, object]", json.loads((SAMPLES / IMAGES[name]).read_text()))
    expected = json.loads((SAMPLES / "expected.json").read_text())[IMAGES[name]]
    functions = cast("list[int]", image["functions"])
    registers = cast("dict[str, str]", image["registers"])
    return RegisterSample(
        functions=frozenset(functions),
        words={(function, int(at)): int(register, 16) for function in functions for at, register in registers.items()},
        expected=Reading(
            taken_at=NOW,
            energy_import_wh=expected["import_wh"],
            energy_export_wh=expected["export_wh"],
            power_w=expected["total_power_w"],
            currents_a=Phases(*(expected["current_a"] or UNKNOWN_PHASES)),
            voltages_v=Phases(*(expected["voltage_v"] or UNKNOWN_PHASES)),
            powers_w=Phases(*(expected["power_w"] or UNKNOWN_PHASES)),
            frequency_hz=expected.get("frequency_hz"),
            energies_import_wh=Phases(*expected.get("import_per_phase_wh", UNKNOWN_PHASES)),
            energies_export_wh=Phases(*expected.get("export_per_phase_wh", UNKNOWN_PHASES)),
        ),
    )


def float_words(number: float) -> tuple[int, int]:
    return struct.unpack(">HH", struct.pack(">f", number))


def test_every_name_that_the_configuration_may_use_has_a_table() -> None:
    assert set(MODELS) == set(NAMES)


@needs_samples
@pytest.mark.parametrize("name", IMAGES)
def test_a_sample_image_decodes_to_its_expected_values_digit_by_digit(name: ModelName) -> None:
    image = load(name)
    decoded = values_of(decode(MODELS[name], image.words, NOW))
    assert decoded | dict.fromkeys(NOT_IN_SAMPLES) == values_of(image.expected)


@needs_samples
@pytest.mark.parametrize("name", IMAGES)
def test_every_planned_block_lies_within_what_the_sample_meter_answers(name: ModelName) -> None:
    image = load(name)
    for block in plan_blocks(MODELS[name]):
        assert block.function in image.functions
        for address in range(block.address, block.address + block.count):
            assert (block.function, address) in image.words


@needs_samples
def test_encoding_the_expected_values_gives_back_the_sample_image() -> None:
    for name in IMAGES.keys() - {"siemens-pac2200"}:  # which keeps its energies in two registers each
        image = load(name)
        assert encode(MODELS[name], image.expected).items() <= image.words.items()


@needs_samples
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_printed_frame_of_eastron_decodes_in_the_right_word_order_only(order: tuple[int, int]) -> None:
    frames = json.loads((SAMPLES / "frames.json").read_text())["frames"]
    frame = next(frame for frame in frames if frame["name"] == "eastron read L1 voltage")
    words = struct.unpack(">HH", bytes.fromhex(frame["response"])[3:7])
    registers = {(4, address): words[at] for address, at in enumerate(order)}
    reading = decode(MODELS["eastron-sdm630"], registers, NOW)
    if order == (0, 1):
        assert reading.voltages_v.l1 == pytest.approx(frame["value"], rel=1e-6)
    else:
        assert mismatch(MODELS["eastron-sdm630"], reading) is not None


def test_blocks_of_the_known_meters_are_few() -> None:
    assert plan_blocks(MODELS["siemens-pac2200"]) == (
        RegisterBlock(3, 1, 42),
        RegisterBlock(3, 55, 16),
        RegisterBlock(3, 801, 16),
    )
    assert plan_blocks(MODELS["eastron-sdm630"]) == (
        RegisterBlock(4, 0, 18),
        RegisterBlock(4, 0x34, 2),
        RegisterBlock(4, 0x46, 6),
    )
    assert plan_blocks(MODELS["abb-b23"]) == (
        RegisterBlock(3, 0x5000, 8),
        RegisterBlock(3, 0x5B00, 6),
        RegisterBlock(3, 0x5B0C, 6),
        RegisterBlock(3, 0x5B14, 8),
        RegisterBlock(3, 0x5B2C, 1),
    )


@st.composite
def models(draw: st.DrawFn) -> MeterModel:
    """Tables with gaps, several types, a short longest request and, perhaps, a readable run."""
    registers: list[Register] = []
    for function in (3, 4):
        address = draw(st.integers(0, 20))
        for gap in draw(st.lists(st.sampled_from([0, 0, 0, 1, 2, 5]), max_size=8)):
            address += gap
            registers.append(
                Register(draw(st.sampled_from(Quantity)), function, address, draw(st.sampled_from(NumberType)))
            )
            address = registers[-1].end
    start = draw(st.integers(0, 40))
    readable = (range(start, start + draw(st.integers(1, 30))),)
    return MeterModel(
        name="any",
        registers=tuple(draw(st.permutations(registers))),
        line=SerialLine(9600, "N", 1),
        max_registers=draw(st.integers(4, 20)),
        readable=draw(st.sampled_from([(), readable])),
    )


@given(models())
def test_blocks_cover_each_value_once_and_whole_and_touch_nothing_a_meter_refuses(model: MeterModel) -> None:
    covered: list[Register] = []
    for block in plan_blocks(model):
        end = block.address + block.count
        inside = [
            register
            for register in model.registers
            if register.function == block.function and block.address <= register.address < end
        ]
        covered += inside
        assert block.count <= model.max_registers
        assert min(register.address for register in inside) == block.address
        assert max(register.end for register in inside) == end
        needed = {address for register in inside for address in range(register.address, register.end)}
        for address in set(range(block.address, end)) - needed:
            assert any(address in run for run in model.readable)
    assert sorted(map(id, covered)) == sorted(map(id, model.registers))


def test_a_meter_of_one_phase_shows_its_phase_as_the_total() -> None:
    model = MODELS["eastron-sdm120"]
    reading = decode(model, encode(model, Reading(NOW, powers_w=Phases(-95.5, None, None))), NOW)
    assert (reading.power_w, reading.powers_w) == (-95.5, Phases(-95.5, None, None))
    assert model.phases == 1


def test_only_what_is_wanted_is_asked_for() -> None:
    quantities = frozenset({*CURRENTS, Quantity.IMPORT_L2})
    assert plan_blocks(MODELS["eastron-sdm630"], quantities) == (RegisterBlock(4, 6, 6), RegisterBlock(4, 0x15C, 2))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sdm630", "eastron-sdm630"),
        ("Eastron SDM72D-M V2", "eastron-sdm72d-m-v2"),
        ("SDM230-Modbus", "eastron-sdm120"),
        ("EM24-E1", "carlo-gavazzi-em24-e1"),
        ("Carlo Gavazzi ET330", "carlo-gavazzi-em340"),
        ("iEM3255", "schneider-iem3155"),
        ("Janitza B24", "janitza-b23"),
        ("B24", "abb-b23"),
        ("Shelly Pro 3EM", "shelly-pro-3em"),
        ("sunspec-203", "sunspec"),
        ("water clock", None),
    ],
)
def test_a_model_is_found_by_the_names_that_people_use(text: str, name: ModelName | None) -> None:
    assert find_model_name(text) == name


@each_row(
    ("name", "function", "address", "words", "quantity", "value"),
    [
        ("eastron-sdm72d-m-v2", 4, 0x08, float_words(16.5), Quantity.CURRENT_L2, 16.5),
        ("eastron-sdm120", 4, 0x0C, float_words(-230.5), Quantity.POWER_L1, -230.5),
        ("carlo-gavazzi-em24", 4, 0x37, (501,), Quantity.FREQUENCY, 50.1),
        ("carlo-gavazzi-em24", 4, 0x42, (0x1170, 1), Quantity.IMPORT, 7000000.0),
        ("carlo-gavazzi-em24-e1", 4, 0x4E, (0x1170, 1), Quantity.EXPORT, 7000000.0),
        ("carlo-gavazzi-em112", 4, 0x04, (0xFC4A, 0xFFFF), Quantity.POWER_L1, -95.0),
        ("carlo-gavazzi-em112", 4, 0x20, (0x1170, 1), Quantity.EXPORT, 7000000.0),
        ("schneider-iem3150", 3, 0x0BED, float_words(2.8125), Quantity.POWER_L1, 2812.5),
        ("janitza-b23", 3, 0x4A84, float_words(310625.0), Quantity.EXPORT, 310625.0),
        ("janitza-b23", 3, 0x4A3C, float_words(229.5), Quantity.VOLTAGE_L3, 229.5),
        ("shelly-pro-3em", 4, 1062, float_words(8.5)[::-1], Quantity.CURRENT_L3, 8.5),
        ("shelly-pro-3em", 4, 1013, float_words(-95.5)[::-1], Quantity.POWER, -95.5),
        ("shelly-pro-3em", 4, 1204, float_words(500.0)[::-1], Quantity.EXPORT_L2, 500.0),
        ("siemens-pac2200", 3, 35, float_words(-410.5), Quantity.REACTIVE_POWER_L3, -410.5),
        ("siemens-pac2200", 3, 67, float_words(99.5), Quantity.REACTIVE_POWER, 99.5),
        ("siemens-pac2200", 3, 39, float_words(-0.75), Quantity.POWER_FACTOR_L2, -0.75),
        ("siemens-pac2200", 3, 69, float_words(0.5), Quantity.POWER_FACTOR, 0.5),
        ("abb-b23", 3, 0x5B3A, (0xFC18,), Quantity.POWER_FACTOR, -1.0),
        ("shelly-pro-3em", 4, 1048, float_words(0.875)[::-1], Quantity.POWER_FACTOR_L2, 0.875),
        ("siemens-pac2200", 3, 889, struct.unpack(">4H", struct.pack(">d", 12.5)), Quantity.EXPORT_L2, 12.5),
    ],
)
def test_the_tables_without_a_sample_read_what_the_makers_print(
    name: ModelName, function: int, address: int, words: tuple[int, ...], quantity: Quantity, value: float
) -> None:
    registers = {(function, address + at): register for at, register in enumerate(words)}
    assert flat_values(decode(MODELS[name], registers, NOW))[quantity] == value


def sunspec_image(base: int, model: int, length: int, content: dict[int, int]) -> dict[int, int]:
    """A chain of model 1, an unknown one, and a meter model; `content` by offsets from the model's id."""
    words = {base: 0x5375, base + 1: 0x6E53}
    at = base + 2
    for identity, size in ((1, 66), (64999, 3), (model, length)):
        words |= {at + offset: 0 for offset in range(2 + size)} | {at: identity, at + 1: size}
        start, at = at, at + 2 + size
    return words | {at: 0xFFFF, at + 1: 0} | {start + offset: register for offset, register in content.items()}


INTEGERS = {
    3: 1234, 4: 52, 5: 891, 6: 0xFFFE,  # amperes, hundredths
    8: 2301, 9: 2314, 10: 2297, 15: 0xFFFF,  # volts, tenths
    16: 5002, 17: 0xFFFE, 18: 4749, 19: 2813, 20: 0xFFA1, 21: 2031, 22: 0,
    38: 4, 39: 0xBD61, 46: 0, 47: 0, 54: 1,  # the import counter: 0, so unknown
}  # fmt: skip


@pytest.mark.parametrize("base", [40000, 50000, 0])
def test_a_sunspec_meter_with_integers_is_found_along_its_chain(base: int) -> None:
    image = RegisterImage(frozenset({3}), sunspec_image(base, 203, 105, INTEGERS))
    found = decode_image(image, MODELS["sunspec"], NOW)
    assert found is not None
    assert found.reading == Reading(
        NOW,
        energy_export_wh=3106250.0,
        power_w=4749.0,
        currents_a=Phases(12.34, 0.52, 8.91),
        voltages_v=Phases(230.1, 231.4, 229.7),
        powers_w=Phases(2813.0, -95.0, 2031.0),
        frequency_hz=50.02,
    )
    planned = plan_blocks(found.model)
    assert len(planned) == 1, "the powers of ten may change: they are read together with the values"
    assert image.read_block(planned[0]) is not None


def test_a_sunspec_value_without_a_believable_power_of_ten_is_unknown() -> None:
    image = RegisterImage(frozenset({3}), sunspec_image(40000, 203, 105, INTEGERS | {6: 0x8000, 15: 11}))
    found = decode_image(image, MODELS["sunspec"], NOW)
    assert found is not None
    assert found.reading.currents_a == found.reading.voltages_v == UNKNOWN_PHASES


def test_a_sunspec_meter_with_floats_is_found_along_its_chain() -> None:
    values = {4: 12.25, 6: 0.5, 8: 8.5, 12: 230.0, 26: 50.0, 28: 4749.0, 32: -95.0, 60: 310625.0, 68: 7003500.0}
    content = {
        at + offset: register for at, value in values.items() for offset, register in enumerate(float_words(value))
    }
    found = decode_image(RegisterImage(frozenset({3}), sunspec_image(40000, 213, 124, content)), MODELS["sunspec"], NOW)
    assert found is not None
    assert found.reading.currents_a == Phases(12.25, 0.5, 8.5)
    assert (found.reading.powers_w.l2, found.reading.power_w) == (-95.0, 4749.0)
    assert (found.reading.energy_import_wh, found.reading.energy_export_wh) == (7003500.0, 310625.0)


def test_a_device_without_a_sunspec_meter_is_reported() -> None:
    for words in ({}, {40000: 0x5375, 40001: 0x6E53, 40002: 1, 40003: 66}, sunspec_image(40000, 103, 50, {})):
        assert decode_image(RegisterImage(frozenset({3}), words), MODELS["sunspec"], NOW) is None


def optional_floats(lowest: float, highest: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(lowest, highest, allow_subnormal=False)


def optional_phases(lowest: float, highest: float) -> st.SearchStrategy[Phases[float | None]]:
    value = optional_floats(lowest, highest)
    return st.tuples(value, value, value).map(lambda values: Phases(*values))


READINGS = st.builds(
    Reading,
    taken_at=st.just(NOW),
    energy_import_wh=optional_floats(0.0, 1e10),
    energy_export_wh=optional_floats(0.0, 1e10),
    power_w=optional_floats(-1e5, 1e5),
    currents_a=optional_phases(0.0, 500.0),
    voltages_v=optional_phases(0.0, 500.0),
    powers_w=optional_phases(-1e5, 1e5),
    frequency_hz=optional_floats(45.0, 65.0),
    reactive_power_var=optional_floats(-1e5, 1e5),
    reactive_powers_var=optional_phases(-1e5, 1e5),
    power_factor=optional_floats(-1.0, 1.0),
    power_factors=optional_phases(-1.0, 1.0),
    reactive_import_varh=optional_floats(0.0, 1e10),
    reactive_export_varh=optional_floats(0.0, 1e10),
    apparent_vah=optional_floats(0.0, 1e10),
    energies_import_wh=optional_phases(0.0, 1e10),
    energies_export_wh=optional_phases(0.0, 1e10),
)


def flat_values(reading: Reading) -> dict[Quantity, float | None]:
    def value(quantity: Quantity) -> float | None:
        field, _, phase = quantity.value.partition(".")
        found = cast("object", getattr(reading, field))
        return cast("float | None", getattr(found, phase) if phase else found)

    return {quantity: value(quantity) for quantity in Quantity}


def resolution(register: Register, value: float) -> float:
    """One step of a float register at this value, half a step of an integer."""
    relative = {NumberType.F32: 2.0**-23, NumberType.F64: 2.0**-52}.get(register.type)
    return float(register.factor) * 0.5001 if relative is None else abs(value) * relative * 1.001 + 1e-37


@given(READINGS, st.sampled_from(NAMES), st.sampled_from(WordOrder))
def test_what_is_encoded_decodes_to_itself_within_the_resolution_of_each_register(
    reading: Reading, name: ModelName, order: WordOrder
) -> None:
    registers = tuple(replace(register, word_order=order) for register in MODELS[name].registers)
    model = replace(MODELS[name], registers=registers)
    decoded = decode(model, encode(model, reading), NOW)
    assert decode(model, encode(model, decoded), NOW) == decoded
    before, after = flat_values(reading), flat_values(decoded)
    for register in model.registers:
        was, now = before[register.quantity], after[register.quantity]
        assert (was is None) == (now is None)
        if was is not None and now is not None:
            assert abs(now - was) <= resolution(register, was)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_register_is_shown_with_no_more_digits_than_it_needs(number: float) -> None:
    model = MODELS["eastron-sdm630"]
    high, low = float_words(number)
    voltage = decode(model, {(4, 0): high, (4, 1): low}, NOW).voltages_v.l1
    assert voltage is not None
    assert float_words(voltage) == (high, low) or number == voltage == 0.0
    assert len(repr(abs(voltage)).partition("e")[0].replace(".", "").strip("0")) <= 9


@pytest.mark.parametrize("number", [math.nan, -math.nan, math.inf, -math.inf])
def test_a_float_register_without_a_number_is_unknown(number: float) -> None:
    high, low = float_words(number)
    assert decode(MODELS["eastron-sdm630"], {(4, 0): high, (4, 1): low}, NOW).voltages_v == UNKNOWN_PHASES


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (0x5B00, [0xFFFF, 0xFFFF]),
        (0x5B14, [0x7FFF, 0xFFFF]),
        (0x5B14, [0x8000, 0x0000]),
        (0x5B2C, [0xFFFF]),
        (0x5000, [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]),
    ],
)
def test_an_integer_register_marked_not_available_is_unknown(address: int, words: Sequence[int]) -> None:
    registers = {(3, address + at): register for at, register in enumerate(words)}
    assert decode(MODELS["abb-b23"], registers, NOW) == Reading(taken_at=NOW)


@pytest.mark.parametrize("name", NAMES)
def test_registers_that_were_not_read_are_unknown_and_not_zero(name: ModelName) -> None:
    assert decode(MODELS[name], {}, NOW) == Reading(taken_at=NOW)


def test_half_a_value_is_unknown() -> None:
    assert decode(MODELS["eastron-sdm630"], {(4, 0): 0x4366}, NOW).voltages_v == UNKNOWN_PHASES


def test_the_tariffs_of_a_pac2200_are_added_and_one_unknown_tariff_makes_the_total_unknown() -> None:
    model = MODELS["siemens-pac2200"]
    words = encode(model, Reading(taken_at=NOW, energy_import_wh=1000.5, energy_export_wh=0.0))
    second = struct.unpack(">4H", struct.pack(">d", 250.25))
    both = {**words, **{(3, 805 + at): register for at, register in enumerate(second)}}
    assert decode(model, both, NOW).energy_import_wh == 1250.75
    unread = {place: register for place, register in both.items() if place[1] != 807}
    assert decode(model, unread, NOW).energy_import_wh is None


@pytest.mark.parametrize(
    ("reading", "named"),
    [
        (
            Reading(taken_at=NOW, currents_a=Phases(None, -1.0, None)),
            "currents_a.l2: -1.0 does not fit in U32",
        ),
        (Reading(taken_at=NOW, frequency_hz=655.35), "frequency_hz: 655.35 does not fit in U16"),
        (Reading(taken_at=NOW, power_w=3e7), "power_w: 30000000.0 does not fit in S32"),
        (Reading(taken_at=NOW, power_w=math.nan), "power_w: nan is not a finite number"),
    ],
)
def test_a_value_that_no_register_holds_is_an_error_that_names_it(reading: Reading, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        encode(MODELS["abb-b23"], reading)


def test_a_meter_mounted_the_other_way_round_changes_import_and_export() -> None:
    reading = Reading(
        taken_at=NOW,
        energy_import_wh=10.0,
        energy_export_wh=None,
        power_w=-1150.0,
        currents_a=Phases(5.0, None, None),
        powers_w=Phases(-1150.0, None, 0.0),
    )
    reversed_reading = swap_direction(reading)
    assert reversed_reading == replace(
        reading,
        energy_import_wh=None,
        energy_export_wh=10.0,
        power_w=1150.0,
        powers_w=Phases(1150.0, None, 0.0),
    )
    assert swap_direction(reversed_reading) == reading


@pytest.mark.parametrize(
    ("reading", "named"),
    [
        (Reading(taken_at=NOW, frequency_hz=2.3e-41), "2.3e-41 Hz"),
        (Reading(taken_at=NOW, frequency_hz=500.0), "500 Hz"),
        (Reading(taken_at=NOW, frequency_hz=50.0, voltages_v=Phases(2301.0, None, None)), "2301 V"),
        (Reading(taken_at=NOW, voltages_v=Phases(0.0, 0.0, 0.0)), "0, 0, 0 V"),
    ],
)
def test_a_reading_from_another_kind_of_meter_is_detected_by_its_frequency_or_voltage(
    reading: Reading, named: str
) -> None:
    reason = mismatch(MODELS["abb-b23"], reading)
    assert reason is not None
    assert named in reason
    assert "ABB B23" in reason


def test_a_meter_on_one_phase_of_three_is_not_taken_for_another_kind() -> None:
    reading = Reading(taken_at=NOW, frequency_hz=50.0, voltages_v=Phases(231.0, 0.0, 3.5))
    assert mismatch(MODELS["abb-b23"], reading) is None
