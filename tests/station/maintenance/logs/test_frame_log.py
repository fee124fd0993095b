"""The log of OCPP messages: bounded in memory, and secrets are masked when somebody reads it."""

from __future__ import annotations

from station.maintenance.logs.frame_log import FrameLog
from tests import fakes


class Frame:
    """A frame that counts how often its text is read."""

    def __init__(self, direction: str, raw: str) -> None:
        self.direction = direction
        self.length = len(raw)
        self.readings = 0

    @property
    def text(self) -> str:
        self.readings += 1
        return "***"

    @property
    def anonymous_text(self) -> str:
        return "…"

    @property
    def note(self) -> str:
        return ""


def test_a_frame_is_masked_only_when_somebody_reads_it() -> None:
    log, frame = FrameLog(fakes.clock()), Frame("in", "[2,…]")
    for _ in range(3):
        log.append(frame)
    newest = log.frames_after(2)
    assert frame.readings == 0
    assert [(frame.number, frame.direction, frame.text) for frame in newest] == [(3, "in", "***")]
    assert frame.readings == 1


def test_the_log_is_bounded_by_what_was_received_or_sent() -> None:
    log = FrameLog(fakes.clock(), most_characters=1_000)
    for _ in range(50):
        log.append(Frame("out", "x" * 100))
    assert [frame.number for frame in log.frames_after(0)] == [46, 47, 48, 49, 50]  # each counts 100 characters more


def test_the_newest_frame_is_kept_however_long_it_is() -> None:
    log = FrameLog(fakes.clock(), most_characters=1_000)
    for length in (10, 5_000):
        log.append(Frame("in", "x" * length))
    assert [frame.number for frame in log.frames_after(0)] == [2]
