"""The current state of the demonstration, for its views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from borne.demo.frames import Frames
from foundation.events import Event
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from borne.demo.measurements import GridCurrentMonitor
    from borne.host_process import HostProcess
    from borne.station_runtime import StationRuntime
    from simulator.world import World


class DemoBill(Protocol):
    """The CSMS's data about the current or last transaction."""

    @property
    def numbers(self) -> list[int]:
        """The received sequence numbers, in order."""
        ...

    @property
    def energy_wh(self) -> float | None:
        """The billed energy; None before the end."""
        ...


class Remark(Frozen):
    """One line of the demonstration's output."""

    mark: str
    """one character for the kind of the line"""
    sentence: str


@dataclass(slots=True)
class Demonstration:
    """A station in its simulated world, and the story shown about it."""

    process: HostProcess
    world: World
    """the simulated hardware, house and vehicles"""
    grid_monitor: GridCurrentMonitor
    bill: Callable[[], DemoBill | None]
    network_cut: Callable[[], bool]
    begin_wh: Callable[[], float]
    """the register of the billing meter when the car arrived"""
    frames: Frames = field(default_factory=Frames)
    story: str = "The station is starting"
    """the current scene, in a sentence"""
    trouble: str = ""
    """the last warning of the station"""
    queued: int = 0
    """number of events queued for the CSMS"""
    remarks: Event[Remark] = field(default_factory=Event[Remark])
    """each remark at once, for output without a terminal"""
    _began_s: float | None = None

    @property
    def application(self) -> StationRuntime:
        """The station."""
        return self.process.station

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first call."""
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

    def show_scene(self, sentence: str) -> None:
        """Show the next sentence of the story."""
        self.story = sentence
        self.remarks.publish(Remark("»", sentence))

    def warn(self, sentence: str) -> None:
        """Show a warning of the station."""
        self.trouble = sentence
        self.remarks.publish(Remark("!", sentence))
