"""Telegrams of versions 2 and 3, which carry no checksum: what was lost on the way must show in their form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.sources import p1_capture, p1_reading
from energy.sources.p1_telegram import Telegram, TelegramParser
from tests.examples import examples

OLD = b"""/ISk5\\2ME382-1003\r
\r
0-0:96.1.1(4B414C37303035303739363336333132)\r
1-0:1.8.1(00185.123*kWh)\r
1-0:1.8.2(00084.456*kWh)\r
1-0:2.8.1(00013.789*kWh)\r
1-0:2.8.2(00019.321*kWh)\r
0-0:96.14.0(0001)\r
1-0:1.7.0(0000.00*kW)\r
1-0:2.7.0(0001.98*kW)\r
0-0:17.0.0(0999.00*kW)\r
0-0:96.3.10(1)\r
0-0:96.13.1()\r
0-0:96.13.0()\r
!\r
"""


def telegrams(data: bytes) -> list[Telegram]:
    return list(TelegramParser().feed(data))


def net_w(data: bytes) -> list[float | None]:
    return [p1_reading.read_telegram(telegram).net_w for telegram in telegrams(data) if p1_reading.believable(telegram)]


def with_parity(data: bytes) -> bytes:
    """The bytes that a port set to 8N1 reads from a 7E1 line."""
    return bytes(byte | (0x80 if byte.bit_count() % 2 else 0) for byte in data)


@pytest.mark.parametrize("form", [OLD, OLD.replace(b"\r\n", b"\n"), with_parity(OLD), OLD.replace(b")\r", b") \r")])
def test_a_whole_telegram_is_believed_in_every_form_in_which_it_may_come(form: bytes) -> None:
    assert net_w(form) == [-1980.0]


@given(at=st.integers(0, len(OLD) - 1), bit=st.integers(0, 6))
@examples(400)
def test_where_the_parity_came_along_no_flipped_bit_is_believed(at: int, bit: int) -> None:
    damaged = bytearray(with_parity(OLD))
    damaged[at] ^= 1 << bit
    assert all(value == -1980.0 for value in net_w(bytes(damaged)))
    begin, end = OLD.index(b"/"), OLD.index(b"!")
    if begin < at < end:
        assert net_w(bytes(damaged)) == []


@given(at=st.integers(0, len(OLD) - 1), bit=st.integers(4, 6))
@examples(400)
def test_without_parity_a_flipped_bit_that_makes_no_other_digit_is_not_believed(at: int, bit: int) -> None:
    """Bits 4 to 6 turn a digit into something else; of the lower ones nobody can tell."""
    damaged = bytearray(OLD)
    damaged[at] ^= 1 << bit
    assert all(value == -1980.0 for value in net_w(bytes(damaged)))


def test_what_is_missing_does_not_make_another_power() -> None:
    """Unless exactly a line is lost, from inside a number to inside the next one: one telegram does not show that."""
    line = len(b"1-0:2.7.0(0001.98*kW)\r\n") + 1  # that of the threshold is one character longer
    number = OLD.index(b"0001.98")
    for at in range(len(OLD) + 1):
        for length in range(1, 81):
            if length != line or not number <= at < number + len(b"0001.98"):
                assert set(net_w(OLD[:at] + OLD[at + length :])) <= {-1980.0}, (at, length)


def test_the_halves_of_two_telegrams_are_none() -> None:
    later = OLD.replace(b"0001.98", b"0000.00").replace(b"1.7.0(0000.00", b"1.7.0(0003.21")
    cut = OLD.index(b"1-0:2.7.0")
    assert net_w(OLD[:cut] + later[later.index(b"1-0:1.8.2") :]) == []


def test_a_version_that_has_a_checksum_is_not_believed_without_it() -> None:
    assert net_w(OLD.replace(b"0-0:96.1.1", b"1-3:0.2.8(42)\r\n0-0:96.1.1")) == []


def test_a_german_household_meter_is_read_by_the_same_numbers() -> None:
    german = b"/ESY5Q3DB1024 V3.04\r\n\r\n1-0:1.8.0*255(00052185.78*kWh)\r\n1-0:1.7.0*255(002124.86*W)\r\n!\r\n"
    assert net_w(german) == [2124.86]


@pytest.mark.parametrize(
    ("text", "is_set"),
    [
        ("0999.00*kW", False),
        ("999*A", False),
        ("999.9*kW", False),
        ("016*A", True),
        ("5750*W", True),
        ("017*kVA", True),
    ],
)
def test_a_threshold_of_999_is_none_whatever_a_watt_meter_calls_a_thousand(text: str, is_set: bool) -> None:
    (telegram,) = telegrams(OLD.replace(b"0999.00*kW", text.encode()))
    threshold = p1_reading.read_telegram(telegram).threshold
    assert threshold is not None
    assert threshold.is_set is is_set


def test_a_recording_that_somebody_treated_as_text_is_distinguished_from_a_wrong_one() -> None:
    from energy.sources.p1_telegram import crc16

    body = OLD.replace(b"0-0:96.1.1", b"1-3:0.2.8(42)\r\n0-0:96.1.1").rstrip()
    complete = body + f"{crc16(body):04X}\r\n".encode()
    assert net_w(complete) == [-1980.0]
    assert p1_capture.lost_its_line_ends(complete.replace(b"\r\n", b"\n"))
    assert not p1_capture.lost_its_line_ends(complete.replace(b"1.98", b"1.99").replace(b"\r\n", b"\n"))
    assert not p1_capture.lost_its_line_ends(complete)
