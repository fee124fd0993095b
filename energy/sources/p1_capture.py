"""Decodes a recording of a P1 port: each telegram, encrypted or plain, valid or not. No I/O."""

from __future__ import annotations

from datetime import datetime

from energy.sources import p1_cipher, p1_reading
from energy.sources.p1_cipher import EncryptedEnvelope, WrongKeyError
from energy.sources.p1_reading import PowerThreshold, QuarterHourPeak, SubMeter
from energy.sources.p1_telegram import Telegram, TelegramParser
from foundation.frozen import Frozen

Json = dict[str, object]


class DecryptionKeys(Frozen):
    """The keys with which encrypted telegrams of a recording are decrypted."""

    key: bytes
    """AES key, 16 bytes"""
    authentication_key: bytes = p1_cipher.AUTHENTICATION_KEY


class EncryptedTelegram(Frozen):
    """An encrypted telegram of a recording, with the attempt to decrypt it."""

    envelope: EncryptedEnvelope
    keys: DecryptionKeys | None
    """None: none were given"""
    plain_text: bytes | None
    """None without a key, or with a wrong one"""


class RecordedTelegram(Frozen):
    """One telegram of a recording: plain, decrypted, or still encrypted."""

    telegram: Telegram | None
    """None: encrypted, and not decrypted"""
    encrypted: EncryptedTelegram | None = None

    @property
    def believable(self) -> bool:
        """Whether its values are valid, by checksum or form; False if it is not decrypted."""
        return self.telegram is not None and p1_reading.believable(self.telegram)


def parse_recording(data: bytes, keys: DecryptionKeys | None = None) -> tuple[RecordedTelegram, ...]:
    """Parse the telegrams in a recording of a P1 port, in order; incomplete ones and bytes between are ignored."""
    entries: list[RecordedTelegram] = []
    begin = 0
    for at, size, sealed in _find_envelopes(data, keys):
        entries += _parse_plain(data[begin:at], None)
        entries += (
            _parse_plain(sealed.plain_text, sealed)
            if sealed.plain_text is not None
            else [RecordedTelegram(None, sealed)]
        )
        begin = at + size
    entries += _parse_plain(data[begin:], None)
    return tuple(entries)


def lost_its_line_ends(data: bytes) -> bool:
    """Return whether a recording lost its CRs, so that checksums fail: a program has treated it as text."""
    with_line_ends = data.replace(b"\n", b"\r\n")
    return b"\r\n" not in data and any(entry.believable for entry in _parse_plain(with_line_ends, None))


def _parse_plain(data: bytes, sealed: EncryptedTelegram | None) -> list[RecordedTelegram]:
    ended = data if data.endswith(b"\n") else data + b"\r\n"  # a recording may lack the end of its last line
    return [RecordedTelegram(telegram, sealed) for telegram in TelegramParser().feed(ended)]


def _find_envelopes(data: bytes, keys: DecryptionKeys | None) -> list[tuple[int, int, EncryptedTelegram]]:
    """Find envelopes: offset, size and decryption. One that cannot be decrypted does not hide one that can."""
    found_envelopes: list[tuple[int, int, EncryptedTelegram]] = []
    undecrypted_envelopes: list[tuple[int, int, EncryptedTelegram]] = []
    begin = 0
    while (at := data.find(p1_cipher.OPENING, begin)) >= 0:
        parsed = p1_cipher.parse_envelope(data[at:])
        begin = at + 1
        if isinstance(parsed, p1_cipher.ParsedEnvelope):
            sealed = _decrypt(parsed.envelope, keys)
            if sealed.plain_text is None:
                undecrypted_envelopes.append((at, parsed.size, sealed))
            else:
                found_envelopes.append((at, parsed.size, sealed))
                begin = at + parsed.size
    for undecrypted in undecrypted_envelopes:
        if all(_are_disjoint(undecrypted, found) for found in found_envelopes):
            found_envelopes.append(undecrypted)
    return sorted(found_envelopes, key=lambda found: found[0])


def _are_disjoint(first: tuple[int, int, EncryptedTelegram], second: tuple[int, int, EncryptedTelegram]) -> bool:
    return first[0] + first[1] <= second[0] or second[0] + second[1] <= first[0]


def _decrypt(envelope: EncryptedEnvelope, keys: DecryptionKeys | None) -> EncryptedTelegram:
    if keys is None:
        return EncryptedTelegram(envelope, None, None)
    try:
        return EncryptedTelegram(
            envelope, keys, p1_cipher.decrypt_envelope(envelope, keys.key, keys.authentication_key)
        )
    except WrongKeyError:
        return EncryptedTelegram(envelope, keys, None)


def telegram_to_json(entry: RecordedTelegram) -> Json:
    """Convert a telegram to plain JSON values, for `borne decode`; an invalid one without interpreted quantities."""
    result: Json = {}
    if entry.encrypted is not None:
        result["encryption"] = _encryption_to_json(entry.encrypted)
    telegram = entry.telegram
    if telegram is None:
        return result | {"crc_ok": None, "interpreted": None}
    return result | {
        "identification": telegram.identification,
        "crc_stated": telegram.crc_stated,
        "crc_computed": telegram.crc_computed,
        "crc_ok": telegram.crc_ok,
        "objects": {code: list(values) for code, values in telegram.objects.items()},
        "interpreted": interpret_telegram(telegram) if entry.believable else None,
    }


def _encryption_to_json(sealed: EncryptedTelegram) -> Json:
    envelope, keys = sealed.envelope, sealed.keys
    result: Json = {
        "system_title_hex": envelope.system_title.hex(),
        "length": envelope.length,
        "security_control": envelope.security_control,
        "counter_hex": envelope.counter.hex(),
        "tag_hex": envelope.tag.hex() or None,
    }
    if keys is None:
        return result
    return result | {
        "key_hex": keys.key.hex().upper(),
        "authentication_key_hex": keys.authentication_key.hex().upper(),
        "tag_ok": sealed.plain_text is not None if envelope.tag else None,
        "plaintext_bytes": len(sealed.plain_text) if sealed.plain_text is not None else None,
    }


def interpret_telegram(telegram: Telegram) -> Json:
    """Convert the quantities of a believable telegram to plain JSON values, in W, Wh, V and A; validates nothing.

    `version`, `time`, `import_w`, `export_w` and `net_w` are always there, null if the telegram lacks them; of the
    others, those that it lacks are left out.
    """
    reading = p1_reading.read_telegram(telegram)
    result: Json = {
        "version": reading.version,
        "time": _time_to_json(reading.taken_at),
        "import_w": reading.import_w,
        "export_w": reading.export_w,
        "net_w": reading.net_w,
    }
    peak = reading.month_peak
    further: Json = {
        "net_per_phase_w": list(reading.net_per_phase_w),
        "current_a": list(reading.currents_a),
        "voltage_v": list(reading.voltages_v),
        "import_wh_registers": list(reading.import_registers_wh),
        "export_wh_registers": list(reading.export_registers_wh),
        "import_wh_total": reading.import_wh,
        "export_wh_total": reading.export_wh,
        "tariff_indicator": reading.tariff,
        "limit_17_0_0": _threshold_to_json(reading.threshold),
        "fuse_31_4_0": _threshold_to_json(reading.fuse),
        "breaker_96_3_10": reading.breaker,
        "average_demand_w": reading.demand_w,
        "month_peak_w": peak.peak_w if peak is not None else None,
        "history_of_peaks": [_peak_to_json(peak) for peak in reading.peaks],
        "mbus": [_sub_meter_to_json(sub_meter) for sub_meter in reading.sub_meters],
    }
    if peak is not None:
        result["month_peak_time"] = _time_to_json(peak.peak_time)
    return result | {key: value for key, value in further.items() if value is not None and value != []}


def _time_to_json(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _threshold_to_json(threshold: PowerThreshold | None) -> Json | None:
    if threshold is None:
        return None
    result: Json = {"value": threshold.value, "unit": threshold.unit}
    return result if threshold.is_set else result | {"meaning": "no limit set"}


def _peak_to_json(peak: QuarterHourPeak) -> Json:
    return {"month": _time_to_json(peak.month), "peak_time": _time_to_json(peak.peak_time), "peak_w": peak.peak_w}


def _sub_meter_to_json(meter: SubMeter) -> Json:
    result: Json = {"channel": meter.channel, "type": meter.type}
    if meter.value is None:
        return result
    result |= {"time": _time_to_json(meter.read_at), "value": meter.value, "unit": meter.unit}
    if meter.read_at is not None and not p1_reading.plausible(meter.read_at):
        result["time_plausible"] = False
    return result
