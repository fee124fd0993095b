"""What a Linky sends, without a wire: real recordings, damaged ones, and the frames of a made-up house."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from energy.grid import GridSample, MeterTariff, TariffColour, TariffStep
from energy.sources.linky_interpreter import LinkyInterpreter
from energy.sources.tic import Mark, TicGroup, TicMode, TicParser
from metering.reading import UNKNOWN_PHASES, Phases
from simulator.house import HouseReading
from simulator.linky import historique_frame, standard_frame
from tests.examples import examples
from tests.shared import SHARED

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = SHARED / "meters/samples/linky"
NOON = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)

reproducible = examples(200)


class Stamped(BaseModel):
    horodate: str
    value: str


class Interpreted(BaseModel):
    mode: str
    phases: int
    current_a: list[int]
    voltage_v: list[int] = []
    apparent_import_va: int
    reference_power_va: int
    over_limit: bool
    tariff_period: str
    time: datetime | None = None


class ExpectedFrame(BaseModel):
    offset: int
    valid_groups: int
    values: dict[str, str | Stamped]
    interpreted: Interpreted


class Outside(BaseModel):
    bytes: int
    valid_groups: int
    corrupt_groups: list[str]


class ExpectedSample(BaseModel):
    head_before_first_stx: Outside
    tail_after_last_etx: Outside
    frames: list[ExpectedFrame]


def magnitudes(sample: GridSample) -> list[float]:
    """The currents as the meter sends them, without a sign."""
    return [abs(a) for a in sample.currents_a if a is not None]


def load_expected() -> dict[str, ExpectedSample]:
    path = SAMPLES / "expected.json"
    if not path.exists():
        return {}
    anything = TypeAdapter(dict[str, object]).validate_json(path.read_bytes())
    del anything["_form"]
    return TypeAdapter(dict[str, ExpectedSample]).validate_python(anything)


EXPECTED = load_expected()
FRAMES = [(name, frame) for name, sample in EXPECTED.items() for frame in sample.frames]

needs_samples = pytest.mark.skipif(not EXPECTED, reason="the recordings of Linky meters are not here")
each_sample = pytest.mark.parametrize("name", sorted(EXPECTED) or ["none"])
each_frame = pytest.mark.parametrize(
    ("name", "frame"), FRAMES or [("none", None)], ids=[f"{name}@{frame.offset}" for name, frame in FRAMES] or None
)


def recording(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def frame_bytes(name: str, frame: ExpectedFrame) -> bytes:
    data = recording(name)[frame.offset :]
    return data[: data.index(b"\x03") + 1]


def groups_of(data: bytes) -> list[TicGroup]:
    return [event for event in TicParser().feed(data) if isinstance(event, TicGroup)]


def read_all(interpreter: LinkyInterpreter, data: bytes, received_at: datetime = NOON) -> list[GridSample]:
    samples = (interpreter.process(event, received_at) for event in TicParser().feed(data))
    return [sample for sample in samples if sample is not None]


def trained_interpreter(frame: bytes, times: int = 3) -> LinkyInterpreter:
    """An interpreter that has read this frame often enough to know the meter."""
    interpreter = LinkyInterpreter()
    read_all(interpreter, frame * times)
    return interpreter


def only_sample(samples: Sequence[GridSample]) -> GridSample:
    (sample,) = samples
    return sample


# --- recordings of real meters


@needs_samples
@each_frame
def test_every_group_of_a_recorded_frame_reads_as_expected(name: str, frame: ExpectedFrame) -> None:
    groups = groups_of(frame_bytes(name, frame))
    read = {g.label: g.value if g.stamp is None else Stamped(horodate=g.stamp, value=g.value) for g in groups}
    assert read == frame.values
    assert len(groups) == frame.valid_groups
    assert {group.mode.name.lower() for group in groups} == {frame.interpreted.mode}


@needs_samples
@each_sample
def test_groups_outside_whole_frames_are_read_and_spoiled_ones_counted(name: str) -> None:
    data, expected = recording(name), EXPECTED[name]
    head = data[: expected.head_before_first_stx.bytes]
    tail = data[len(data) - expected.tail_after_last_etx.bytes :]
    assert len(groups_of(head)) == expected.head_before_first_stx.valid_groups
    assert len(groups_of(tail)) == expected.tail_after_last_etx.valid_groups
    parser = TicParser()
    parser.feed(tail)
    assert parser.spoiled == len(expected.tail_after_last_etx.corrupt_groups)


@needs_samples
@each_frame
def test_a_recorded_frame_has_the_expected_values(name: str, frame: ExpectedFrame) -> None:
    data, truth = frame_bytes(name, frame), frame.interpreted
    received_at = truth.time or NOON
    sample = only_sample(read_all(trained_interpreter(data), data, received_at))
    assert magnitudes(sample) == truth.current_a
    injecting = [a == 1 and "producer" in name for a in truth.current_a]  # phases 1 and 3 of that house: SINSTSn 0
    assert [a < 0 for a in sample.currents_a if a is not None] == injecting
    assert sample.apparent_power_va == truth.apparent_import_va
    assert sample.overrun == truth.over_limit
    assert sample.tariff_period == truth.tariff_period
    assert sample.taken_at == received_at
    limit_v = max([230, *truth.voltage_v])
    assert sample.subscribed_current_a == pytest.approx(truth.reference_power_va / truth.phases / limit_v)


@needs_samples
@each_sample
def test_a_meter_that_is_known_gives_one_sample_a_frame(name: str) -> None:
    interpreter = trained_interpreter(recording(name), times=4)
    first_frame = EXPECTED[name].frames[0].offset
    samples = read_all(interpreter, b"\x04" + recording(name)[first_frame:])
    expected = [[float(a) for a in frame.interpreted.current_a] for frame in EXPECTED[name].frames]
    assert [magnitudes(sample) for sample in samples] == expected


# --- bytes


@needs_samples
@reproducible
@given(data=st.data())
def test_how_the_bytes_are_cut_changes_nothing(data: st.DataObject) -> None:
    stream = recording(data.draw(st.sampled_from(sorted(EXPECTED))))[:1500]
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=40))
    parser = TicParser()
    events: list[TicGroup | Mark] = []
    for start, end in pairwise([0, *sorted(cuts), len(stream)]):
        events += parser.feed(stream[start:end])
    assert events == TicParser().feed(stream)


@needs_samples
@reproducible
@given(data=st.data())
def test_one_flipped_bit_never_makes_another_number(data: st.DataObject) -> None:
    name, frame = data.draw(st.sampled_from(FRAMES))
    intact = frame_bytes(name, frame)
    bad = bytearray(intact)
    bad[data.draw(st.integers(0, len(intact) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    originals = groups_of(intact)
    for group in groups_of(bytes(bad)):
        assert group.label in {original.label for original in originals}
        assert group in originals or not group.value.isdigit()
    for sample in read_all(trained_interpreter(intact), bytes(bad)):
        assert magnitudes(sample) == frame.interpreted.current_a
        assert sample.apparent_power_va in (frame.interpreted.apparent_import_va, None)
        assert sample.overrun == frame.interpreted.over_limit


@needs_samples
@reproducible
@given(data=st.data())
def test_a_truncated_frame_gives_only_groups_that_were_whole(data: st.DataObject) -> None:
    name, frame = data.draw(st.sampled_from(FRAMES))
    original = frame_bytes(name, frame)
    length = data.draw(st.integers(0, len(original) - 1))
    complete_groups = original[:length].count(b"\r")
    assert groups_of(original[:length]) == groups_of(original)[:complete_groups]


@needs_samples
@reproducible
@given(data=st.data())
def test_characters_lost_inside_a_group_never_make_another_number(data: st.DataObject) -> None:
    name, frame = data.draw(st.sampled_from(FRAMES))
    labels = {label for _, expected_frame in FRAMES for label in expected_frame.values}
    content = data.draw(st.sampled_from(frame_bytes(name, frame).split(b"\r")[:-1])).partition(b"\n")[2]
    first = data.draw(st.integers(0, len(content) - 1))
    last = data.draw(st.integers(first, len(content) - 1))
    (original,) = groups_of(b"\n" + content + b"\r")
    for group in groups_of(b"\n" + content[:first] + content[last + 1 :] + b"\r"):
        # The meter's number is held against no width: recordings have it shortened. A label that lost its begin may be
        # one that no meter sends: SC of ISOUSC.
        harmless = group.label in ("ADCO", "ADSC") or group.label not in labels
        assert group == original or not group.value.isdigit() or harmless


@needs_samples
@reproducible
@given(parity=st.binary(min_size=170, max_size=170))
def test_the_eighth_bit_is_ignored(parity: bytes) -> None:
    original = recording("historique-mono-hc.bin")
    with_parity = bytes(byte | bit & 0x80 for byte, bit in zip(original, parity, strict=True))
    assert TicParser().feed(with_parity) == TicParser().feed(original)


@reproducible
@given(st.lists(st.binary(max_size=300)))
def test_any_bytes_are_borne(chunks: list[bytes]) -> None:
    parser, interpreter = TicParser(), LinkyInterpreter()
    for chunk in chunks:
        for event in parser.feed(chunk):
            interpreter.process(event, NOON)


@pytest.mark.parametrize(
    ("line", "group"),
    [
        (b"IINST 009  ", TicGroup("IINST", "009", None, TicMode.HISTORIQUE)),
        (b"PTEC HP..  ", TicGroup("PTEC", "HP..", None, TicMode.HISTORIQUE)),
        (b"ADPS 034.", None),
        (b"ADPS034.", None),
        (b"IRMS1\t001\t/", TicGroup("IRMS1", "001", None, TicMode.STANDARD)),
        (b"NTARF\t03\tP", TicGroup("NTARF", "03", None, TicMode.STANDARD)),
        (b"DATE\tH200214230806\t\t=", TicGroup("DATE", "", "H200214230806", TicMode.STANDARD)),
        (b"NGTF\t     TEMPO      \tF", TicGroup("NGTF", "     TEMPO      ", None, TicMode.STANDARD)),
        (b"EAST\t 21849107\t/", None),
        (b"", None),
        (b" ", None),
        (b"\t\t\t\t", None),
    ],
)
def test_a_line_reads_as(line: bytes, group: TicGroup | None) -> None:
    assert TicParser().feed(b"\n" + line + b"\r") == ([] if group is None else [group])


def check(summed: bytes) -> bytes:
    return bytes([(sum(summed) & 0x3F) + 0x20])


def group_line(body: bytes) -> bytes:
    """A group with a valid checksum."""
    return b"\n" + body + (check(body) if b"\t" in body else b" " + check(body)) + b"\r"


def test_the_check_of_the_other_mode_is_refused() -> None:
    historique, standard = b"IINST 009", b"IRMS1\t009"
    assert len(groups_of(group_line(historique) + group_line(standard + b"\t"))) == 2
    assert groups_of(b"\n" + historique + b" " + check(historique + b" ") + b"\r") == []
    assert groups_of(b"\n" + standard + b"\t" + check(standard) + b"\r") == []


@pytest.mark.parametrize(
    "body",
    [
        b"IINST 9",
        b"IINST 0009",
        b"IINST 00A",
        b"IINST  09",
        b"IRMS1\t09\t",
        b"STGE\t3A8000\t",
        b"STGE\t003A800G\t",
        b"SINSTS\tH191203125805\t00519\t",
        b"UMOY1\t232\t",
        b"DATE\tH19120312580\t\t",
        b"DATE\tX191203125805\t\t",
        b"IRMS1\t001\t002\t003\t",
        b"iinst 009",
        b"TOOLONGALABEL 1",
    ],
)
def test_a_right_check_does_not_excuse(body: bytes) -> None:
    assert groups_of(group_line(body)) == []


def test_a_group_of_a_later_document_is_passed_on() -> None:
    assert groups_of(group_line(b"NEWLABEL some thing")) == [
        TicGroup("NEWLABEL", "some thing", None, TicMode.HISTORIQUE)
    ]


def test_a_check_that_no_separator_precedes_is_refused() -> None:
    body = b"IINST 009"
    assert groups_of(b"\n" + body + b"A" + check(body) + b"\r") == []
    assert groups_of(b"\nIRMS1\t009A" + check(b"IRMS1\t009A") + b"\r") == []


def held_after(noise: Iterable[bytes]) -> int:
    """Bytes that the reading of noise leaves occupied, of what this package has allocated in the meantime."""
    parser, interpreter = TicParser(), LinkyInterpreter()
    tracemalloc.start()
    try:
        for chunk in noise:
            for event in parser.feed(chunk):
                interpreter.process(event, NOON)
        ours = tracemalloc.Filter(True, str(REPOSITORY / "energy" / "*"))  # other threads of the tests allocate too
        snapshot = tracemalloc.take_snapshot().filter_traces([ours])
    finally:
        tracemalloc.stop()
    return sum(statistic.size for statistic in snapshot.statistics("filename"))


def test_noise_for_ever_costs_no_memory() -> None:
    assert held_after([b"\n", *[b"A" * 20_000] * 5]) < 20_000
    assert held_after(group_line(b"N%05d x" % number) for number in range(2_000)) < 20_000


# --- frames of a made-up house

MONO = HouseReading(Phases(12.0, None, None), subscribed_va=9000)
TRI = HouseReading(Phases(3.0, 6.0, 4.0), subscribed_va=18000)


def historique(house: HouseReading, *, without: Iterable[bytes] = (), short: bool = False) -> bytes:
    pieces = historique_frame(house, short=short)
    return b"".join(piece for piece in pieces if not any(label + b" " in piece for label in without))


def standard(house: HouseReading, *, without: Iterable[bytes] = (), at: datetime = NOON) -> bytes:
    pieces = standard_frame(house, at)
    return b"".join(piece for piece in pieces if not any(label + b"\t" in piece for label in without))


def test_there_is_no_sample_before_several_frames_agree_on_the_phases() -> None:
    interpreter = LinkyInterpreter()
    assert [len(read_all(interpreter, historique(MONO))) for _ in range(4)] == [0, 0, 1, 1]


def test_pieces_of_a_frame_do_not_make_a_three_phase_meter_single_phase() -> None:
    interpreter = LinkyInterpreter()
    piece = standard(TRI).partition(b"\nIRMS2")[0]
    assert read_all(interpreter, piece * 5) == []
    assert len(read_all(interpreter, standard(TRI) * 3)) == 1


def test_a_lost_phase_costs_the_sample_and_not_the_phase() -> None:
    interpreter = trained_interpreter(standard(TRI))
    assert read_all(interpreter, standard(TRI, without=[b"IRMS2"]) * 4) == []
    lost_all = standard(TRI, without=[b"IRMS2", b"IRMS3", b"URMS2", b"URMS3", b"SINSTS2", b"SINSTS3"])
    assert read_all(interpreter, lost_all * 4) == []
    assert only_sample(read_all(interpreter, standard(TRI))).currents_a == Phases(3.0, 6.0, 4.0)


def test_a_meter_taken_for_single_phase_is_corrected_by_its_other_phases() -> None:
    interpreter = trained_interpreter(standard(MONO))
    assert len(read_all(interpreter, standard(TRI) * 2)) == 2
    assert only_sample(read_all(interpreter, standard(TRI))).currents_a == Phases(3.0, 6.0, 4.0)


def test_without_a_current_in_its_own_frame_there_is_no_sample() -> None:
    interpreter = trained_interpreter(historique(MONO))
    assert read_all(interpreter, historique(MONO, without=[b"IINST"])) == []


def test_a_frame_that_the_meter_breaks_off_is_forgotten() -> None:
    interpreter = trained_interpreter(historique(MONO))
    assert read_all(interpreter, historique(MONO).replace(b"\x03", b"\x04")) == []
    assert len(read_all(interpreter, historique(MONO))) == 1


def test_a_lost_end_of_frame_costs_no_sample() -> None:
    interpreter = trained_interpreter(historique(MONO))
    assert len(read_all(interpreter, historique(MONO).removesuffix(b"\x03") * 4 + b"\x02")) == 4


def test_two_frames_without_marks_between_them_are_not_mixed() -> None:
    later = HouseReading(Phases(30.0, 31.0, 32.0), subscribed_va=18000)
    stream = standard(TRI, without=[b"IRMS3"]).strip(b"\x03") + standard(later, without=[b"IRMS1"]).strip(b"\x02")
    assert read_all(trained_interpreter(standard(TRI)), stream) == []


def test_a_short_frame_keeps_the_contract_and_invents_no_power() -> None:
    over = HouseReading(Phases(31.0, 6.0, 4.0), subscribed_va=18000)
    sample = only_sample(read_all(trained_interpreter(historique(TRI)), historique(over, short=True)))
    assert sample == GridSample(
        taken_at=NOON,
        currents_a=Phases(31.0, 6.0, 4.0),
        subscribed_current_a=6000 / 230,
        apparent_power_va=None,
        overrun=True,
        tariff_period="TH..",
        subscribed_va=18000,
        period_s=2.0,
        tariff=MeterTariff("TH..", flat=True),
    )


def test_short_frames_before_any_long_one_leave_the_contract_unknown() -> None:
    over = HouseReading(Phases(31.0, 6.0, 4.0), subscribed_va=18000)
    frame = historique(over, short=True)
    sample = only_sample(read_all(trained_interpreter(frame), frame))
    assert sample.subscribed_current_a is None
    assert sample.overrun


@pytest.mark.parametrize(
    ("frame", "overrun"),
    [
        (historique(MONO), False),
        (historique(HouseReading(Phases(45.0, None, None))), False),
        (historique(HouseReading(Phases(46.0, None, None))), True),
        (historique(HouseReading(Phases(46.0, None, None)), without=[b"ADPS"]), True),
        (historique(HouseReading(Phases(46.0, None, None)), without=[b"ISOUSC"]), True),
        (historique(HouseReading(Phases(46.0, None, None)), without=[b"ISOUSC", b"ADPS"]), False),
        (historique(HouseReading(Phases(1.0, 1.0, 31.0), subscribed_va=18000)), True),
        (standard(MONO), False),
        (standard(HouseReading(Phases(40.0, None, None))), True),
        (standard(HouseReading(Phases(40.0, None, None)), without=[b"STGE"]), True),
        (standard(HouseReading(Phases(40.0, None, None)), without=[b"PREF"]), True),
        (standard(HouseReading(Phases(1.0, 1.0, 31.0), subscribed_va=18000)), True),
        (standard(HouseReading(Phases(-40.0, None, None))), False),
        (standard(HouseReading(Phases(-40.0, -40.0, 31.0), subscribed_va=18000)), True),
    ],
)
def test_an_overrun_is_what_the_meter_says_or_its_figures_show(frame: bytes, overrun: bool) -> None:
    assert only_sample(read_all(trained_interpreter(frame), frame)).overrun == overrun


def test_standard_mode_has_the_apparent_power_of_each_of_three_phases_and_historique_does_not() -> None:
    house = HouseReading(Phases(3.4, 9.6, -2.0), subscribed_va=18000)
    new, old = standard(house), historique(house)
    assert only_sample(read_all(trained_interpreter(new), new)).apparent_powers_va == Phases(782.0, 2208.0, 0.0)
    assert only_sample(read_all(trained_interpreter(old), old)).apparent_powers_va == UNKNOWN_PHASES


@pytest.mark.parametrize(
    ("house", "currents_a", "power_va"),
    [
        (HouseReading(Phases(-5.0, None, None)), Phases(-5.0, None, None), None),
        (HouseReading(Phases(-5.0, None, None), energy_export_wh=1.0), Phases(-5.0, None, None), -1150.0),
        (HouseReading(Phases(-9.0, 2.0, -1.0), energy_export_wh=1.0), Phases(-9.0, 2.0, -1.0), -1840.0),
        # As a whole it draws; L1 has a current and no drawn power.
        (HouseReading(Phases(-2.0, 9.0, 0.0)), Phases(-2.0, 9.0, 0.0), 1610.0),
        (HouseReading(Phases(0.0, None, None)), Phases(0.0, None, None), 0.0),
    ],
)
def test_a_current_is_negative_only_where_the_meter_reports_feed_in(
    house: HouseReading, currents_a: Phases[float | None], power_va: float | None
) -> None:
    frame = standard(house)
    sample = only_sample(read_all(trained_interpreter(frame), frame))
    assert sample.currents_a == currents_a
    assert sample.apparent_power_va == power_va


@pytest.mark.parametrize(
    ("frame", "currents_a"),
    [
        (historique(HouseReading(Phases(-5.0, None, None))), Phases(5.0, None, None)),
        (standard(HouseReading(Phases(-5.0, None, None)), without=[b"STGE"]), Phases(5.0, None, None)),
        (
            standard(HouseReading(Phases(-5.0, -5.0, 1.0)), without=[b"SINSTS2"]),
            Phases(-5.0, 5.0, 1.0),
        ),
    ],
)
def test_what_may_be_drawn_counts_as_drawn(frame: bytes, currents_a: Phases[float | None]) -> None:
    assert only_sample(read_all(trained_interpreter(frame), frame)).currents_a == currents_a


@pytest.mark.parametrize(("voltage_v", "limit_a"), [(215.0, 9000 / 230), (230.0, 9000 / 230), (250.0, 36.0)])
def test_a_higher_voltage_lowers_the_subscribed_current_and_a_sag_does_not_raise_it(
    voltage_v: float, limit_a: float
) -> None:
    frame = standard(HouseReading(Phases(5.0, None, None), voltage_v=voltage_v))
    assert only_sample(read_all(trained_interpreter(frame), frame)).subscribed_current_a == pytest.approx(limit_a)


def test_a_subscribed_power_of_zero_is_unknown() -> None:
    frame = historique(MONO, without=[b"ISOUSC"]).replace(b"\nADCO", group_line(b"ISOUSC 00") + b"\nADCO")
    assert only_sample(read_all(trained_interpreter(frame), frame)).subscribed_current_a is None


def with_date(stamp: bytes) -> bytes:
    frame = standard(MONO, without=[b"DATE"])
    return frame.replace(b"\nNGTF", group_line(b"DATE\t" + stamp + b"\t\t") + b"\nNGTF")


@pytest.mark.parametrize(
    ("stamp", "taken_at"),
    [
        (b"H260115125930", NOON - timedelta(seconds=30)),
        (b"E260115135930", NOON - timedelta(seconds=30)),
        (b"H260115130030", NOON + timedelta(seconds=30)),
        (b"h260115125930", NOON),
        (b" 260115125930", NOON),
        (b"H260115125859", NOON),
        (b"H261315125930", NOON),
        (b"H000000000000", NOON),
    ],
)
def test_the_meter_s_time_counts_where_it_can_be_trusted(stamp: bytes, taken_at: datetime) -> None:
    frame = with_date(stamp)
    assert only_sample(read_all(trained_interpreter(frame), frame)).taken_at == taken_at


def test_a_status_that_doubts_the_clock_is_believed() -> None:
    frame = with_date(b"H260115125930")
    doubted = frame.partition(b"\nSTGE")[0] + group_line(b"STGE\t005B0001\t") + b"\x03"
    assert only_sample(read_all(trained_interpreter(doubted), doubted)).taken_at == NOON


def single_phase(l1: float) -> Phases[float | None]:
    return Phases(l1, None, None)


def three_phases(l1: float, l2: float, l3: float) -> Phases[float | None]:
    return Phases(l1, l2, l3)


amperes = st.floats(-60.0, 60.0, allow_nan=False)
houses = st.builds(
    HouseReading,
    currents_a=st.one_of(
        st.builds(single_phase, amperes),
        st.builds(three_phases, amperes, amperes, amperes),
    ),
    subscribed_va=st.integers(3, 36).map(lambda kva: kva * 1000),
    voltage_v=st.floats(207.0, 253.0),
    energy_import_wh=st.floats(0.0, 9e8),
    energy_export_wh=st.one_of(st.none(), st.floats(0.0, 9e8)),
)


@reproducible
@given(house=houses, to_frame=st.sampled_from([historique, standard]))
def test_what_the_simulated_meter_says_is_what_the_house_draws(
    house: HouseReading, to_frame: Callable[[HouseReading], bytes]
) -> None:
    frame = to_frame(house)
    sample = only_sample(read_all(trained_interpreter(frame), frame))
    for measured, real in zip(sample.currents_a, house.currents_a, strict=True):
        if real is None:
            assert measured is None
        else:
            assert measured is not None
            assert abs(abs(measured) - abs(real)) < 1.0
            assert measured >= 0 or real < 0


# --- prices


def historique_with(*lines: bytes) -> bytes:
    frame = historique(MONO, without=[b"PTEC", b"OPTARIF"])
    return frame.replace(b"\nIINST", b"".join(group_line(text) for text in lines) + b"\nIINST")


def tariff_of(frame: bytes) -> MeterTariff:
    sample = only_sample(read_all(trained_interpreter(frame), frame))
    assert sample.tariff is not None
    return sample.tariff


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([b"PTEC TH.."], MeterTariff("TH..", flat=True)),
        ([b"PTEC HC.."], MeterTariff("HC..", off_peak=True)),
        ([b"PTEC HP.."], MeterTariff("HP..", off_peak=False)),
        ([b"PTEC HN.."], MeterTariff("HN..", has_peaks=True)),
        ([b"PTEC HN..", b"PEJP 30"], MeterTariff("HN..", has_peaks=True, peak_announced=True)),
        ([b"PTEC PM.."], MeterTariff("PM..", has_peaks=True, peak_now=True)),
        (
            [b"PTEC HCJW", b"DEMAIN ROUG"],
            MeterTariff("HCJW", off_peak=True, today=TariffColour.WHITE, tomorrow=TariffColour.RED),
        ),
        ([b"PTEC HPJB", b"DEMAIN ----"], MeterTariff("HPJB", off_peak=False, today=TariffColour.BLUE)),
    ],
)
def test_the_tariff_of_historique_mode(groups: list[bytes], expected: MeterTariff) -> None:
    assert tariff_of(historique_with(*groups)) == expected


def test_the_notice_of_a_peak_ends_with_the_first_long_frame_without_it() -> None:
    interpreter = trained_interpreter(historique_with(b"PTEC HN..", b"PEJP 30"))
    short = historique(HouseReading(Phases(31.0, 6.0, 4.0), subscribed_va=18000), short=True)
    (after,) = read_all(interpreter, historique_with(b"PTEC HN.."))
    assert after.tariff == MeterTariff("HN..", has_peaks=True)
    interpreter = trained_interpreter(historique(TRI))
    (between,) = read_all(interpreter, short)
    assert between.tariff == MeterTariff("TH..", flat=True), "a short frame says nothing of prices"


@needs_samples
def test_the_tariff_of_standard_mode_with_a_running_peak_and_colours() -> None:
    name, frame = next((name, frame) for name, frame in FRAMES if name == "standard-tri-tempo-stream.bin")
    assert tariff_of(frame_bytes(name, frame)) == MeterTariff(
        "HC  BLANC",
        index=3,
        off_peak=True,
        today=TariffColour.WHITE,
        tomorrow=TariffColour.BLUE,
        peak_now=True,
        contact_closed=True,
        next_day=(
            TariffStep(time(0, 0), 1, None),
            TariffStep(time(6, 0), 2, None),
            TariffStep(time(22, 0), 1, None),
        ),
    )


@needs_samples
def test_the_next_days_profile_switches_the_contact() -> None:
    name, frame = next((name, frame) for name, frame in FRAMES if name == "standard-mono-consumer.bin")
    tariff = tariff_of(frame_bytes(name, frame))
    assert (tariff.period, tariff.off_peak, tariff.contact_closed) == ("HEURE  CREUSE", True, True)
    assert tariff.next_day[:2] == (TariffStep(time(0, 0), 2, False), TariffStep(time(2, 56), 1, True))


@needs_samples
def test_the_power_at_which_the_meter_opens_is_reported_beside_the_contract() -> None:
    name, frame = next((name, frame) for name, frame in FRAMES if name == "standard-tri-producer-stream.bin")
    data = frame_bytes(name, frame)
    sample = only_sample(read_all(trained_interpreter(data), data))
    assert (sample.subscribed_va, sample.cut_off_va, sample.breaker_open) == (18000, 18000, False)
    assert (sample.signed, sample.voltages_v) == (True, Phases(234, 240, 242))
    raised = data.replace(group_line(b"PCOUP\t18\t"), group_line(b"PCOUP\t12\t"))
    assert raised != data
    assert only_sample(read_all(trained_interpreter(data), raised)).cut_off_va == 12000, "a change is believed at once"
