"""What the demonstration knows at any moment, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from borne.demo.frames import Frames
from foundation.events import Event
from foundation.frozen import frozen

if TYPE_CHECKING:
    from borne.demo.measurements import GridCurrentMonitor
    from borne.host_process import HostProcess
    from borne.station_runtime import StationRuntime
    from simulator.world import World


class DemoBill(Protocol):
    """What the CSMS knows of the transaction that is on, or was on last."""

    @property
    def numbers(self) -> list[int]:
        """The sequence numbers that have arrived, in order."""
        ...

    @property
    def energy_wh(self) -> float | None:
        """What is to be paid for; None before the end."""
        ...


@frozen
class Remark:
    """One line of the demonstration's output."""

    mark: str
    """one character that says of what kind it is"""
    sentence: str


@dataclass(slots=True)
class Demonstration:
    """A station in its simulated surroundings, and what has been said about it."""

    process: HostProcess
    world: World
    """its simulated surroundings"""
    grid_monitor: GridCurrentMonitor
    bill: Callable[[], DemoBill | None]
    network_cut: Callable[[], bool]
    begin_wh: Callable[[], float]
    """what the register of the billing meter showed when the car came"""
    frames: Frames = field(default_factory=Frames)
    story: str = "The station starts"
    """what happens now, in a sentence"""
    trouble: str = ""
    """the last warning of the station"""
    queued: int = 0
    """events that wait for the CSMS"""
    said: Event[Remark] = field(default_factory=Event[Remark])
    """each thing as it happens, for output without a terminal"""
    _began_s: float | None = None

    @property
    def application(self) -> StationRuntime:
        """The station."""
        return self.process.station

    @property
    def elapsed_s(self) -> float:
        """Since the curtain went up."""
        now_s = self.application.clock.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        return now_s - self._began_s

    @property
    def api(self) -> str:
        """The address of the local API."""
        return f"http://127.0.0.1:{self.process.web.port}"

    @property
    def time_of_day(self) -> str:
        """The station's time."""
        return f"{self.application.clock.now():%H:%M:%S}"

    def say(self, sentence: str) -> None:
        """Tell the story on."""
        self.story = sentence
        self.said.publish(Remark("»", sentence))

    def warn(self, sentence: str) -> None:
        """The station warns of something."""
        self.trouble = sentence
        self.said.publish(Remark("!", sentence))
