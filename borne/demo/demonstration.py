"""The current state of the demonstration (`borne demo`), for its views."""

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
    """What the bundled CSMS has received of the current or last transaction."""

    @property
    def sequence_numbers(self) -> list[int]:
        """The received sequence numbers, ascending."""
        ...

    @property
    def energy_wh(self) -> float | None:
        """The energy to bill in Wh; None before the end."""
        ...


class Remark(Frozen):
    """One line of the demonstration's output without a terminal."""

    mark: str
    """one character for its kind: » scene, ! warning, → ← frame from or to the station, blank: state of the EVSE"""
    sentence: str


@dataclass(slots=True)
class Demonstration:
    """The state of `borne demo`: a station with its simulated house and vehicle, the current scene, and its output."""

    process: HostProcess
    """the process that hosts the station"""
    world: World
    """the simulated hardware, house and vehicles"""
    grid_monitor: GridCurrentMonitor
    """samples the current of the house"""
    bill: Callable[[], DemoBill | None]
    """returns what the CSMS has received of the current or last transaction; None: nothing yet"""
    network_cut: Callable[[], bool]
    """returns whether the network to the CSMS is cut"""
    begin_wh: Callable[[], float]
    """returns the register of the billing meter when the car arrived, Wh"""
    frames: Frames = field(default_factory=Frames)
    """the last OCPP frames, in short"""
    story: str = "The station is starting"
    """the current scene, in a sentence"""
    trouble: str = ""
    """the last warning of the station"""
    queued: int = 0
    """number of events that wait for delivery to the CSMS, as last polled"""
    remarks: Event[Remark] = field(default_factory=Event[Remark])
    """each remark at once, for output without a terminal"""
    _started_s: float | None = None

    @property
    def runtime(self) -> StationRuntime:
        """The runtime of the demonstrated station."""
        return self.process.station

    @property
    def elapsed_s(self) -> float:
        """Seconds of the station's clock since this property was first read."""
        now_s = self.runtime.clock.monotonic()
        if self._started_s is None:
            self._started_s = now_s
        return now_s - self._started_s

    @property
    def api(self) -> str:
        """The address of the local API, as a URL."""
        return f"http://127.0.0.1:{self.process.web.port}"

    @property
    def time_of_day(self) -> str:
        """The station's time of day in UTC, HH:MM:SS."""
        return f"{self.runtime.clock.now():%H:%M:%S}"

    def show_scene(self, sentence: str) -> None:
        """Show the next sentence of the story: store it for the screen, and publish it as a remark."""
        self.story = sentence
        self.remarks.publish(Remark("»", sentence))

    def warn(self, sentence: str) -> None:
        """Show a warning that the station logged: store it for the screen, and publish it as a remark."""
        self.trouble = sentence
        self.remarks.publish(Remark("!", sentence))
