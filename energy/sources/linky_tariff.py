"""Decodes a Linky's tariff information: period, colours, peaks and the next day's profile. No I/O.

Source: Enedis-NOI-CPT_54E v3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from typing import Final

from energy.grid import MeterTariff, TariffColour, TariffStep
from energy.sources.tic import TicGroup

TARIFF_LABELS: Final = frozenset({"PTEC", "LTARF", "DEMAIN", "PEJP", "NTARF", "STGE", "RELAIS", "PJOURF+1", "PPOINTE"})
"""labels of the groups that are used"""

_COLOURS: Final = (None, TariffColour.BLUE, TariffColour.WHITE, TariffColour.RED)
_COLOUR_OF_LETTER: Final = {"B": TariffColour.BLUE, "W": TariffColour.WHITE, "R": TariffColour.RED}
_COLOUR_OF_WORD: Final = {"BLEU": TariffColour.BLUE, "BLAN": TariffColour.WHITE, "ROUG": TariffColour.RED}
_TEMPO_PERIOD: Final = re.compile(r"H[CP]J([BWR])\Z")
_OFF_PEAK_PERIOD: Final = re.compile(r"HC|HEURES? +CREUSES?\b")
_PEAK_PERIOD: Final = re.compile(r"HP|HEURES? +PLEINES?\b")
_FLAT_RATE_PERIOD: Final = re.compile(r"TH\.\.\Z|BASE\b")
"""the single period of a contract without cheap hours, in historique and in standard mode"""
_MOBILE_PEAK_PERIOD: Final = re.compile(r"(HN|PM)\.\.\Z|EJP|HEURES? +NORMALES?\b|POINTE\b")
"""the periods of a contract with peaks: EJP"""
_CONTACT_OF_BITS: Final = {2: False, 3: True}
"""bits 14 and 15 of a step: open, close; other values: unchanged, or as Tempo has it"""


def read_tariff(groups: Mapping[str, TicGroup]) -> MeterTariff | None:
    """Decode the tariff from the groups of a frame, by label; None if it has none (a short frame)."""
    period = _text(groups, "LTARF") or _text(groups, "PTEC")
    status = groups.get("STGE")
    if period is None and status is None:
        return None
    bits = 0 if status is None else int(status.value, 16)
    tempo = _TEMPO_PERIOD.match(period or "")
    return MeterTariff(
        period=period,
        index=_number(groups, "NTARF"),
        off_peak=_is_off_peak(period or ""),
        flat=_FLAT_RATE_PERIOD.match(period or "") is not None,
        has_peaks=_MOBILE_PEAK_PERIOD.match(period or "") is not None,
        today=_COLOUR_OF_LETTER[tempo[1]] if tempo is not None else _COLOURS[bits >> 24 & 3],
        tomorrow=_COLOUR_OF_WORD.get(_text(groups, "DEMAIN") or "", _COLOURS[bits >> 26 & 3]),
        peak_now=period == "PM.." or bool(bits >> 30 & 3),
        peak_announced="PEJP" in groups or bool(bits >> 28 & 3),
        contact_closed=_is_contact_closed(groups, bits if status is not None else None),
        next_day=_parse_steps(_text(groups, "PJOURF+1")),
        next_peak_day=_parse_steps(_text(groups, "PPOINTE")),
    )


def _text(groups: Mapping[str, TicGroup], label: str) -> str | None:
    return groups[label].value.strip() if label in groups else None


def _number(groups: Mapping[str, TicGroup], label: str) -> int | None:
    return int(groups[label].value) if label in groups else None


def _is_off_peak(period: str) -> bool | None:
    if _OFF_PEAK_PERIOD.match(period):
        return True
    return False if _PEAK_PERIOD.match(period) else None


def _is_contact_closed(groups: Mapping[str, TicGroup], bits: int | None) -> bool | None:
    """Return whether the physical dry contact is closed: relay 1 of RELAIS, or the inverse of bit 0 of STGE."""
    relays = _number(groups, "RELAIS")
    if relays is not None:
        return bool(relays & 1)
    return None if bits is None else not bits & 1


def _parse_steps(profile: str | None) -> tuple[TariffStep, ...]:
    """Parse the steps of a day (blocks HHMMSSSS); empty if one of them is invalid."""
    steps: list[TariffStep] = []
    for block in (profile or "").split():
        if block == "NONUTILE":
            continue
        try:
            at = time(int(block[:2]), int(block[2:4]))
        except ValueError:
            return ()
        action_bits = int(block[4:], 16)
        index = action_bits & 0xF
        steps.append(TariffStep(at, index if 1 <= index <= 10 else None, _CONTACT_OF_BITS.get(action_bits >> 14)))
    return tuple(steps)
