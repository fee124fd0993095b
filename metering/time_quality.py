"""Quality of a reading's time: its source, and its status (OCMF time status)."""

from __future__ import annotations

from enum import StrEnum

from foundation.frozen import Frozen


class TimeStatus(StrEnum):
    """Time status of OCMF's TM; R (relative) is used by signing meters only."""

    UNKNOWN = "U"
    """never set since the start, or obviously wrong"""
    INFORMATIVE = "I"
    """from a battery-backed clock or the CSMS: sufficient for people"""
    SYNCHRONIZED = "S"
    """synchronised to a time standard at this moment"""
    RELATIVE = "R"


class TimeSource(StrEnum):
    """Source of the last setting of the station's clock."""

    NONE = "none"
    """set by none of these"""
    MACHINE = "machine"
    """the machine's own clock, read at the start"""
    CSMS = "csms"
    NTP = "ntp"


class TimeQuality(Frozen):
    """Quality of the station's clock at a moment: how far its time can be relied on, and who set it."""

    status: TimeStatus
    source: TimeSource


UNKNOWN_TIME = TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE)
