"""How good the time of a reading is: where it came from, and whether anybody vouches for it (OCMF time status)."""

from __future__ import annotations

from enum import StrEnum

from foundation.frozen import frozen


class TimeStatus(StrEnum):
    """The letters of OCMF's TM; R, relative time, is claimed by signing meters only."""

    UNKNOWN = "U"
    """never set since the start, or plainly wrong"""
    INFORMATIVE = "I"
    """from a battery, or from the CSMS: good enough for people"""
    SYNCHRONIZED = "S"
    """held to a time standard at this moment"""
    RELATIVE = "R"


class TimeSource(StrEnum):
    """What set the clock last."""

    NONE = "none"
    MACHINE = "machine"
    """the machine's own clock, as it was at the start"""
    CSMS = "csms"
    NTP = "ntp"


@frozen
class TimeQuality:
    """What is known of the clock at a moment."""

    status: TimeStatus
    source: TimeSource


UNKNOWN_TIME = TimeQuality(TimeStatus.UNKNOWN, TimeSource.NONE)
