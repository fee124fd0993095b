"""The state of the station on this machine, for `borne status`: from its API if it runs, and from its storage."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import ValidationError, convert
from msgspec.structs import replace

from borne.support.local_api import ApiUnavailableError, LocalApi
from borne.support.running_process import RunningProcess, running_process
from borne.support.service_unit import ServiceUnit, service_unit
from borne.support.stored_state import StoredState, read_stored_state
from energy.limit import LimitValues
from foundation.frozen import Frozen
from foundation.json_values import is_object
from station.core.version import package_version
from station.interfaces.status_report import (
    ClockStatus,
    CsmsStatus,
    EvseStatus,
    FirmwareUpdateStatus,
    GridOrderStatus,
    GridStatus,
    SafeStartStatus,
    Status,
)

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration

_LOW_DISK_BYTES: Final = 64 * 1_048_576
_OLD_SAMPLE_S: Final = 60.0


class StatusExit(IntEnum):
    """The exit status of `borne status`; 2: arguments or installation file are rejected, as with every command."""

    HEALTHY = 0
    """the station runs, and nothing needs attention"""
    ATTENTION = 1
    """the station runs, and something needs attention"""
    STOPPED = 3
    """the station does not run"""
    SILENT = 4
    """the station runs, but its API does not answer, or requires a token"""


class EvseSummary(Frozen):
    """The state of one EVSE."""

    id: int
    """its number, from 1"""
    connector_status: str
    """as the CSMS receives it (ConnectorStatusEnumType)"""
    charging_state: str
    """ChargingStateEnumType"""
    plugged: bool
    """whether a cable or vehicle is connected"""
    in_service: bool
    """the ordered availability"""
    transaction_id: str | None
    """the open transaction; null: none"""
    energy_wh: float | None
    """energy of that transaction so far, Wh; null: none, or not known"""
    power_w: float | None
    """active power by the billing meter, W; null: not measured"""
    currents_a: tuple[float | None, ...]
    """by the billing meter, amperes on L1, L2 and L3; null: not measured"""
    offered_a: float | None
    """current offered to the vehicle, amperes per phase; null: not visible"""
    limit: LimitValues | None
    """the limit that determines the current, with its reason; null: none, or not visible"""
    faults: tuple[str, ...]
    """the faults that are present"""
    meter_error: str | None
    """why the last reading of the billing meter failed; null: it succeeded"""


class StationStatus(Frozen):
    """The output of `borne status --json`; what is not known is null."""

    state: str
    """`running`; `stopped`; `silent`: it runs, but its API gives no information; `off`: its power is cut, or it
    restarts"""
    healthy: bool
    """whether it runs and `problems` is empty"""
    problems: tuple[str, ...]
    """what needs attention, as sentences"""
    identity: str
    """the identity at the CSMS"""
    vendor: str
    """from the installation file"""
    model: str
    """from the installation file"""
    version: str
    """version of this program"""
    firmware_version: str | None
    """the version that runs"""
    stage: str | None
    """how far commissioning and activation have come"""
    pid: int | None
    """process of the station"""
    uptime_s: float | None
    """seconds since the start of that process"""
    unit: ServiceUnit | None
    """its unit of systemd; null: none"""
    boot_status: str | None
    """registration status at the CSMS (RegistrationStatusEnumType)"""
    csms: CsmsStatus | None
    """the link to the CSMS, as in /api/status; null: no CSMS, or not running"""
    clock: ClockStatus | None
    """the clock, as in /api/status"""
    local_time: str | None
    """local time of the station (ISO 8601)"""
    time_zone: str | None
    """IANA name of its time zone; empty: an offset of the settings"""
    evses: tuple[EvseSummary, ...]
    """each EVSE; empty if the station does not run"""
    has_grid_meter: bool
    """whether a grid meter is configured"""
    grid: GridStatus | None
    """the latest sample of the grid meter, as in /api/status"""
    grid_order: GridOrderStatus | None
    """the grid operator's order in force"""
    safe_start: SafeStartStatus | None
    """what is set aside after failed starts"""
    firmware_update: FirmwareUpdateStatus | None
    """the latest firmware update"""
    storage: StoredState
    """what the storage says"""

    @property
    def exit_status(self) -> StatusExit:
        """The exit status that tells this state to scripts."""
        if self.state == "stopped":
            return StatusExit.STOPPED
        if self.state == "silent":
            return StatusExit.SILENT
        return StatusExit.HEALTHY if self.healthy else StatusExit.ATTENTION


def read_station_status(
    configuration: Configuration, installation: Path, api: LocalApi, process: RunningProcess | None
) -> StationStatus:
    """Read the state of the station on this machine; blocks for a few seconds at most, and raises nothing.

    `process`: the process that runs it; None: none, and then the API is not read.
    """
    storage = Path(configuration.station.storage)
    offline = _offline(configuration, service_unit(installation), process, read_stored_state(storage))
    if process is None:
        return replace(offline, problems=_stored_problems(offline))
    try:
        report = _read_report(api, configuration.station.identity)
    except ApiUnavailableError as error:
        return replace(offline, state="silent", problems=(str(error), *_stored_problems(offline)))
    found = _online(offline, report, api)
    problems = (*_problems(found, report), *_stored_problems(found))
    return replace(found, problems=problems, healthy=not problems)


def find_process(configuration: Configuration) -> RunningProcess | None:
    """Return the process that runs the station of an installation file; None: none does."""
    return running_process(Path(configuration.station.storage))


def _offline(
    configuration: Configuration, unit: ServiceUnit | None, process: RunningProcess | None, stored: StoredState
) -> StationStatus:
    """The status as far as it is known without the API."""
    station = configuration.station
    return StationStatus(
        state="stopped" if process is None else "running",
        healthy=False,
        problems=(),
        identity=station.identity,
        vendor=station.vendor,
        model=station.model,
        version=package_version(),
        firmware_version=None,
        stage=None,
        pid=process.pid if process is not None else None,
        uptime_s=process.uptime_s if process is not None else None,
        unit=unit,
        boot_status=None,
        csms=None,
        clock=None,
        local_time=None,
        time_zone=None,
        evses=(),
        has_grid_meter=configuration.grid is not None,
        grid=None,
        grid_order=None,
        safe_start=None,
        firmware_update=None,
        storage=stored,
    )


def _read_report(api: LocalApi, identity: str) -> Status:
    """Read the status report of the API.

    Raises:
        ApiUnavailableError: there is none, or it is of another station.
    """
    body = api.get("/api/status")
    try:
        report = convert(body, Status)
    except ValidationError as error:
        raise ApiUnavailableError(f"{api.url} is no API of a station of this version: {error}") from error
    if report["identity"] != identity:
        raise ApiUnavailableError(f"{api.url} is the API of another station, {report['identity']}; use --url")
    return report


def _online(offline: StationStatus, report: Status, api: LocalApi) -> StationStatus:
    return replace(
        offline,
        state="running" if report["powered"] else "off",
        firmware_version=report.get("firmware_version"),
        stage=report.get("stage"),
        boot_status=report.get("boot_status"),
        csms=report.get("csms"),
        clock=report["clock"],
        local_time=report.get("local_time"),
        time_zone=report.get("time_zone"),
        evses=tuple(_evse(evse, api) for evse in report.get("evses", [])),
        grid=report.get("grid"),
        grid_order=report.get("grid_order"),
        safe_start=report.get("safe_start"),
        firmware_update=report.get("firmware_update"),
    )


def _evse(evse: EvseStatus, api: LocalApi) -> EvseSummary:
    meter, transaction_id = evse["meter"], evse.get("transaction_id")
    register_wh = meter["energy_import_wh"] if meter is not None else None
    return EvseSummary(
        id=evse["id"],
        connector_status=evse["connector_status"],
        charging_state=evse["charging_state"],
        plugged=evse["plugged"],
        in_service=evse["in_service"],
        transaction_id=transaction_id,
        energy_wh=_energy_wh(api, transaction_id, register_wh) if transaction_id is not None else None,
        power_w=meter["power_w"] if meter is not None else None,
        currents_a=tuple(meter["currents_a"]) if meter is not None else (),
        offered_a=evse.get("offered_a"),
        limit=evse["limit"],
        faults=tuple(evse["faults"]),
        meter_error=evse["meter_error"],
    )


def _energy_wh(api: LocalApi, transaction_id: str, register_wh: float | None) -> float | None:
    """The energy of an open transaction: its present register less that of its begin."""
    try:
        begin = api.get(f"/api/transactions/{transaction_id}").get("begin")
    except ApiUnavailableError:
        return None
    begin_wh = begin.get("register_wh") if is_object(begin) else None
    if not isinstance(begin_wh, int | float) or register_wh is None:
        return None
    return register_wh - begin_wh


def _problems(found: StationStatus, report: Status) -> list[str]:
    """What needs attention of a station that answers."""
    problems = [f"EVSE {evse.id}: {fault}" for evse in found.evses for fault in evse.faults]
    problems += [f"EVSE {evse.id}: {evse.meter_error}" for evse in found.evses if evse.meter_error is not None]
    if found.state == "off":
        problems.append("the station is off: its power is cut, or it restarts")
    if (csms := found.csms) is not None and not csms["connected"]:
        problems.append(csms["last_error"] or "the CSMS is not connected")
    elif csms is not None and found.boot_status != "Accepted":
        problems.append(f"CSMS: the registration is {found.boot_status or 'not answered yet'}")
    if found.has_grid_meter and found.state == "running":
        age_s = found.grid["age_s"] if found.grid is not None else None
        if age_s is None or age_s > _OLD_SAMPLE_S:
            problems.append("grid meter: silent")
    if (jumpers := report.get("jumpers")) is not None and jumpers["mismatch"] is not None:
        problems.append(jumpers["mismatch"])
    if found.safe_start is not None:
        problems.append(f"safe start since {found.safe_start['since']}: {found.safe_start['cause']}")
    if found.stage not in {None, "activated"}:
        problems.append(f"the station is {found.stage}: it is not in operation yet")
    return problems


def _stored_problems(found: StationStatus) -> tuple[str, ...]:
    """What needs attention in the storage, and of the service."""
    stored, unit = found.storage, found.unit
    problems: list[str] = []
    if stored.error is not None:
        problems.append(f"storage: {stored.error}")
    if stored.unreadable_rows:
        problems.append(f"storage: {stored.unreadable_rows} rows cannot be read; see borne check --storage")
    if stored.free_bytes is not None and stored.free_bytes < _LOW_DISK_BYTES:
        problems.append(f"storage: only {stored.free_bytes // 1_048_576} MiB are free")
    if found.state == "stopped" and stored.open_transactions:
        problems.append(f"{len(stored.open_transactions)} transactions are open; the next start ends them")
    if unit is not None and unit.active == "failed":
        problems.append(f"{unit.name} has failed: {unit.result}")
    return tuple(problems)
