"""P1 telegrams without a wire: real ones, damaged ones, encrypted ones, and an independent parser as a witness."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.grid import GridSample, MeterTariff
from energy.sources import p1_cipher, p1_reading
from energy.sources.p1_cipher import (
    AUTHENTICATION_KEY,
    Decryptor,
    ParsedEnvelope,
    UnfinishedEnvelope,
    WrongKeyError,
    decrypt_envelope,
)
from energy.sources.p1_interpreter import P1Interpreter
from energy.sources.p1_telegram import Telegram, TelegramParser, crc16
from energy.sources.source_context import THREE_PHASES, SourceContext
from metering.reading import UNKNOWN_PHASES, Phases
from tests.examples import examples
from tests.shared import SHARED

SAMPLES = SHARED / "meters" / "samples" / "dsmr"
NOON = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)
KEY = bytes.fromhex("AA" * 16)

needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample telegrams are not on this machine")
reproducible = examples(100)

PLAINTEXT = (
    "be-fluvius-alt.txt",
    "be-fluvius-v171.txt",
    "integer-watts-t210.txt",
    "lu-smarty-units.txt",
    "lu-smarty.txt",
    "v2.2-iskra.txt",
    "v2.2-two-line-gas.txt",
    "v3-iskra.txt",
    "v4.2-kaifa-exporting.txt",
    "v4.2-kaifa.txt",
    "v5-iskra.txt",
    "v5-two-mbus.txt",
)


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def telegrams(data: bytes) -> list[Telegram]:
    return list(TelegramParser().feed(data))


def only_telegram(data: bytes) -> Telegram:
    (telegram,) = telegrams(data)
    return telegram


def build_telegram(*objects: str, version: str | None = "1-3:0.2.8(50)", crc: str | None = None) -> bytes:
    """A telegram with a right checksum, or with the one given; "" is none."""
    lines = ["/SIM5\\2TEST", "", *([version] if version else []), *objects, "!"]
    body = "\r\n".join(lines).encode()
    return body + (f"{crc16(body):04X}" if crc is None else crc).encode() + b"\r\n"


# --- bytes to telegrams


@needs_samples
@reproducible
@given(data=st.data())
def test_how_the_bytes_are_cut_changes_nothing(data: st.DataObject) -> None:
    stream = sample("derived-v5-stream.bin")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    parser = TelegramParser()
    found = [
        telegram for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for telegram in parser.feed(stream[a:b])
    ]
    assert found == telegrams(stream)
    assert [telegram.crc_ok for telegram in found] == [True, False, True]


@needs_samples
@pytest.mark.parametrize("name", PLAINTEXT)
def test_a_telegram_read_with_the_parity_left_in_is_the_same(name: str) -> None:
    original = sample(name)
    parity = bytes(byte | (0x80 if byte.bit_count() % 2 else 0) for byte in original)
    assert telegrams(parity) == telegrams(original)


@needs_samples
@pytest.mark.parametrize("name", PLAINTEXT)
def test_a_stream_that_begins_inside_a_telegram_gives_the_next_one_whole(name: str) -> None:
    original = sample(name)
    for begin in (1, len(original) // 3, len(original) - 3):
        found = [telegram for telegram in telegrams(original[begin:] + original) if telegram.believable]
        assert found == telegrams(original)


def test_a_telegram_that_breaks_off_does_not_spoil_the_next() -> None:
    complete = build_telegram("1-0:1.7.0(01.000*kW)")
    for noise in (complete[:40], complete[:40] + b"\r\n", b"\x00\xff", complete[:-4]):
        assert telegrams(noise + complete)[-1:] == [only_telegram(complete)]


@pytest.mark.parametrize("form", ["04x", "X", "x"])
def test_a_checksum_counts_as_a_number(form: str) -> None:
    body = next(text for n in range(100_000) if 0x0A00 <= crc16(text := _numbered(n)) < 0x1000)
    assert only_telegram(body + f"{crc16(body):{form}}\r\n".encode()).crc_ok
    assert not only_telegram(body + f"{crc16(body) ^ 1:{form}}\r\n".encode()).crc_ok


def _numbered(number: int) -> bytes:
    return f"/SIM5\\2TEST\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.7.0({number:06d}*W)\r\n!".encode()


def test_a_modern_telegram_without_a_checksum_is_not_believed_and_an_old_one_is() -> None:
    objects = "1-0:1.7.0(01.000*kW)"
    assert not only_telegram(build_telegram(objects, crc="")).believable
    assert not only_telegram(build_telegram(objects, version="0-0:96.1.4(50217)", crc="")).believable
    assert only_telegram(build_telegram(objects, version=None, crc="")).believable
    assert not only_telegram(build_telegram(objects, "1-0:2.7.0(01.0", version=None, crc="")).believable, (
        "a line is damaged"
    )


def test_what_never_ends_is_not_kept() -> None:
    parser = TelegramParser()
    for _ in range(300):
        assert list(parser.feed(b"/XXX5 something without an end\r\n" * 10)) == []
    assert len(parser._buffer) <= 20_000  # pyright: ignore[reportPrivateUsage]  # nothing else shows it


def test_long_text_messages_fit() -> None:
    text = "3031" * 1024
    telegram = only_telegram(build_telegram(f"0-0:96.13.0({text})", "1-0:1.7.0(01.000*kW)"))
    assert telegram.believable
    assert telegram.objects["0-0:96.13.0"] == (text,)


# --- telegrams to quantities


def read_values(*objects: str, version: str | None = "1-3:0.2.8(50)") -> p1_reading.P1Reading:
    return p1_reading.read_telegram(only_telegram(build_telegram(*objects, version=version)))


@pytest.mark.parametrize(
    ("text", "watts"),
    [
        ("01.193*kW", 1193),
        ("0001.01*kW", 1010),
        ("000000286*W", 286),
        ("01.193", 1193),
        ("000.19kW", 190),
        ("00.000*kW", 0),
        ("", None),
        ("--.---*kW", None),
        ("01.193*kX", None),
    ],
)
def test_a_power_is_in_kilowatts_unless_it_says_otherwise(text: str, watts: float | None) -> None:
    assert read_values(f"1-0:1.7.0({text})").import_w == watts


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("231102121548W", datetime(2023, 11, 2, 11, 15, 48, tzinfo=UTC)),
        ("200512135409S", datetime(2020, 5, 12, 11, 54, 9, tzinfo=UTC)),
        ("632525252525W", None),
        ("231302121548W", None),
        ("", None),
        ("2311021215", None),
    ],
)
def test_a_time_carries_its_season_and_nonsense_is_none(text: str, moment: datetime | None) -> None:
    assert p1_reading.parse_timestamp(text) == moment


def test_a_bad_gas_stamp_and_unknown_objects_spoil_nothing() -> None:
    reading = read_values(
        "1-0:1.7.0(01.000*kW)",
        "0-1:24.1.0(003)",
        "0-1:24.2.1(632525252525W)(00012.5*m3)",
        "9-9:99.99.9()",
        "0-0:96.13.0()",
    )
    assert reading.import_w == 1000
    assert (reading.sub_meters[0].read_at, reading.sub_meters[0].value) == (None, 12.5)


def test_objects_are_found_whatever_stands_before_but_not_on_a_channel_of_the_m_bus() -> None:
    assert read_values("1-1:1.7.0(00.500*kW)", "0-2:1.7.0(07.000*kW)").import_w == 500
    assert read_values("1-1:31.4.0(016*A)(010*A)").fuse == p1_reading.PowerThreshold(16.0, "A")


@pytest.mark.parametrize(
    ("objects", "fuse_a", "limiter_w"),
    [
        (["1-0:31.4.0(025*A)", "0-0:17.0.0(999.9*kW)"], 25.0, None),
        (["1-0:31.4.0(999*A)", "0-0:17.0.0(005.0*kW)"], None, 5000.0),
        (["0-0:17.0.0(016*A)"], 16.0, None),
        (["0-0:17.0.0(12.300*kVA)"], None, 12300.0),
        (["0-0:17.0.0(77.376)"], None, 77376.0),
        (["0-0:17.0.0(0999.00*kW)"], None, None),
        ([], None, None),
    ],
)
def test_thresholds_are_limits_unless_they_say_none(
    objects: list[str], fuse_a: float | None, limiter_w: float | None
) -> None:
    (sample,) = _samples(build_telegram("1-0:1.7.0(01.000*kW)", *objects))
    assert (sample.fuse_a, sample.limiter_w) == (fuse_a, limiter_w)


# --- quantities to samples


def _samples(*data: bytes, house: SourceContext = THREE_PHASES, at: datetime = NOON) -> list[GridSample]:
    interpreter = P1Interpreter(house)
    samples = [
        interpreter.process(telegram, at + timedelta(seconds=number))
        for number, telegram in enumerate(telegram for chunk in data for telegram in telegrams(chunk))
    ]
    return [sample for sample in samples if sample is not None]


@needs_samples
def test_phases_that_export_are_negative_and_no_less_than_the_stated_current() -> None:
    (reading,) = _samples(sample("v4.2-kaifa-exporting.txt"))
    assert reading.power_w == -1869
    assert reading.powers_w == Phases(-688, -778, -403)
    # 778 W at the nominal voltage are 3.4 A, more than the 3 A that the meter states.
    assert reading.currents_a == Phases(-3.0, pytest.approx(-778 / 230), -2.0)
    assert reading.signed


@needs_samples
def test_with_voltages_the_current_is_the_larger_of_power_over_voltage_and_what_is_stated() -> None:
    (reading,) = _samples(sample("v5-iskra.txt"))
    assert reading.currents_a == Phases(0.48, 0.44, 0.86)
    assert reading.voltages_v == Phases(230, 230, 229)
    assert (reading.period_s, reading.tariff) == (1.0, MeterTariff("2", index=2, off_peak=False))


@needs_samples
def test_belgium_counts_its_tariffs_the_other_way_round_and_reports_the_quarter_hour() -> None:
    (reading,) = _samples(sample("be-fluvius-alt.txt"))
    assert reading.tariff == MeterTariff("1", index=1, off_peak=False)
    assert (reading.demand_w, reading.month_peak_w, reading.breaker_open) == (52, 3064, False)


@pytest.mark.parametrize(
    ("version", "tariff", "registers_kwh", "flat"),
    [
        ("1-3:0.2.8(50)", 2, (0, 812), True),
        ("1-3:0.2.8(50)", 2, (1, 812), False),
        ("1-3:0.2.8(50)", 1, (0, 812), False),
        ("1-3:0.2.8(50)", 2, (0, 0), False),
        ("0-0:96.1.4(50217)", 1, (812, 0), True),
        ("0-0:96.1.4(50217)", 1, (812, 1), False),
    ],
)
def test_a_meter_that_has_never_counted_in_its_cheap_tariff_has_one_price(
    version: str, tariff: int, registers_kwh: tuple[int, int], flat: bool
) -> None:
    """Else a vehicle would wait for ever for hours that never come."""
    registers = [f"1-0:1.8.{number}({kwh:06}.000*kWh)" for number, kwh in enumerate(registers_kwh, start=1)]
    (reading,) = _samples(
        build_telegram("1-0:1.7.0(01.000*kW)", *registers, f"0-0:96.14.0({tariff:04})", version=version)
    )
    assert reading.tariff is not None
    assert reading.tariff.flat is flat


@needs_samples
def test_a_meter_that_reports_totals_only_gives_no_phases_of_three_and_the_only_one_of_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (three,) = _samples(sample("v2.2-iskra.txt"))
    assert (three.currents_a, three.power_w) == (UNKNOWN_PHASES, 1010)
    assert "this meter reports no values per phase, so none of the 3 phases can be limited" in caplog.text
    (single,) = _samples(sample("v2.2-iskra.txt"), house=SourceContext(1))
    assert single.currents_a == Phases(pytest.approx(1010 / 230), None, None)


def test_a_repeated_telegram_is_no_sample_and_one_without_a_time_is() -> None:
    stamped = build_telegram("0-0:1.0.0(260115130000W)", "1-0:1.7.0(01.000*kW)")
    assert len(_samples(stamped, stamped, stamped)) == 1
    old = build_telegram("1-0:1.7.0(0001.00*kW)", version=None, crc="")
    assert len(_samples(old, old, old)) == 3


def test_a_clock_that_stands_still_while_the_power_moves_is_not_followed() -> None:
    telegram = "0-0:1.0.0(260115130000W)"
    readings = _samples(*(build_telegram(telegram, f"1-0:1.7.0(0{kw}.000*kW)") for kw in (1, 2, 3)))
    assert [reading.taken_at for reading in readings] == [
        NOON,
        NOON + timedelta(seconds=1),
        NOON + timedelta(seconds=2),
    ]


def test_a_meters_time_that_is_far_off_is_not_followed() -> None:
    (reading,) = _samples(build_telegram("0-0:1.0.0(000101000000W)", "1-0:1.7.0(01.000*kW)"))
    assert reading.taken_at == NOON


def test_a_telegram_without_a_power_is_no_sample() -> None:
    assert _samples(build_telegram("1-0:1.8.1(000001.000*kWh)")) == []


@pytest.mark.parametrize(
    "object_",
    [
        f"1-0:22.7.0({'9' * 400}*kW)",  # infinite as a float: what was left of the connection was infinite too
        f"1-0:2.7.0({'9' * 400}*kW)",
        f"0-0:96.14.0({'1' * 5000})",  # more digits than an int is made of
        f"1-0:1.4.0({'9' * 400}*kW)",
    ],
)
def test_a_number_that_no_display_has_room_for_is_none(object_: str) -> None:
    telegram = only_telegram(
        build_telegram("1-0:1.7.0(00.500*kW)", "1-0:21.7.0(00.500*kW)", "1-0:32.7.0(230.0*V)", object_)
    )
    assert telegram.crc_ok
    reading = P1Interpreter(THREE_PHASES).process(telegram, NOON)
    assert reading is not None
    assert (reading.power_w, reading.tariff, reading.demand_w) == (500.0, None, None)
    assert reading.currents_a.l1 == pytest.approx(500.0 / 230.0)


# --- envelopes


def envelope(plaintext: bytes, *, counter: int = 1, control: int = 0x30, length_form: int = 2) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    title, count = b"SIM00001", counter.to_bytes(4, "big")
    encryptor = Cipher(algorithms.AES(KEY), modes.GCM(title + count)).encryptor()
    if control == 0x30:
        encryptor.authenticate_additional_data(bytes([control]) + AUTHENTICATION_KEY)
    content = encryptor.update(plaintext) + encryptor.finalize()
    tag = encryptor.tag[:12] if control == 0x30 else b""
    size = 5 + len(plaintext) + len(tag)
    length = bytes([size]) if length_form == 0 else bytes([0x80 | length_form]) + size.to_bytes(length_form, "big")
    return b"\xdb\x08" + title + length + bytes([control]) + count + content + tag


TELEGRAM = build_telegram("1-0:1.7.0(01.000*kW)")


@pytest.mark.parametrize("control", [0x30, 0x20])
@pytest.mark.parametrize("length_form", [0, 1, 2])
def test_envelopes_open_in_every_form_of_their_length(control: int, length_form: int) -> None:
    sealed = envelope(TELEGRAM, control=control, length_form=length_form)
    assert Decryptor(KEY).feed(b"noise \xdb\x08" + sealed + sealed[:5]) == [TELEGRAM]


@pytest.mark.parametrize("control", [0x30, 0x20])
def test_another_key_opens_nothing(control: int) -> None:
    parsed = p1_cipher.parse_envelope(envelope(TELEGRAM, control=control))
    assert isinstance(parsed, ParsedEnvelope)
    with pytest.raises(WrongKeyError):
        decrypt_envelope(parsed.envelope, bytes(16))
    other_decryptor = Decryptor(bytes(16))
    assert other_decryptor.feed(envelope(TELEGRAM, control=control) * 3) == []
    assert other_decryptor.refused >= 3


def test_another_countrys_authentication_key_opens_nothing_unless_it_is_given() -> None:
    parsed = p1_cipher.parse_envelope(envelope(TELEGRAM))
    assert isinstance(parsed, ParsedEnvelope)
    with pytest.raises(WrongKeyError):
        decrypt_envelope(parsed.envelope, KEY, bytes(16))
    assert decrypt_envelope(parsed.envelope, KEY, AUTHENTICATION_KEY) == TELEGRAM


@reproducible
@given(data=st.data())
def test_an_envelope_that_begins_inside_another_is_found_whatever_went_before(data: st.DataObject) -> None:
    """The opening bytes inside a ciphertext, with a length that leads far beyond, hold nothing up."""
    before = data.draw(st.binary(max_size=60)) + b"\xdb\x08SIM00001\x82\x30\x00\x30" + data.draw(st.binary(max_size=20))
    stream = before + envelope(TELEGRAM) + envelope(TELEGRAM, counter=2)
    cut = data.draw(st.integers(0, len(stream)))
    decryptor = Decryptor(KEY)
    assert decryptor.feed(stream[:cut]) + decryptor.feed(stream[cut:]) == [TELEGRAM, TELEGRAM]


@reproducible
@given(data=st.data())
def test_a_flipped_bit_in_an_envelope_opens_nothing(data: st.DataObject) -> None:
    sealed = bytearray(envelope(TELEGRAM))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert Decryptor(KEY).feed(bytes(sealed)) == []


def test_an_authenticated_envelope_that_says_it_is_not_opens_nothing() -> None:
    """One flipped bit would else leave the tag out of account."""
    sealed = envelope(TELEGRAM)
    at = sealed.index(b"\x30", 10)
    assert Decryptor(KEY).feed(sealed[:at] + b"\x20" + sealed[at + 1 :]) == []


@reproducible
@given(cut=st.integers(0, len(envelope(TELEGRAM)) - 1))
def test_an_envelope_that_is_cut_off_opens_nothing_until_the_rest_comes(cut: int) -> None:
    sealed = envelope(TELEGRAM)
    decryptor = Decryptor(KEY)
    assert decryptor.feed(sealed[:cut]) == []
    assert decryptor.feed(sealed[cut:]) == [TELEGRAM]


def test_what_may_become_an_envelope_is_waited_for() -> None:
    assert isinstance(p1_cipher.parse_envelope(b"\xdb\x08SIM"), UnfinishedEnvelope)
    assert p1_cipher.parse_envelope(b"\xdb\x08SIM00001\x85\x01\x02\x03\x04\x05\x30") is None


# --- a witness


@needs_samples
@pytest.mark.parametrize("name", [name for name in PLAINTEXT if name != "be-fluvius-alt.txt"])
def test_another_parser_reads_the_same_values(name: str) -> None:
    """dsmr-parser cannot read units without a star, which one Belgian telegram has."""
    parsers = pytest.importorskip("dsmr_parser.parsers")
    specifications = pytest.importorskip("dsmr_parser.telegram_specifications")
    chosen = {"be": "BELGIUM_FLUVIUS", "in": "V5", "lu": "LUXEMBOURG_SMARTY", "v2": "V2_2", "v3": "V3"}
    specification = getattr(specifications, chosen.get(name[:2], "V4" if name.startswith("v4") else "V5"))
    data = sample(name)
    witness = json.loads(parsers.TelegramParser(specification).parse(data.decode("latin-1")).to_json())
    reading = p1_reading.read_telegram(only_telegram(data))
    witness_values = cast("Mapping[str, Mapping[str, object]]", witness)
    checked = 0
    for key, own_value in (
        ("CURRENT_ELECTRICITY_USAGE", reading.import_w),
        ("CURRENT_ELECTRICITY_DELIVERY", reading.export_w),
        ("ELECTRICITY_USED_TARIFF_1", reading.import_registers_wh[0] if reading.import_registers_wh else None),
        ("ELECTRICITY_DELIVERED_TARIFF_2", reading.export_registers_wh[1] if reading.export_registers_wh else None),
        ("INSTANTANEOUS_ACTIVE_POWER_L1_POSITIVE", _positive(reading)),
    ):
        if key in witness_values and own_value is not None and witness_values[key]["unit"] is not None:
            factor = 1000.0 if str(witness_values[key]["unit"]).startswith("k") else 1.0
            assert float(cast("float", witness_values[key]["value"])) * factor == pytest.approx(own_value)
            checked += 1
    assert checked >= 2


def _positive(reading: p1_reading.P1Reading) -> float | None:
    if not reading.net_per_phase_w or reading.net_per_phase_w[0] is None or reading.net_per_phase_w[0] < 0:
        return None
    return reading.net_per_phase_w[0]
