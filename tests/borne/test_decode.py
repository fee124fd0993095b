"""`borne decode` on the sample recordings of real meters, on damaged ones, and on nonsense."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command_line import Outcome, invoke
from tests.examples import examples
from tests.shared import SHARED

SAMPLES = SHARED / "meters" / "samples"
Json = dict[str, object]

needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample recordings are not on this machine")
slowly = examples(20)


@functools.cache
def expected(kind: str) -> dict[str, Json]:
    file = SAMPLES / kind / "expected.json"
    if not file.exists():
        return {}
    document = cast("dict[str, Json]", json.loads(file.read_text()))
    return {name: value for name, value in document.items() if name != "_form"}


def run(*arguments: object) -> Outcome:
    return invoke(["decode", *map(str, arguments)])


def lines(result: Outcome) -> list[Json]:
    return [cast("Json", json.loads(line)) for line in result.stdout.splitlines()]


def json_equal(found: object, expected: object) -> bool:
    """Deep equality of JSON values; numbers within one part in a million."""
    if isinstance(found, dict) and isinstance(expected, dict):
        found_object, expected_object = cast("Json", found), cast("Json", expected)
        return found_object.keys() == expected_object.keys() and all(
            json_equal(found_object[key], expected_object[key]) for key in found_object
        )
    if isinstance(found, list) and isinstance(expected, list):
        found_list, expected_list = cast("list[object]", found), cast("list[object]", expected)
        return len(found_list) == len(expected_list) and all(map(json_equal, found_list, expected_list))
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, int | float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=1e-6)
    return found == expected


def without_keys(values: Mapping[str, object], *names: str) -> Json:
    return {name: value for name, value in values.items() if name not in names}


@needs_samples
@pytest.mark.parametrize("name", expected("linky"))
def test_every_recording_of_a_linky_says_what_is_expected_and_nothing_else(name: str) -> None:
    result = run("linky", SAMPLES / "linky" / name)
    assert (result.exit_code, result.stderr) == (0, "")
    frames = lines(result)
    no_bytes: Json = {"bytes": 0, "valid_groups": 0, "corrupt_groups": []}
    summary: Json = {
        "bytes": (SAMPLES / "linky" / name).stat().st_size,
        "complete_frames": len(frames),
        "head_before_first_stx": frames[0].pop("head_before_first_stx", no_bytes),
        "tail_after_last_etx": frames[-1].pop("tail_after_last_etx", no_bytes),
        "frames": frames,
    }
    assert json_equal(summary, expected("linky")[name])


@needs_samples
@pytest.mark.parametrize("name", expected("dsmr"))
def test_every_recording_of_a_p1_port_says_what_is_expected_and_nothing_else(name: str) -> None:
    sample = expected("dsmr")[name]
    encryption = cast("dict[str, str]", sample.get("encryption", {}))
    key = ["--key", encryption["key_hex"]] if encryption else []
    result = run("p1", SAMPLES / "dsmr" / name, *key)
    assert (result.exit_code, result.stderr) == (0, "")
    decoded = lines(result)
    if "telegrams" in sample:
        found = [(telegram["crc_ok"], cast("Json", telegram["interpreted"] or {}).get("net_w")) for telegram in decoded]
        assert found == [
            (telegram["crc_ok"], telegram["net_w"]) for telegram in cast("list[Json]", sample["telegrams"])
        ]
    else:
        assert len(decoded) == 1
        assert json_equal(decoded[0], without_keys(sample, "notes"))


@needs_samples
@pytest.mark.parametrize("name", expected("modbus"))
@pytest.mark.parametrize("with_model", [True, False])
def test_every_register_image_says_what_is_expected_and_nothing_else(name: str, with_model: bool) -> None:
    model = ["--model", name.removesuffix(".json")] if with_model else []
    result = run("modbus", SAMPLES / "modbus" / name, *model)
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(lines(result)) == 1
    assert json_equal(lines(result)[0], without_keys(expected("modbus")[name], "notes"))


@needs_samples
def test_recorded_modbus_frames_say_what_is_expected_and_the_damaged_one_nothing() -> None:
    file = SAMPLES / "modbus" / "frames.json"
    result = run("modbus", file)
    assert (result.exit_code, result.stderr) == (0, "")
    frames = cast("list[Json]", json.loads(file.read_text())["frames"])
    assert len(frames) == len(lines(result)) > 0
    for frame, decoded in zip(frames, lines(result), strict=True):
        assert decoded["name"] == frame["name"]
        assert decoded["valid"] is frame.get("valid", True)
        for key in ("value", "exception"):
            assert json_equal(decoded.get(key), frame.get(key)), (frame["name"], decoded)
        assert ("words" in decoded) is ("value" in frame)
    (of_meter,) = [line for line in lines(run("modbus", file, "--model", "pac2200")) if "values" in line]
    assert of_meter["values"] == {"total_power_w": 4748.75}


@needs_samples
@pytest.mark.parametrize("name", expected("linky"))
def test_a_recording_with_the_parity_left_in_says_the_same(name: str, tmp_path: Path) -> None:
    original = (SAMPLES / "linky" / name).read_bytes()
    with_parity_file = tmp_path / "recording.bin"
    with_parity_file.write_bytes(bytes(byte | (0x80 if byte.bit_count() % 2 else 0) for byte in original))
    assert run("linky", with_parity_file).stdout == run("linky", SAMPLES / "linky" / name).stdout


def test_the_key_of_another_meter_decrypts_nothing_and_the_error_says_so() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the sample recordings are not on this machine")
    file = SAMPLES / "dsmr" / "encrypted-t210.bin"
    wrong_key = run("p1", file, "--key", "AB" * 16)
    assert wrong_key.exit_code == 1
    assert "the telegrams cannot be decrypted with this key" in wrong_key.stderr
    assert lines(wrong_key)[0]["interpreted"] is None
    without_key = run("p1", file)
    assert without_key.exit_code == 1
    assert "--key is required" in without_key.stderr
    one_key_missing = run("p1", file, "--key", "AA" * 16, "--authentication-key", "AA" * 16)
    assert one_key_missing.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["water", "x"], "water: must be one of linky, p1, modbus"),
        (["p1", "no-such-file"], "no-such-file: cannot be read: No such file or directory"),
        (["linky", "x", "--key", "AA" * 16], "--key: is only for p1, since only P1 telegrams are encrypted"),
        (["p1", "x", "--model", "sdm630"], "--model: is only for modbus"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == sentence + "\n"


@pytest.mark.parametrize(
    ("content", "arguments", "sentence"),
    [
        (b'{"registers": {"0": "4366"}}', [], "--model: is required"),
        (b'{"registers": {"0": "4366"}}', ["--model", "water clock"], "water clock is not known"),
        (b'{"frames": []}', ["--model", "water clock"], "water clock is not known"),
    ],
)
def test_registers_of_a_meter_that_nobody_knows_are_exit_2(
    tmp_path: Path, content: bytes, arguments: list[str], sentence: str
) -> None:
    file = tmp_path / "image.json"
    file.write_bytes(content)
    result = run("modbus", file, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is no JSON"),
        (b"\x02", "it is no JSON"),
        (b"garbage", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"{}", "invalid recording"),
        (b"[1]", "invalid recording"),
        (b'{"registers": {"0": "14366"}}', "four hexadecimal digits"),
        (b'{"frames": {}}', "`frames` must be a list"),
        (b'{"frames": [{"transport": "rtu"}]}', "frame 1 needs `transport`"),
        (b'{"frames": [{"transport": "rtu", "request": "0G"}]}', "frame 1 needs `transport`"),
        (b'{"frames": ["01 04"]}', "frame 1 needs `transport`"),
    ],
)
@pytest.mark.parametrize("model", [[], ["--model", "sdm630"]])
def test_what_is_no_recording_of_registers_is_exit_1_and_why(
    tmp_path: Path, content: bytes, sentence: str, model: list[str]
) -> None:
    file = tmp_path / "image.json"
    file.write_bytes(content)
    result = run("modbus", file, *model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr


def test_frames_of_which_none_is_whole_are_reported_one_by_one_and_exit_1(tmp_path: Path) -> None:
    file = tmp_path / "frames.json"
    request = "01 04 00 00 00 02 71 CB"
    frames = [
        {"transport": "rtu", "request": request, "response": "01 04 04 43 66 33 34 1B 39"},
        {"transport": "rtu", "request": request.replace("71", "70")},
        {"transport": "rtu", "request": request},
    ]
    file.write_text(json.dumps({"frames": frames}))
    result = run("modbus", file)
    assert result.exit_code == 1
    assert result.stderr == f"{file}: no response is complete and matches its request\n"
    assert [line.get("why") for line in lines(result)] == [
        "the response has a wrong CRC",
        "the request has a wrong CRC",
        None,
    ]


def test_a_key_that_is_none_is_refused_and_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "recording.bin"
    file.write_bytes(b"")
    result = run("p1", file, "--key", "C0FFEE")
    assert result.exit_code == 2
    assert "C0FFEE" not in result.stderr + result.stdout


@pytest.mark.parametrize("kind", ["linky", "p1"])
@given(data=st.binary(max_size=2000))
@slowly
def test_noise_is_not_believed(tmp_path_factory: pytest.TempPathFactory, kind: str, data: bytes) -> None:
    file = tmp_path_factory.mktemp("noise") / "recording.bin"
    file.write_bytes(data)
    result = run(kind, file)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{file}: ")
    assert result.stderr.count("\n") == 1


def test_another_meter_than_the_one_that_was_named_is_detected_by_its_voltages() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the sample recordings are not on this machine")
    result = run("modbus", SAMPLES / "modbus" / "pac2200.json", "--model", "em340")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "so the model is not Carlo Gavazzi EM340" in result.stderr


def linky_values(result: Outcome) -> list[Json]:
    return [cast("Json", line["values"]) for line in lines(result) if "values" in line]


@needs_samples
@pytest.mark.parametrize("name", expected("linky"))
@given(data=st.data())
@slowly
def test_a_flipped_bit_costs_a_linky_groups_and_changes_no_number(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """The check has six bits: bit 6 of a character of a text for people (and of the last of BBRx) does not show."""
    original = bytearray((SAMPLES / "linky" / name).read_bytes())
    original[data.draw(st.integers(0, len(original) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file = tmp_path_factory.mktemp("flip") / "recording.bin"
    file.write_bytes(original)
    result = run("linky", file)
    assert result.exit_code in {0, 1}
    allowed: dict[str, list[object]] = {}
    for values in linky_values(run("linky", SAMPLES / "linky" / name)):
        for label, value in values.items():
            allowed.setdefault(label, []).append(value)
    for values in linky_values(result):
        for label, value in values.items():
            if label not in {"OPTARIF", "NGTF", "LTARF", "MSG1", "MSG2"}:
                assert value in allowed[label]


@needs_samples
@pytest.mark.parametrize("name", [name for name in expected("dsmr") if name[:2] not in {"v2", "v3"}])
@given(data=st.data())
@slowly
def test_a_flipped_bit_costs_a_p1_telegram_and_changes_no_number(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    original = bytearray((SAMPLES / "dsmr" / name).read_bytes())
    original[data.draw(st.integers(0, len(original) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file = tmp_path_factory.mktemp("flip") / "recording.bin"
    file.write_bytes(original)
    key = ["--key", "AA" * 16] if name.startswith("encrypted") else []
    allowed = [line["interpreted"] for line in lines(run("p1", SAMPLES / "dsmr" / name, *key))]
    result = run("p1", file, *key)
    assert all(line["interpreted"] is None or line["interpreted"] in allowed for line in lines(result))
    assert result.exit_code == (0 if any(line["interpreted"] for line in lines(result)) else 1)


@needs_samples
@pytest.mark.parametrize("name", [name for name in expected("dsmr") if not name.startswith("derived")])
@given(data=st.data())
@slowly
def test_a_p1_telegram_that_is_cut_off_gives_nothing(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    original = (SAMPLES / "dsmr" / name).read_bytes()
    cut = original[: data.draw(st.integers(0, original.rindex(b"!") if name[0] != "e" else len(original) - 1))]
    file = tmp_path_factory.mktemp("cut") / "recording.bin"
    file.write_bytes(cut)
    key = ["--key", "AA" * 16] if name.startswith("encrypted") else []
    result = run("p1", file, *key)
    assert result.exit_code == 1
    assert all(line["interpreted"] is None for line in lines(result))
