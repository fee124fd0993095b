"""The screen of `borne status`: at most 24 lines of 80 columns for a station with two EVSEs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from borne.support.station_status import EvseSummary, StationStatus

_STATE_STYLES: Final = {"running": "bold green", "stopped": "bold yellow", "silent": "bold red", "off": "bold yellow"}
_EVSE_STYLES: Final = {"Available": "green", "Occupied": "cyan", "Reserved": "magenta", "Faulted": "bold red"}
_MAX_PROBLEMS: Final = 3
_ID_CHARS: Final = 8
"""characters of a transaction id that are shown; --json has all"""
_LABEL_COLUMNS: Final = 10
_DAY_S: Final = 86_400


def status_screen(status: StationStatus) -> RenderableType:
    """Lay out the state of a station for a terminal."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True, min_width=_LABEL_COLUMNS)
    rows.add_column(overflow="ellipsis", no_wrap=True)
    for label, value in (*_station_rows(status), *_evse_rows(status), *_storage_rows(status)):
        rows.add_row(label, value)
    return Group(_title(status), rows, *_problem_lines(status))


def _title(status: StationStatus) -> Text:
    title = Text(no_wrap=True, overflow="ellipsis")
    title.append(status.identity, "bold")
    title.append("  ")
    title.append(status.state, _STATE_STYLES.get(status.state, ""))
    if status.state != "stopped":
        title.append("  healthy" if status.healthy else "  needs attention", "green" if status.healthy else "yellow")
    title.append(f"  {status.vendor} {status.model}", "dim")
    return title


def _station_rows(status: StationStatus) -> Iterator[tuple[str, str | Text]]:
    versions = [f"borne {status.version}"]
    if status.firmware_version not in {None, status.version}:
        versions.append(f"firmware {status.firmware_version}")
    if status.uptime_s is not None:
        versions.append(f"up {_duration(status.uptime_s)}")
    if status.pid is not None:
        versions.append(f"process {status.pid}")
    yield "Program", ", ".join(versions)
    if (unit := status.unit) is not None:
        restarts = f", {unit.restarts} restarts" if unit.restarts else ""
        yield "Service", f"{unit.name}: {unit.active} ({unit.sub}), {unit.enabled}{restarts}"
    if (boot := status.storage.last_boot) is not None:
        yield "Last boot", f"{boot.reason}, {_moment(boot.at)}"
    if (csms := status.csms) is not None:
        link = f"connected since {_moment(csms['since'] or '')}" if csms["connected"] else "not connected"
        yield "CSMS", f"{link}, {status.boot_status or 'not registered'}, security profile {csms['security_profile']}"
        yield "", csms["url"]
    elif status.state == "running":
        yield "CSMS", "none: the station is stand-alone"
    if (clock := status.clock) is not None:
        source = "the CSMS" if clock["follows_csms"] else "the machine"
        zone = f" {status.time_zone}" if status.time_zone else ""
        yield "Time", f"{_moment(status.local_time or clock['now'])}{zone}, from {source}"
    yield from _grid_rows(status)


def _grid_rows(status: StationStatus) -> Iterator[tuple[str, str | Text]]:
    if (grid := status.grid) is not None:
        limit = f" of {grid['limit_a']:.1f} A" if grid["limit_a"] is not None else ""
        age = f", {grid['age_s']:.0f} s old" if grid["age_s"] is not None else ""
        yield "Grid", f"{_currents(grid['currents_a'])}{limit}, house {_currents(grid['house_a'])}{age}"
    elif status.has_grid_meter and status.state == "running":
        yield "Grid", Text("no sample of the meter", "yellow")
    if (order := status.grid_order) is not None:
        yield "Grid order", f"at most {order['limit_w']:g} W since {_moment(order['since'])} ({order['reason']})"


def _evse_rows(status: StationStatus) -> Iterator[tuple[str, str | Text]]:
    for evse in status.evses:
        yield f"EVSE {evse.id}", _evse_state(evse)
        if evse.transaction_id is not None and evse.offered_a is not None:
            power = f" ({evse.power_w / 1000.0:.1f} kW)" if evse.power_w is not None else ""
            yield "", f"draws {_currents(evse.currents_a)}{power}, offered {evse.offered_a:g} A"
        if (limit := evse.limit) is not None:
            yield "", f"limit {limit['current_a']:g} A: {limit['words']}"


def _evse_state(evse: EvseSummary) -> Text:
    line = Text(evse.connector_status, _EVSE_STYLES.get(evse.connector_status, "yellow"))
    if not evse.in_service:
        line.append(", out of service", "yellow")
    if evse.transaction_id is None:
        return line.append(", plugged in") if evse.plugged else line
    line.append(f", {evse.charging_state}, transaction {evse.transaction_id[:_ID_CHARS]}…")
    energy = f"{evse.energy_wh / 1000.0:.3f} kWh" if evse.energy_wh is not None else "energy not known"
    return line.append(f", {energy}")


def _storage_rows(status: StationStatus) -> Iterator[tuple[str, str | Text]]:
    stored = status.storage
    size = f"{_mib(stored.database_bytes)} used" if stored.database_bytes is not None else "no records"
    free = f", {_mib(stored.free_bytes)} free" if stored.free_bytes is not None else ""
    yield "Storage", f"{size}{free}, {stored.folder}"
    waiting = [
        f"{count} {name}{'s' if count > 1 else ''}"
        for count, name in (
            (len(stored.open_transactions) if status.state == "stopped" else 0, "open transaction"),
            (stored.queued_events or 0, "transaction event"),
            (stored.queued_security_events or 0, "security event"),
        )
        if count
    ]
    yield "Waiting", ", ".join(waiting) or "nothing"
    if (update := status.firmware_update) is not None:
        yield "Firmware", f"latest update: {update['status'] or 'not decided yet'}"
    if (fault := stored.last_fault) is not None:
        place = f"EVSE {fault.evse}: " if fault.evse is not None else ""
        yield "Last fault", f"{place}{fault.fault or fault.event}, {_moment(fault.at)}"


def _problem_lines(status: StationStatus) -> Iterator[Text]:
    for problem in status.problems[:_MAX_PROBLEMS]:
        yield Text(f"! {problem}", "red", no_wrap=True, overflow="ellipsis")
    if (more := len(status.problems) - _MAX_PROBLEMS) > 0:
        yield Text(f"! and {more} more; see --json", "red")


def _currents(currents_a: list[float | None] | tuple[float | None, ...]) -> str:
    return "/".join("–" if current_a is None else f"{current_a:.1f}" for current_a in currents_a) + " A"


def _moment(iso: str) -> str:
    """A time to the second, with its offset, as people read it."""
    moment, _, fraction = iso.partition(".")
    offset = fraction.lstrip("0123456789")
    return f"{moment}{offset}".replace("T", " ").replace("+00:00", "Z")


def _duration(seconds: float) -> str:
    days, rest = divmod(int(seconds), _DAY_S)
    clock = str(timedelta(seconds=rest))
    return f"{days} d {clock}" if days else clock


def _mib(count: int | None) -> str:
    mib = (count or 0) / 1_048_576
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.1f} MiB"
