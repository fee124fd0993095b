"""`borne decode` on recordings of which there is no sample: other countries, damaged frames, other forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from tests.borne.test_decode import Json, lines, run
from tests.command_line import Outcome


def frame(*groups: str) -> bytes:
    """A frame of historique mode, with right checks."""
    checked = (f"\n{group} {chr((sum(group.encode()) & 0x3F) + 0x20)}\r" for group in groups)
    return b"\x02" + "".join(checked).encode() + b"\x03"


def decoded(kind: str, tmp_path: Path, data: bytes, *options: str) -> tuple[Outcome, list[Json]]:
    file = tmp_path / "recording.bin"
    file.write_bytes(data)
    result = run(kind, file, *options)
    return result, lines(result)


def test_a_frame_of_three_phases_that_lost_two_of_them_is_not_read_as_one_phase(tmp_path: Path) -> None:
    valid = frame("IINST1 003", "IINST2 004", "IINST3 005")
    result, (first, second) = decoded("linky", tmp_path, valid + valid.replace(b"T2 004", b"T2 0O4"))
    assert result.exit_code == 0
    assert cast("Json", first["interpreted"])["current_a"] == [3, 4, 5]
    assert cast("Json", second["interpreted"])["current_a"] == [3, None, 5]


def test_a_short_frame_of_an_overrun_says_what_stands_in_it_and_invents_nothing(tmp_path: Path) -> None:
    result, (line,) = decoded("linky", tmp_path, frame("ADIR2 032", "IINST1 003", "IINST2 032", "IINST3 005"))
    assert result.exit_code == 0
    assert line["interpreted"] == {
        "mode": "historique",
        "phases": 3,
        "current_a": [3, 32, 5],
        "over_limit": True,
        "alarms_a": {"ADIR2": 32},
    }


def test_a_frame_of_which_nothing_is_right_is_not_interpreted(tmp_path: Path) -> None:
    valid = frame("IINST 003")
    result, (first, second) = decoded("linky", tmp_path, valid + valid.replace(b"003", b"004"))
    assert result.exit_code == 0
    assert first["interpreted"] is not None
    assert second["interpreted"] is None
    assert second["corrupt_groups"]


def test_a_frame_that_the_meter_broke_off_is_none_and_the_glued_alarm_of_old_meters_is_damaged(tmp_path: Path) -> None:
    complete = frame("IINST 003", "PAPP 00700")
    broken_off = complete[: complete.index(b"\nPAPP")] + b"\x04"
    result, (line,) = decoded("linky", tmp_path, broken_off + complete[:-1] + b"\nADPS034 B\r\x03")
    assert result.exit_code == 0
    assert line["values"] == {"IINST": "003", "PAPP": "00700"}
    assert line["corrupt_groups"] == ["ADPS034 B"]


def dlms_envelope(
    plaintext: bytes, key: bytes, authentication_key: bytes, *, form: bytes, control: int = 0x30
) -> bytes:
    """An envelope as DLMS meters make it; `form` is how its length begins."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    title, counter = b"SYSTITLE", bytes(4)
    sealing = Cipher(algorithms.AES(key), modes.GCM(title + counter)).encryptor()
    sealing.authenticate_additional_data(bytes([control]) + authentication_key)
    content = sealing.update(plaintext) + sealing.finalize()
    tag = sealing.tag[:12] if control == 0x30 else b""
    length = 5 + len(content) + len(tag)
    digits = length.to_bytes(form[0] & 0x7F, "big")
    return b"\xdb\x08" + title + form + digits + bytes([control]) + counter + content + tag


TELEGRAM = b"/ABC5\\2X\r\n\r\n1-0:1.7.0(00.500*kW)\r\n1-0:2.7.0(00.000*kW)\r\n!"


def telegram() -> bytes:
    from energy.sources.p1_telegram import crc16

    return TELEGRAM + f"{crc16(TELEGRAM):04X}\r\n".encode()


@pytest.mark.parametrize("form", [b"\x82", b"\x83", b"\x84"])
@pytest.mark.parametrize("prefix", ["", "30"])
def test_the_keys_of_another_country_open_its_telegrams_among_noise(tmp_path: Path, form: bytes, prefix: str) -> None:
    own = bytes(range(16, 32))
    stream = dlms_envelope(telegram(), bytes(16), own, form=form)
    keys = ["--key", "00" * 16, "--authentication-key", prefix + own.hex()]
    result, entries = decoded("p1", tmp_path, stream[200:] + b"\xdb\x08\x00" + stream + stream[:50], *keys)
    assert result.exit_code == 0
    opened = [cast("Json", line["interpreted"])["net_w"] for line in entries if line["interpreted"] is not None]
    assert opened == [500.0]
    wrong_key, _ = decoded("p1", tmp_path, stream, "--key", "00" * 16)
    assert wrong_key.exit_code == 1


def test_an_envelope_without_a_tag_is_believed_for_its_telegrams_checksum(tmp_path: Path) -> None:
    stream = dlms_envelope(telegram(), bytes(16), b"", form=b"\x82", control=0x20)
    result, (line,) = decoded("p1", tmp_path, stream, "--key", "00" * 16)
    assert result.exit_code == 0
    assert cast("Json", line["interpreted"])["net_w"] == 500.0
    flipped = bytearray(stream)
    flipped[-20] ^= 1
    assert decoded("p1", tmp_path, bytes(flipped), "--key", "00" * 16)[0].exit_code == 1


def test_a_telegram_whose_line_ends_were_changed_is_refused_with_the_reason(tmp_path: Path) -> None:
    result, _ = decoded("p1", tmp_path, telegram().replace(b"\r\n", b"\n"))
    assert result.exit_code == 1
    assert "the line ends of the recording were changed" in result.stderr


@pytest.mark.parametrize("digits", ["", "0"])
def test_a_checksum_may_be_written_short_or_in_small_letters(tmp_path: Path, digits: str) -> None:
    body, stated = telegram()[:-6], telegram()[-6:-2]
    for written in (stated.lower(), stated.lstrip(b"0")):
        result, _ = decoded("p1", tmp_path, body + digits.encode() * (4 - len(written)) + written)
        assert result.exit_code == 0


def test_an_image_may_have_its_addresses_in_hex_and_a_sunspec_meter_needs_no_name(tmp_path: Path) -> None:
    words = {"0x9C40": "5375", "0x9C41": "6E53", "0x9C42": "00CB", "0x9C43": "0069", "0x9C54": "FF9C", "0x9C58": "0001"}
    words |= {f"0x{0x9C42 + at:X}": "8000" for at in range(2, 107) if f"0x{0x9C42 + at:X}" not in words}
    words["0x9CAD"] = "FFFF"
    result, (line,) = decoded("modbus", tmp_path, json.dumps({"meter": "unknown", "registers": words}).encode())
    assert result.exit_code == 0
    assert line["total_power_w"] == -1000.0
    assert line["current_a"] is None
