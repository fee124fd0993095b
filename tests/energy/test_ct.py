"""Current transformers: the arithmetic against known signals, and the driver on a made-up sysfs tree."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.grid import SourceError
from energy.sources.ct import ClampConfig, CtConfig
from energy.sources.iio import SampleLayout
from energy.sources.rms import ChannelCalibration, ClampFault, rms_current
from energy.sources.source_context import SourceContext
from foundation.clock import SystemClock
from foundation.table_definition import InvalidTableError
from tests.energy.fake_converter import HZ, FakeConverter, wave
from tests.energy.listening import Listener, configured, listening
from tests.examples import examples
from tests.held_file import HeldFile
from tests.patience import until

TWELVE_BIT = ChannelCalibration(
    lowest=0, highest=4095, volts_per_count=3.3 / 4096, bias_count=2048, amperes_per_volt=100 / 0.333
)


@examples(60)
@given(amperes=st.floats(1.0, 100.0), bias=st.floats(1900.0, 2200.0), cycles=st.integers(10, 12))
def test_the_current_of_a_sine_is_found_whatever_the_bias(amperes: float, bias: float, cycles: int) -> None:
    found = rms_current(wave(amperes, bias=bias, cycles=cycles), TWELVE_BIT)
    assert found.fault is None
    assert not found.clipped
    assert found.current_a == pytest.approx(amperes, rel=0.01, abs=0.2)


@examples(60)
@given(cut=st.integers(580, 620), amperes=st.floats(5.0, 90.0))
def test_a_window_that_is_no_whole_number_of_cycles_errs_by_less_than_a_percent(cut: int, amperes: float) -> None:
    found = rms_current(wave(amperes, cycles=11)[:cut], TWELVE_BIT)
    assert found.current_a == pytest.approx(amperes, rel=0.012, abs=0.2)


def test_noise_is_subtracted_in_squares_and_what_is_left_below_the_threshold_is_none() -> None:
    noisy = ChannelCalibration(0, 4095, 3.3 / 4096, 2048, 100 / 0.333, noise_a=0.8)
    assert rms_current(wave(0.0, noise=3.0), noisy).current_a == 0.0
    assert rms_current(wave(10.0, noise=3.0), noisy).current_a == pytest.approx(10.0, rel=0.01)


def test_a_clipped_wave_is_marked_as_higher_than_measured() -> None:
    found = rms_current(wave(400.0), TWELVE_BIT)
    assert found.clipped
    assert found.current_a is not None
    assert found.current_a > 200.0


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        ([2048] * 600, ClampFault.DEAD),
        ([0] * 600, ClampFault.DEAD),
        (wave(5.0, bias=900.0), ClampFault.BIAS),
        ([2048], ClampFault.SHORT),
        ([], ClampFault.SHORT),
    ],
)
def test_a_clamp_or_converter_that_is_not_there_gives_no_current(counts: Sequence[int], fault: ClampFault) -> None:
    found = rms_current(counts, TWELVE_BIT)
    assert (found.current_a, found.fault) == (None, fault)


@pytest.mark.parametrize(
    ("text", "data", "value"),
    [
        ("le:u12/16>>0", b"\xff\x0f", 4095),
        ("le:u12/16>>4", b"\xf0\xff", 4095),
        ("be:s16/16>>0", b"\xff\xfe", -2),
        ("be:s24/32>>8", b"\x80\x00\x00\x00", -8388608),
    ],
)
def test_a_sample_is_read_as_its_layout_says(text: str, data: bytes, value: int) -> None:
    layout = SampleLayout.parse(text)
    assert layout.read(data) == value
    assert layout.ends[0] <= value <= layout.ends[1]


def test_a_layout_that_is_none_is_an_error() -> None:
    with pytest.raises(OSError, match="not a sample layout"):
        SampleLayout.parse("sixteen bits")


@contextlib.asynccontextmanager
async def listening_to(converter: FakeConverter) -> AsyncGenerator[Listener]:
    clock = SystemClock()
    giving = asyncio.create_task(converter.run())
    try:
        async with listening(converter.config().open(clock), clock) as listener:
            yield listener
    finally:
        giving.cancel()
        await asyncio.wait([giving])
        converter.close()


async def test_the_currents_of_three_clamps_arrive_each_on_its_phase(tmp_path: Path) -> None:
    converter = FakeConverter(tmp_path)
    async with listening_to(converter) as listener:
        (sample,) = await listener.next_samples()
        assert converter.read("buffer/enable") == "1"
        assert converter.read("sampling_frequency") == str(HZ)
        assert [converter.read(f"scan_elements/in_voltage{n}_en") for n in range(4)] == ["1", "1", "1", "0"]
    assert converter.read("buffer/enable") == "0"
    assert sample.currents_a.l1 == pytest.approx(3.0, rel=0.03)
    assert sample.currents_a.l2 == pytest.approx(16.0, rel=0.01)
    assert sample.currents_a.l3 == 0.0
    assert not sample.clipped
    assert not sample.signed, "a clamp does not tell the direction: what flows counts as drawn"


async def test_a_clamp_that_goes_makes_its_phase_unknown_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    converter = FakeConverter(tmp_path)
    async with listening_to(converter) as listener:
        await listener.next_samples()
        converter.channels = lambda: [wave(3.0), [2048] * 600, wave(1.0)]
        await listener.next_samples(3)
        assert listener.samples[-1].currents_a.l2 is None
        assert listener.samples[-1].currents_a.l1 is not None
        converter.channels = lambda: [wave(3.0), wave(7.0), wave(1.0)]
        await listener.next_samples(3)
        assert listener.samples[-1].currents_a.l2 == pytest.approx(7.0, rel=0.02)
    messages = [record.getMessage() for record in caplog.records if "current transformer" in record.getMessage()]
    assert messages == ["current transformer 2: not-connected", "current transformer 2: measures again"]


async def test_a_clipped_clamp_counts_as_more_than_it_shows(tmp_path: Path) -> None:
    converter = FakeConverter(tmp_path)
    converter.channels = lambda: [wave(3.0), wave(16.0), wave(500.0)]
    async with listening_to(converter) as listener:
        assert (await listener.next_samples())[0].clipped


async def test_a_converter_that_gives_nothing_is_an_error(tmp_path: Path) -> None:
    converter = FakeConverter(tmp_path)
    try:
        with pytest.raises(SourceError, match="the converter delivers no samples"):
            async for _ in converter.config().open(SystemClock()).samples():
                pass
    finally:
        converter.close()
    assert converter.read("buffer/enable") == "0"


async def test_a_converter_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    source = CtConfig(clamps=(ClampConfig(channel=0),), path=tmp_path / "iio:device7").open(SystemClock())
    with pytest.raises(SourceError, match="iio:device7"):
        async for _ in source.samples():
            pass


def readers_of(node: Path) -> int:
    """Number of descriptors of this process that are open on the device file."""
    return sum(os.path.realpath(f"/proc/self/fd/{number}") == str(node) for number in os.listdir("/proc/self/fd"))


async def test_a_source_that_is_given_up_while_it_opens_the_converter_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    """The kernel gives the samples of a converter to one reader at a time."""
    converter = FakeConverter(tmp_path)
    try:
        with HeldFile(converter.path / "in_voltage_scale") as scale:
            samples = converter.config().open(SystemClock()).samples()
            first = asyncio.ensure_future(anext(samples))
            await until(lambda: scale.readers)
            asyncio.get_running_loop().call_later(0.05, scale.release)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await until(lambda: int(converter.read("buffer/length")) > 0)  # the last thing before the node is opened
            await until(lambda: converter.read("buffer/enable") == "0")
        assert readers_of(converter.node) == 1, "the fake converter itself"
    finally:
        converter.close()
    assert converter.read("buffer/enable") == "0"


@pytest.mark.parametrize("gain", [0.89, 1.11])
def test_a_calibration_beyond_ten_percent_is_another_kind_of_clamp(gain: float) -> None:
    with pytest.raises(InvalidTableError, match="gain"):
        ClampConfig.from_tree({"channel": 0, "gain": gain})


def test_a_calibrated_clamp_shows_more_or_less() -> None:
    settings = {"type": "ct", "clamps": [{"channel": 0, "gain": 1.05, "primary_a": 50, "secondary_v": 1.0}]}
    config = configured(settings)
    assert isinstance(config, CtConfig)
    assert config.clamps[0].gain == 1.05
    assert config.open(SystemClock(), SourceContext(1)) is not None
