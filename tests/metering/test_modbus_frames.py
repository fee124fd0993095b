"""Recorded Modbus exchanges: read as they were meant, and nothing of a frame that is damaged."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.drivers.modbus_frames import (
    ModbusFrameError,
    ModbusTransport,
    ReadRequest,
    ReadResponse,
    crc,
    decode_number,
    parse_request,
    parse_response,
)
from metering.drivers.registers import RegisterBlock

REQUESTED = ReadRequest(1, RegisterBlock(4, 0, 2))
REQUEST = bytes.fromhex("01 04 00 00 00 02 71 CB")
ANSWER = bytes.fromhex("01 04 04 43 66 33 34 1B 38")
REFUSAL = bytes((1, 0x84, 2)) + crc(bytes((1, 0x84, 2)))
TCP_REQUEST = bytes.fromhex("00 07 00 00 00 06 01 03 00 41 00 02")
TCP_REQUESTED = ReadRequest(1, RegisterBlock(3, 65, 2), b"\0\7")
TCP_ANSWER = bytes.fromhex("00 07 00 00 00 07 01 03 04 45 94 66 00")
WORDS = (0x4366, 0x3334)


def test_a_request_and_its_response_are_read() -> None:
    assert parse_request(REQUEST, ModbusTransport.RTU) == REQUESTED
    assert parse_response(ANSWER, ModbusTransport.RTU, REQUESTED) == ReadResponse(WORDS)
    assert parse_response(REFUSAL, ModbusTransport.RTU, REQUESTED) == ReadResponse(exception=2)
    assert parse_request(TCP_REQUEST, ModbusTransport.TCP) == TCP_REQUESTED
    assert parse_response(TCP_ANSWER, ModbusTransport.TCP, TCP_REQUESTED) == ReadResponse((0x4594, 0x6600))


@pytest.mark.parametrize(
    ("layout", "value"),
    [
        ("float32 high word first", 230.20001),
        ("FLOAT32 low word first", 4.1970814e-08),
        ("uint32 high word first", 0x43663334),
        ("int32 low word first", 0x33344366),
        ("uint16", None),  # there are two words
        ("float16", None),
        ("packed decimal", None),
    ],
)
def test_words_are_the_number_that_somebody_says_they_are(layout: str, value: float | None) -> None:
    number = decode_number(ReadResponse(WORDS), layout)
    assert number == (pytest.approx(value, rel=1e-6) if value is not None else None)


def test_what_is_no_number_is_none() -> None:
    assert decode_number(ReadResponse((0x7FC0, 0)), "float32 high word first") is None
    assert decode_number(ReadResponse((0xFFFF,)), "int16") == -1


@pytest.mark.parametrize("frame", [ANSWER, REFUSAL])
def test_no_damage_of_up_to_two_bits_is_believed_on_a_serial_line(frame: bytes) -> None:
    """Exhaustive: the CRC finds all errors of two bits in frames so short."""
    bits = len(frame) * 8
    for first in range(bits):
        for second in range(first, bits):
            damaged = int.from_bytes(frame, "big") ^ (1 << first) ^ (1 << second if second > first else 0)
            with pytest.raises(ModbusFrameError):
                parse_response(damaged.to_bytes(len(frame), "big"), ModbusTransport.RTU, REQUESTED)


@pytest.mark.parametrize(
    ("frame", "transport", "expected_request"),
    [
        (ANSWER, ModbusTransport.RTU, REQUESTED),
        (REFUSAL, ModbusTransport.RTU, REQUESTED),
        (TCP_ANSWER, ModbusTransport.TCP, TCP_REQUESTED),
    ],
)
def test_a_frame_that_is_cut_off_or_has_something_behind_it_is_refused(
    frame: bytes, transport: ModbusTransport, expected_request: ReadRequest
) -> None:
    for end in range(len(frame)):
        with pytest.raises(ModbusFrameError):
            parse_response(frame[:end], transport, expected_request)
    with pytest.raises(ModbusFrameError):
        parse_response(frame + b"\0", transport, expected_request)


def test_no_flipped_bit_of_the_head_is_believed_over_tcp_which_has_no_checksum() -> None:
    """A flipped bit of a word itself only TCP's own checksum finds."""
    head = (len(TCP_ANSWER) - 4) * 8
    for bit in range(head):
        damaged = bytearray(TCP_ANSWER)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ModbusFrameError):
            parse_response(bytes(damaged), ModbusTransport.TCP, TCP_REQUESTED)


@given(st.integers(0, 255), st.sampled_from([3, 4]), st.integers(1, 125), st.data())
def test_the_answer_to_another_request_is_refused(unit: int, function: int, count: int, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=count, max_size=count))
    body = bytes((unit, function, 2 * count)) + struct.pack(f">{count}H", *words)
    frame, request = body + crc(body), ReadRequest(unit, RegisterBlock(function, 0, count))
    assert parse_response(frame, ModbusTransport.RTU, request) == ReadResponse(tuple(words))
    for other_request in (
        ReadRequest((unit + 1) % 256, request.block),
        ReadRequest(unit, RegisterBlock(7 - function, 0, count)),
        ReadRequest(unit, RegisterBlock(function, 0, count + 1)),
    ):
        with pytest.raises(ModbusFrameError):
            parse_response(frame, ModbusTransport.RTU, other_request)


def test_what_does_not_ask_for_registers_is_no_question_for_this() -> None:
    written = bytes.fromhex("01 06 00 01 00 03")
    with pytest.raises(ModbusFrameError, match="not a request to read registers"):
        parse_request(written + crc(written), ModbusTransport.RTU)
