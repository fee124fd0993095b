"""The screen of the demonstration: house, car, CSMS and OCPP frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from borne.demo.bars import Bar, Chart
from energy.limit import LimitSource, tightest
from station.charging.charging_station import ChargingStation
from station.core.light_patterns import Colour, Pattern
from station.core.model import ChargingState
from station.interfaces.status_light import StatusLight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from borne.demo.demonstration import Demonstration
    from borne.demo.frames import Frames
    from borne.demo.measurements import SummaryLine
    from station.charging.evse import Evse

_STATE_STYLES = {
    ChargingState.CHARGING: "bold green3",
    ChargingState.SUSPENDED_EVSE: "yellow",
    ChargingState.SUSPENDED_EV: "cyan",
    ChargingState.EV_CONNECTED: "cyan",
    ChargingState.IDLE: "grey62",
}
_LIGHT_STYLES = {
    Colour.LIGHT_BLUE: "sky_blue1",
    Colour.BLUE: "blue1",
    Colour.GREEN: "green3",
    Colour.ORANGE: "dark_orange",
    Colour.RED: "red1",
    Colour.YELLOW: "yellow1",
    Colour.WHITE: "white",
    Colour.VIOLET: "medium_purple2",
}
_LOAD_COLOURS = {"base": "grey58", "kettle": "orange3", "oven": "red3", "car": "green3"}
_OTHER_COLOUR = "medium_purple3"
_CHART_MIN_LINES = 32
"""number of terminal lines from which the chart is shown"""
_BAR_SCALE = 4 / 3
"""length of the bars relative to the limit"""


def picture(demo: Demonstration, height: int) -> Layout:
    """Lay out the whole screen of the demonstration from its present state, for a terminal of `height` lines."""
    screen = Layout()
    rows = [Layout(_title_row(demo), size=1), Layout(_story_panel(demo), size=3), Layout(_house_panel(demo), size=4)]
    if height >= _CHART_MIN_LINES:
        chart = Chart(
            demo.grid_monitor.history,
            demo.grid_monitor.limit_a,
            demo.grid_monitor.limit_a * _BAR_SCALE,
            "grey58",
            "green3",
        )
        rows.append(Layout(_panel(chart, "grid current, last minutes"), size=10))
    middle = Layout(size=8)
    middle.split_row(Layout(_evse_panel(demo), ratio=4), Layout(_csms_panel(demo), ratio=3))
    screen.split_column(*rows, middle, Layout(_panel(_FrameList(demo.frames), "OCPP 2.0.1")))
    return screen


def summary(checks: Iterable[SummaryLine]) -> Table:
    """Return the table shown at the end: each line of the summary with its value and whether it is as expected."""
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for check in checks:
        verdict = Text("✓" if check.compared else "", "green3")
        if check.trouble is not None:
            verdict = Text(f"✗ {check.trouble}", "bold red")
        table.add_row(check.title, check.value, verdict)
    return table


def _panel(inside: RenderableType, title: str) -> Panel:
    return Panel(inside, title=title, title_align="left", border_style="grey37", box=box.ROUNDED, padding=(0, 1))


def _title_row(demo: Demonstration) -> Table:
    left = Text.assemble((" borne ", "bold white on dark_green"), "  demonstration of a charging station")
    right = Text.assemble(
        (demo.api, "grey62"), f"  {demo.time_of_day}Z ", (f"{demo.elapsed_s:5.0f} s ", "bold"), no_wrap=True
    )
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(left, right)
    return grid


def _story_panel(demo: Demonstration) -> Panel:
    sentence = Text(demo.story, style="bold", no_wrap=True, overflow="ellipsis")
    return Panel(sentence, box=box.HEAVY, border_style="cyan", padding=(0, 1))


def _house_panel(demo: Demonstration) -> Panel:
    house, limit_a = demo.world.house, demo.grid_monitor.limit_a
    car_a = demo.world.boards[1].currents_a.l1
    parts = [(name, current.l1, _LOAD_COLOURS.get(name, _OTHER_COLOUR)) for name, current in house.loads.items()]
    parts.append(("car", car_a, _LOAD_COLOURS["car"]))
    legend = Text(no_wrap=True, overflow="ellipsis")
    for name, current_a, colour in parts:
        legend.append("■ ", colour).append(f"{name} {current_a:.0f} A   ")
    total_a = sum(current_a for _, current_a, _ in parts)
    total = Text(f"{total_a:.0f} A of {limit_a:.0f} A", "bold red" if total_a > limit_a else "bold green3")
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", width=14)
    grid.add_row(Bar([(a, colour) for _, a, colour in parts], limit_a, limit_a * _BAR_SCALE), total)
    grid.add_row(legend, Text("Linky 9 kVA", "grey62"))
    return _panel(grid, "grid connection of the house")


def _table_of(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(style="grey62", no_wrap=True, min_width=7)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def _evse_panel(demo: Demonstration) -> Panel:
    parts = demo.runtime.parts
    if not parts.running:
        return _panel(Text("no power", "red"), "EVSE 1")
    evse = parts.get(ChargingStation).evses[1]
    register_wh = demo.world.boards[1].read_meter().energy_import_wh or 0.0
    drawn_a = demo.world.boards[1].currents_a.l1
    state = evse.state
    rows: list[tuple[str, RenderableType]] = [
        ("light", _light_text(parts.get(StatusLight))),
        (
            "state",
            Text.assemble(
                (state.charging_state.value, _STATE_STYLES[state.charging_state]),
                f"  pilot {state.observation.pilot.value}{'  locked' if state.observation.locked else ''}",
            ),
        ),
        ("current", Text.assemble((f"{drawn_a:.1f} A", "bold"), f" drawn, {evse.offered_a:.1f} A offered")),
        ("limit", _limit_text(evse)),
        ("charge", Text.assemble((f"{register_wh - demo.begin_wh():.1f} Wh", "bold"), " at the meter")),
        ("meter", Text(_meter_text(evse), "grey62")),
    ]
    return _panel(_table_of(rows), "EVSE 1")


def _light_text(status: StatusLight) -> Text:
    light = status.station
    blink = " blink" if light.pattern is Pattern.BLINKING else ""
    return Text.assemble(
        ("● ", f"{_LIGHT_STYLES[light.colour]}{blink}"), (f"{light.colour}, {light.pattern}: {light.reason}", "grey62")
    )


def _limit_text(evse: Evse) -> Text:
    binding = tightest(evse.limits)
    if binding is None:
        return Text("–")
    style = "yellow" if binding.source in (LimitSource.GRID, LimitSource.FAILSAFE) else "cyan"
    return Text.assemble((f"{binding.current_a:.1f} A", f"bold {style}"), f": {binding.source_text}")


def _meter_text(evse: Evse) -> str:
    if evse.meter.error is not None:
        return evse.meter.error
    power_w = evse.meter.latest.power_w if evse.meter.latest is not None else None
    return f"Modbus TCP, {power_w / 1000:.2f} kW" if power_w is not None else "Modbus TCP"


def _csms_panel(demo: Demonstration) -> Panel:
    station, bill = demo.runtime.parts.find(ChargingStation), demo.bill()
    connected = station is not None and station.csms.online
    if demo.network_cut():
        link = Text("✗ network cut", "bold red")
    else:
        link = Text("● connected", "bold green3") if connected else Text("○ connecting", "yellow")
    outbox_text = Text(f"{demo.queued} queued on disk", "bold yellow") if demo.queued else Text("empty")
    rows: list[tuple[str, RenderableType]] = [("link", link), ("outbox", outbox_text)]
    if bill is not None and bill.sequence_numbers:
        rows.append(("events", Text(f"#0 to #{bill.sequence_numbers[-1]} received")))
        energy_wh = bill.energy_wh
        rows.append(("bill", Text("open" if energy_wh is None else f"{energy_wh:.1f} Wh", "bold")))
    if demo.trouble and not connected:
        rows.append(("why", Text(demo.trouble, "grey50")))
    return _panel(_table_of(rows), "CSMS")


class _FrameList:
    """The newest frames, as many as fit."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        newest = list(self._frames.summaries)[-(options.height or 8) :]
        for frame in newest:
            text = Text(no_wrap=True, overflow="ellipsis")
            text.append(f"{frame.at} ", "grey50").append(frame.arrow, "green3" if frame.from_station else "cyan")
            if frame.answer:
                text.append(f"   ↳ {frame.action} ", "grey50").append(frame.summary, "grey62")
            else:
                text.append(f" {frame.action} ", "bold").append(frame.summary)
            yield text


def describe(demo: Demonstration) -> str:
    """The present state of EVSE 1 and house in one line, for output without a screen; `no power` if it is off."""
    parts, house = demo.runtime.parts, demo.world.house
    if not parts.running:
        return "no power"
    evse = parts.get(ChargingStation).evses[1]
    binding = tightest(evse.limits)
    why = f" ({binding.source_text})" if binding is not None and evse.offered_a else ""
    return (
        f"EVSE 1 {evse.state.charging_state.value}, pilot {evse.state.observation.pilot.value},"
        f" {evse.offered_a:.1f} A offered{why}; light {_light_text(parts.get(StatusLight)).plain[2:]};"
        f" house {house.currents_a.l1:.0f} A of {demo.grid_monitor.limit_a:.0f} A"
    )
