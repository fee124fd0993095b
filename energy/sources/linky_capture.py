"""Decodes a recording of a Linky's output: each complete frame, and the bytes outside of frames. No I/O.

Source: Enedis-NOI-CPT_54E v3. Unlike the grid source, which keeps the values that short frames leave out, this
decodes each frame by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from energy.sources.tic import SEVEN_BITS, TicGroup, TicMode, believable, parse_group
from foundation.frozen import Frozen

Json = dict[str, object]

_FRAME: Final = re.compile(rb"\x02([^\x02\x03\x04]*)\x03")
_MARKS: Final = re.compile(rb"[\x02-\x04]")
_REGISTERS_OF_TARIFF: Final = (
    ("BASE",),
    ("HCHC", "HCHP"),
    ("EJPHN", "EJPHPM"),
    ("BBRHCJB", "BBRHPJB", "BBRHCJW", "BBRHPJW", "BBRHCJR", "BBRHPJR"),
)
"""energy registers of each historique tariff; their sum is the energy"""
_ALARMS: Final = ("ADPS", "ADIR1", "ADIR2", "ADIR3")
_THREE_PHASE_LABELS: Final = re.compile(r"(IINST|IMAX|ADIR|SINSTS|SMAXSN)[123](-1)?|(IRMS|URMS|UMOY)[23]|PMAX|PPOT")
"""labels that a single-phase meter never sends"""
_CONTRACT_VOLTAGE_V: Final = 200
_COLOURS: Final = ("none", "blue", "white", "red")
_SEASON_OFFSETS: Final = {"H": "+01:00", "E": "+02:00"}
_TIME_STAMP: Final = re.compile(r"([HhEe])(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\Z")


class RecordingPart(Frozen):
    """A part of a recording, a frame or the bytes outside of frames, with its groups."""

    size: int
    """bytes"""
    groups: tuple[TicGroup, ...]
    """valid groups, in order"""
    corrupt: tuple[str, ...]
    """invalid groups as sent, without LF and CR"""


class LinkyFrame(Frozen):
    """A frame of a recording, from STX to ETX."""

    offset: int
    """of its STX in the recording, in bytes"""
    content: RecordingPart

    @property
    def has_valid_groups(self) -> bool:
        """Whether the frame has a valid group."""
        return bool(self.content.groups)


class LinkyRecording(Frozen):
    """A decoded recording of a Linky's output, as `borne decode` gets it."""

    size: int
    """bytes"""
    frames: tuple[LinkyFrame, ...]
    head: RecordingPart
    """what precedes the first STX"""
    tail: RecordingPart
    """what follows the last ETX"""


def parse_recording(data: bytes) -> LinkyRecording:
    """Decode a recording, with or without parity bits; never fails."""
    plain = data.translate(SEVEN_BITS)
    first = plain.find(b"\x02")
    last = plain.rfind(b"\x03")
    head = plain if first < 0 else plain[:first]
    tail = b"" if first < 0 else plain[max(first, last + 1) :]
    frames = tuple(LinkyFrame(found.start(), _recording_part(found[0])) for found in _FRAME.finditer(plain))
    return LinkyRecording(len(data), frames, _recording_part(head), _recording_part(tail))


def _recording_part(data: bytes) -> RecordingPart:
    groups: list[TicGroup] = []
    corrupt: list[str] = []
    for begun in data.split(b"\n")[1:]:
        sent, ended, _ = _MARKS.split(begun, maxsplit=1)[0].partition(b"\r")
        group = parse_group(sent) if ended else None
        if group is not None and believable(group):
            groups.append(group)
        elif sent:
            corrupt.append(sent.decode("ascii"))
    return RecordingPart(len(data), tuple(groups), tuple(corrupt))


def recording_to_json(capture: LinkyRecording) -> Iterator[Json]:
    """Yield plain JSON values for each frame, for `borne decode`; the first and last also describe the bytes around."""
    outside = {"head_before_first_stx": capture.head, "tail_after_last_etx": capture.tail}
    around: dict[str, Json] = {
        name: {"bytes": piece.size, "valid_groups": len(piece.groups), "corrupt_groups": list(piece.corrupt)}
        for name, piece in outside.items()
        if piece.size
    }
    if not capture.frames:
        yield {"bytes": capture.size, "complete_frames": 0, **around}
    phases = 3 if any(map(_has_phase_labels, capture.frames)) else 1  # also for frames that lost groups
    for number, frame in enumerate(capture.frames, start=1):
        line: Json = {
            "offset": frame.offset,
            "valid_groups": len(frame.content.groups),
            "corrupt_groups": list(frame.content.corrupt),
            "values": {group.label: _group_to_json(group) for group in frame.content.groups},
            "interpreted": interpret_groups(frame.content.groups, phases) if frame.has_valid_groups else None,
        }
        if number == 1 and "head_before_first_stx" in around:
            line["head_before_first_stx"] = around["head_before_first_stx"]
        if number == len(capture.frames) and "tail_after_last_etx" in around:
            line["tail_after_last_etx"] = around["tail_after_last_etx"]
        yield line


def _group_to_json(group: TicGroup) -> str | dict[str, str]:
    return group.value if group.stamp is None else {"horodate": group.stamp, "value": group.value}


def _has_phase_labels(frame: LinkyFrame) -> bool:
    return any(_THREE_PHASE_LABELS.fullmatch(group.label) for group in frame.content.groups)


def interpret_groups(groups: tuple[TicGroup, ...], phases: int) -> Json:
    """Convert the groups of one frame to quantities in plain JSON values: VA, A, V and Wh, without missing ones."""
    known = {group.label: group for group in groups}
    standard = sum(group.mode is TicMode.STANDARD for group in known.values()) * 2 > len(known)
    interpreted = _standard_to_json(known, phases) if standard else _historique_to_json(known, phases)
    mode = (TicMode.STANDARD if standard else TicMode.HISTORIQUE).name.lower()
    return {"mode": mode, "phases": phases, **{key: value for key, value in interpreted.items() if value is not None}}


def _historique_to_json(known: Mapping[str, TicGroup], phases: int) -> Json:
    labels = ("IINST",) if phases == 1 else ("IINST1", "IINST2", "IINST3")
    currents = _numbers_of(known, labels)
    allowed_a = _number_of(known, "ISOUSC")
    alarms = {label: current for label in _ALARMS if (current := _number_of(known, label)) is not None}
    by_current: bool | None = None
    if allowed_a is not None and currents is not None:
        by_current = any(current is not None and current > allowed_a for current in currents)
    return {
        "meter_id": _text_of(known, "ADCO"),
        "current_a": currents,
        "apparent_import_va": _number_of(known, "PAPP"),
        "subscribed_current_a_per_phase": allowed_a,
        "reference_power_va": allowed_a * _CONTRACT_VOLTAGE_V * phases if allowed_a is not None else None,
        "import_wh": _register_sum(known),
        "over_limit": bool(alarms),
        "alarms_a": alarms or None,
        "over_limit_by_current": by_current,
        "tariff_period": _text_of(known, "PTEC"),
        "tariff_option": _text_of(known, "OPTARIF"),
        "tomorrow": _text_of(known, "DEMAIN"),
    }


def _register_sum(known: Mapping[str, TicGroup]) -> int | None:
    """The sum of the registers of a tariff; None if one of them is missing."""
    for labels in _REGISTERS_OF_TARIFF:
        if any(label in known for label in labels):
            values = [_number_of(known, label) for label in labels]
            found = [value for value in values if value is not None]
            return sum(found) if len(found) == len(labels) else None
    return None


def _standard_to_json(known: Mapping[str, TicGroup], phases: int) -> Json:
    numbers = range(1, phases + 1)
    status = _status_to_json(known)
    reference_kva, breaker_kva = _number_of(known, "PREF"), _number_of(known, "PCOUP")
    reference_va = reference_kva * 1000 if reference_kva is not None else None
    relays = _number_of(known, "RELAIS")
    return {
        "meter_id": _text_of(known, "ADSC"),
        "time": _meter_time(known),
        "current_a": _numbers_of(known, [f"IRMS{phase}" for phase in numbers]),
        "voltage_v": _numbers_of(known, [f"URMS{phase}" for phase in numbers]),
        "apparent_import_va": _number_of(known, "SINSTS"),
        "apparent_import_per_phase_va": _numbers_of(known, [f"SINSTS{phase}" for phase in numbers]),
        "apparent_export_va": _number_of(known, "SINSTI"),
        "reference_power_va": reference_va,
        "reference_current_a_per_phase_at_200v": (
            reference_va / _CONTRACT_VOLTAGE_V / phases if reference_va is not None else None
        ),
        "breaker_power_va": breaker_kva * 1000 if breaker_kva is not None else None,
        "import_wh": _number_of(known, "EAST"),
        "export_wh": _number_of(known, "EAIT"),
        "status": status,
        "over_limit": status["over_reference_power"] if status is not None else None,
        "relays_closed": [relay for relay in range(1, 9) if relays >> (relay - 1) & 1] if relays is not None else None,
        "tariff_index": _number_of(known, "NTARF"),
        "tariff_name": _words_of(known, "NGTF"),
        "tariff_period": _words_of(known, "LTARF"),
    }


def _status_to_json(known: Mapping[str, TicGroup]) -> Json | None:
    """Decode the bits of STGE."""
    if "STGE" not in known:
        return None
    bits = int(known["STGE"].value, 16)
    return {
        "dry_contact_open": bool(bits & 1),
        "breaker": bits >> 1 & 7,
        "cover_open": bool(bits >> 4 & 1),
        "overvoltage": bool(bits >> 6 & 1),
        "over_reference_power": bool(bits >> 7 & 1),
        "producer": bool(bits >> 8 & 1),
        "active_energy_negative": bool(bits >> 9 & 1),
        "supplier_index": (bits >> 10 & 0xF) + 1,
        "distributor_index": (bits >> 14 & 3) + 1,
        "clock_degraded": bool(bits >> 16 & 1),
        "standard_mode": bool(bits >> 17 & 1),
        "euridis": bits >> 19 & 3,
        "plc_state": bits >> 21 & 3,
        "plc_synchronised": bool(bits >> 23 & 1),
        "tempo_today": _COLOURS[bits >> 24 & 3],
        "tempo_tomorrow": _COLOURS[bits >> 26 & 3],
        "peak_notice": bits >> 28 & 3,
        "peak_running": bits >> 30 & 3,
    }


def _text_of(known: Mapping[str, TicGroup], label: str) -> str | None:
    return known[label].value if label in known else None


def _words_of(known: Mapping[str, TicGroup], label: str) -> str | None:
    return known[label].value.strip() if label in known else None


def _number_of(known: Mapping[str, TicGroup], label: str) -> int | None:
    text = _text_of(known, label)
    return int(text) if text is not None and text.isdigit() else None


def _numbers_of(known: Mapping[str, TicGroup], labels: tuple[str, ...] | list[str]) -> list[int | None] | None:
    values = [_number_of(known, label) for label in labels]
    return values if any(value is not None for value in values) else None


def _meter_time(known: Mapping[str, TicGroup]) -> str | None:
    """The meter's time with the offset of its season, also if the meter marks it as doubtful (lower case)."""
    found = _TIME_STAMP.match(known["DATE"].stamp or "") if "DATE" in known else None
    if found is None:
        return None
    season, *digits = found.groups()
    year, month, day, hour, minute, second = digits
    text = f"20{year}-{month}-{day}T{hour}:{minute}:{second}{_SEASON_OFFSETS[season.upper()]}"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return text
