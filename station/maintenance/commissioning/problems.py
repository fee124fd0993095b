"""Problems found in a commissioning step: a code for texts of the page, and a sentence for the report."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import field

from foundation.frozen import Frozen

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
Evidence = dict[str, Json]


class ProblemCause(StrEnum):
    """The code of a problem in a commissioning step; the page has a text for each in the user's language."""

    OTHER_STATION = "other-station"
    CSMS_NOT_CONNECTED = "csms-not-connected"
    SELECTOR_UNKNOWN = "selector-unknown"
    SELECTOR_ABOVE_BREAKER = "selector-above-breaker"
    TERMINALS_LOOSE = "terminals-loose"
    COVER_LOOSE = "cover-loose"
    JUMPERS = "jumpers"
    METER_SILENT = "meter-silent"
    METER_IMPLAUSIBLE = "meter-implausible"
    CLAMPS_SILENT = "clamps-silent"
    CLAMPS_WITHOUT_FIRST = "clamps-without-first"
    CLAMPS_UNSEEN = "clamps-unseen"
    LOAD_TOO_SMALL = "load-too-small"
    CLAMP_REVERSED = "clamp-reversed"
    CLAMP_OTHER_PHASE = "clamp-other-phase"
    CLAMP_WRONG = "clamp-wrong"
    ARROWS_UNCHECKED = "arrows-unchecked"
    CONTACT_UNTOLD = "contact-untold"
    CONTACT_REVERSED = "contact-reversed"
    CONTACT_WITHOUT_LIMIT = "contact-without-limit"
    NO_LOAD_MANAGEMENT = "no-load-management"
    CONNECTION_UNKNOWN = "connection-unknown"
    SAFE_CURRENT_TOO_HIGH = "safe-current-too-high"
    EVSE_BUSY = "evse-busy"
    MONITOR_FAILED = "monitor-failed"
    MONITOR_TRIPPED = "monitor-tripped"
    MONITOR_ABSENT = "monitor-absent"
    COIL_FIRST = "coil-first"
    BREAKER_STAYS = "breaker-stays"
    NO_ENERGY = "no-energy"
    PHASES_UNKNOWN = "phases-unknown"


class Problem(Frozen):
    """Why a commissioning step failed: a code for the page, and a sentence for the report."""

    cause: ProblemCause
    sentence: str
    """in English, for the report and for scripts"""
    values: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    """values for the text of the page"""
