"""Each sample of each kind, damaged at each of its bytes and cut off at each: never half-believed.

Samples are read as `borne decode` reads them. Which bit is turned changes from byte to byte, so that each is tried in
each place of a telegram; tests/borne/test_decode.py draws from all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from borne import decode as decoding
from energy.sources import linky_capture, p1_capture
from foundation.clock import SystemClock
from metering.drivers import modbus_frames as exchange
from metering.drivers import register_image
from metering.drivers.models import MODELS, find_model_name
from tests.borne.test_decode import SAMPLES, Json, expected, needs_samples

KEYS = p1_capture.DecryptionKeys(bytes.fromhex("AA" * 16))
UNCHECKED = [name for name in expected("dsmr") if name[:2] in {"v2", "v3"}]
CHECKED = [name for name in expected("dsmr") if name not in UNCHECKED]
TEXTS = {"OPTARIF", "NGTF", "LTARF", "MSG1", "MSG2"}
"""of a Linky; its check has six bits, so bit 6 of a character does not show there"""
ENOUGH = 1500
"""bytes of a stream that repeats itself"""

pytestmark = needs_samples


def with_each_byte_flipped(original: bytes, bits: tuple[int, ...] = tuple(range(8))) -> Iterator[bytes]:
    """The recording with one bit turned, in one byte after the other."""
    for at in range(len(original)):
        bad = bytearray(original)
        bad[at] ^= 1 << bits[at % len(bits)]
        yield bytes(bad)


def with_parity(data: bytes) -> bytes:
    """The bytes that a port set to 8N1 reads from a 7E1 line."""
    return bytes(byte | (0x80 if byte.bit_count() % 2 else 0) for byte in data)


def telegrams(data: bytes) -> list[object]:
    """The values of the valid telegrams in the recording of a P1 port."""
    decoded = (p1_capture.telegram_to_json(entry)["interpreted"] for entry in p1_capture.parse_recording(data, KEYS))
    return [telegram for telegram in decoded if telegram is not None]


def frames(data: bytes) -> list[Json]:
    """The groups of each complete Linky frame."""
    return [
        cast("Json", line["values"])
        for line in linky_capture.recording_to_json(linky_capture.parse_recording(data))
        if "values" in line
    ]


@pytest.mark.parametrize("name", CHECKED)
def test_no_bit_of_a_p1_telegram_with_a_checksum_can_be_turned_unseen(name: str) -> None:
    original = (SAMPLES / "dsmr" / name).read_bytes()
    intact = telegrams(original)
    assert intact
    for bad in with_each_byte_flipped(original):
        assert all(telegram in intact for telegram in telegrams(bad))


@pytest.mark.parametrize("name", UNCHECKED)
def test_no_bit_of_a_p1_telegram_without_one_can_be_turned_where_the_parity_came_along(name: str) -> None:
    """Without parity a digit may become another: nothing on the wire could tell."""
    original = (SAMPLES / "dsmr" / name).read_bytes()
    intact = telegrams(original)
    assert telegrams(with_parity(original)) == intact
    for bad in with_each_byte_flipped(with_parity(original)):
        assert all(telegram in intact for telegram in telegrams(bad))


@pytest.mark.parametrize("name", expected("dsmr"))
def test_a_p1_telegram_that_is_cut_off_anywhere_says_nothing(name: str) -> None:
    original = (SAMPLES / "dsmr" / name).read_bytes()
    intact = telegrams(original)
    for end in range(len(original)):
        decoded = telegrams(original[:end])
        assert decoded == intact[: len(decoded)]


@pytest.mark.parametrize("name", expected("linky"))
def test_no_bit_of_a_linky_can_be_turned_into_another_number(name: str) -> None:
    stream = (SAMPLES / "linky" / name).read_bytes()
    known: dict[str, list[object]] = {}
    head = stream[: stream.index(b"\x02")]  # of a frame whose beginning was missed; a turned bit may begin one there
    for frame in [*frames(stream), *frames(b"\x02" + head + b"\x03")]:
        for label, value in frame.items():
            known.setdefault(label, []).append(value)
    original = stream[:ENOUGH]
    for bad in with_each_byte_flipped(original, tuple(range(7))):
        for frame in frames(bad):
            assert all(value in known[label] for label, value in frame.items() if label not in TEXTS)


@pytest.mark.parametrize("name", expected("linky"))
def test_a_linky_that_is_cut_off_anywhere_has_only_the_frames_that_were_whole(name: str) -> None:
    original = (SAMPLES / "linky" / name).read_bytes()[:ENOUGH]
    intact = frames(original)
    for end in range(len(original)):
        decoded = frames(original[:end])
        assert len(decoded) == original[original.find(b"\x02") : end].count(b"\x03")
        assert decoded == intact[: len(decoded)]


@pytest.mark.parametrize("name", expected("modbus"))
def test_a_register_that_is_missing_costs_the_values_that_stand_in_it_and_changes_none(name: str) -> None:
    document = json.loads((SAMPLES / "modbus" / name).read_text())
    words = {int(address): int(register, 16) for address, register in document["registers"].items()}
    model = find_model_name(document["meter"])
    assert model is not None
    read = partial(register_image.decode_image, model=MODELS[model], taken_at=SystemClock().now())
    functions = frozenset(document.get("functions", [3, 4]))
    full_reading = read(register_image.RegisterImage(functions, words))
    assert full_reading is not None
    full_json = register_image.image_to_json(full_reading)
    cost = 0
    for missing in words:
        rest = {address: register for address, register in words.items() if address != missing}
        found = read(register_image.RegisterImage(functions, rest))
        if found is None:  # the register that locates the others is missing
            continue
        for key, value in register_image.image_to_json(found).items():
            cost += value != full_json[key]
            assert value == full_json[key] or value is None or is_poorer(value, full_json[key])
    assert cost > 0


def is_poorer(row: object, complete: object) -> bool:
    """Whether a row of phases equals the complete row, except that some phases are unknown."""
    if not isinstance(row, list) or not isinstance(complete, list):
        return False
    pairs = zip(cast("list[object]", row), cast("list[object]", complete), strict=True)
    return all(value is None or value == true for value, true in pairs)


@pytest.mark.parametrize("name", expected("modbus"))
def test_a_register_image_that_is_cut_off_is_no_image(name: str, tmp_path: Path) -> None:
    text, file = (SAMPLES / "modbus" / name).read_text().rstrip(), tmp_path / name
    for end in range(0, len(text), 17):
        file.write_text(text[:end])
        assert decoding.decode_recording(decoding.DecodeRequest("modbus", file)) == decoding.DecodedMeterRecording(
            (), "it is no JSON"
        )


def test_no_bit_of_a_response_on_a_serial_line_can_be_turned_and_none_be_missing() -> None:
    recorded = json.loads((SAMPLES / "modbus" / "frames.json").read_text())["frames"]
    responses = 0
    for frame in recorded:
        transport = exchange.ModbusTransport(frame["transport"])
        if "response" not in frame:
            continue
        request = exchange.parse_request(bytes.fromhex(frame["request"]), transport)
        original = bytes.fromhex(frame["response"])
        damaged = [original[:end] for end in range(len(original))]
        if transport is exchange.ModbusTransport.RTU and frame.get("valid", True):
            damaged += [
                bytes(b ^ (1 << bit if at == i else 0) for i, b in enumerate(original))
                for at in range(len(original))
                for bit in range(8)
            ]
        for bad in damaged:
            responses += 1
            with pytest.raises(exchange.ModbusFrameError):
                exchange.parse_response(bad, transport, request)
    assert responses > 100
