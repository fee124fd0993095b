"""Decodes a recorded Modbus exchange: a request and its response, byte by byte as sent. No I/O."""

from __future__ import annotations

import math
import re
import struct
from enum import StrEnum
from typing import Final

from foundation.frozen import Frozen
from metering.drivers.registers import NumberType, RegisterBlock, shortest_decimal

EXCEPTION_FLAG: Final = 0x80
"""flag in the function code of an exception response (Modbus application protocol 7)"""
_NUMBER_TYPES: Final = {
    ("uint", 16): NumberType.U16,
    ("int", 16): NumberType.S16,
    ("uint", 32): NumberType.U32,
    ("int", 32): NumberType.S32,
    ("uint", 64): NumberType.U64,
    ("int", 64): NumberType.S64,
    ("float", 32): NumberType.F32,
    ("float", 64): NumberType.F64,
}


class ModbusTransport(StrEnum):
    """Transport of Modbus frames."""

    RTU = "rtu"
    """address, PDU, CRC"""
    TCP = "tcp"
    """a header with transaction and length, PDU; no checksum"""


class ModbusFrameError(ValueError):
    """The bytes are not a valid Modbus frame, or not the expected one; the message says why."""


class ReadRequest(Frozen):
    """The content of a recorded Modbus request to read registers, for `borne decode`; nothing is sent."""

    unit: int
    block: RegisterBlock
    transaction: bytes = b""
    """transaction identifier (TCP), which the response repeats"""


class ReadResponse(Frozen):
    """The content of a recorded Modbus response: the words read, or an exception code."""

    words: tuple[int, ...] = ()
    exception: int | None = None


def parse_request(frame: bytes, transport: ModbusTransport) -> ReadRequest:
    """Parse the frame of a master that requests registers.

    Raises:
        ModbusFrameError: it is damaged, or does not read registers.
    """
    unit, pdu, transaction = _split_frame(frame, transport)
    if len(pdu) != 5 or pdu[0] not in {3, 4}:
        raise ModbusFrameError("is not a request to read registers")
    function, address, count = struct.unpack(">BHH", pdu)
    return ReadRequest(unit, RegisterBlock(function, address, count), transaction)


def parse_response(frame: bytes, transport: ModbusTransport, request: ReadRequest) -> ReadResponse:
    """Parse the frame with which a meter answers this request: words, or an exception code.

    Raises:
        ModbusFrameError: it is damaged, or answers another request.
    """
    unit, pdu, transaction = _split_frame(frame, transport)
    function, count = request.block.function, request.block.count
    if (unit, transaction) != (request.unit, request.transaction) or not pdu or pdu[0] & ~EXCEPTION_FLAG != function:
        raise ModbusFrameError("is the response to another request")
    if pdu[0] & EXCEPTION_FLAG:
        if len(pdu) != 2:
            raise ModbusFrameError("is incomplete")
        return ReadResponse(exception=pdu[1])
    if len(pdu) != 2 + 2 * count or pdu[1] != 2 * count:
        raise ModbusFrameError("is incomplete, or the response to another request")
    return ReadResponse(struct.unpack(f">{count}H", pdu[2:]))


def decode_number(response: ReadResponse, layout: str) -> float | None:
    """Decode the words of a response by a layout, `float32 high word first` or `uint16`; None if they do not fit it."""
    match = re.fullmatch(r"(float|uint|int)(16|32|64)(?: (high|low) word first)?", layout.strip().lower())
    type_ = _NUMBER_TYPES.get((match[1], int(match[2]))) if match is not None else None
    if match is None or type_ is None or type_.words != len(response.words):
        return None
    words = response.words[::-1] if match[3] == "low" else response.words
    raw = struct.pack(f">{len(words)}H", *words)
    value: float = struct.unpack(type_.layout, raw)[0]
    if not type_.is_float:
        return value
    return float(shortest_decimal(type_, value, raw)) if math.isfinite(value) else None


def crc(frame: bytes) -> bytes:
    """CRC-16 of Modbus as sent; zero over a frame that ends with its CRC."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def _split_frame(frame: bytes, transport: ModbusTransport) -> tuple[int, bytes, bytes]:
    """Unit, PDU and transaction of a frame."""
    if transport is ModbusTransport.RTU:
        if len(frame) < 4 or crc(frame) != b"\0\0":
            raise ModbusFrameError("has a wrong CRC")
        return frame[0], frame[1:-2], b""
    if len(frame) < 8 or frame[2:4] != b"\0\0" or int.from_bytes(frame[4:6], "big") != len(frame) - 6:
        raise ModbusFrameError("is incomplete, or not Modbus TCP")
    return frame[6], frame[7:], frame[:2]
