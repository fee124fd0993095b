"""Variables of parts that belong to no EVSE: disk, queues, clock, firmware, housing, grid meter.

All of them can be monitored: the part that owns a value publishes its changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from foundation.events import merged
from ocpp_handlers.variables.physical_variables import PHASE_NAMES, decimal_text
from ocpp_handlers.variables.variable import Component, DataType, Variable, read_only_variable
from station.security.security_events import MAX_UNSENT

if TYPE_CHECKING:
    from energy.grid import GridSample
    from energy.grid_view import GridView
    from station.billing.register_journal.time_quality import TimeQualityMonitor
    from station.load.back_plate_monitor import BackPlateMonitor
    from station.load.tamper import TamperAlarm
    from station.maintenance.firmware.record import FirmwareRecord
    from station.security.security_events import SecurityEvents
    from station.storage.outbox import Outbox
    from station.storage.storage_monitor import StorageMonitor

_BYTES_PER_MB = 1_000_000


def storage_variables(space: StorageMonitor) -> Iterator[Variable]:
    """Yield Controller.StorageFree, the free space of the storage folder's disk in megabytes (vendor variable)."""

    def free() -> str:
        return str(space.free_bytes // _BYTES_PER_MB) if space.free_bytes is not None else ""

    place = Component("Controller")
    yield _true_variable(place, "Available")
    yield read_only_variable(place, "StorageFree", DataType.INTEGER, free, unit="MB", minimum=0, changes=space.checked)


def queue_variables(outbox: Outbox, events: SecurityEvents) -> Iterator[Variable]:
    """Yield OCPPCommCtrlr.Entries of transaction events and security events: how many wait for the CSMS."""
    place = Component("OCPPCommCtrlr")
    yield read_only_variable(
        place,
        "Entries",
        DataType.INTEGER,
        lambda: str(outbox.waiting),
        "TransactionEvents",
        minimum=0,
        changes=outbox.waiting_changed,
    )
    yield read_only_variable(
        place,
        "Entries",
        DataType.INTEGER,
        lambda: str(events.waiting),
        "SecurityEvents",
        minimum=0,
        maximum=MAX_UNSENT,
        changes=events.waiting_changed,
    )


def clock_variables(time: TimeQualityMonitor) -> Iterator[Variable]:
    """Yield ClockCtrlr.Offset: seconds that the clock was behind its source when last compared (vendor variable)."""

    def offset() -> str:
        return decimal_text(time.offset.total_seconds() if time.offset is not None else None)

    yield read_only_variable(
        Component("ClockCtrlr"), "Offset", DataType.DECIMAL, offset, unit="s", changes=time.compared
    )


def firmware_variables(record: FirmwareRecord) -> Iterator[Variable]:
    """Yield FirmwareCtrlr.State: the status of the newest firmware update (FirmwareStatusEnumType); Idle: none."""

    def state() -> str:
        update = record.update
        return update.status.value if update is not None and update.status is not None else "Idle"

    yield read_only_variable(Component("FirmwareCtrlr"), "State", DataType.STRING, state, changes=record.update_changed)


def housing_variables(tamper: TamperAlarm, plate: BackPlateMonitor) -> Iterator[Variable]:
    """Yield the variables of the sensor of the SIM-card flap: Active while open, Tripped until it is acknowledged.

    None if the flap has no contact.
    """
    if not plate.has_flap_contact:
        return
    place = Component("CaseAccessSensor")
    yield _true_variable(place, "Available")
    yield read_only_variable(
        place, "Active", DataType.BOOLEAN, lambda: str(plate.flap_open).lower(), changes=plate.view_changed
    )
    yield read_only_variable(
        place, "Tripped", DataType.BOOLEAN, lambda: str(tamper.alarm).lower(), changes=tamper.alarm_changed
    )


def grid_variables(grid: GridView, phases: int) -> Iterator[Variable]:
    """Yield the state of the grid meter (ControlMetering) and its values (ElectricalFeed); none without a grid meter.

    A value that the meter does not report, and every value while it is silent, is empty.
    """
    if not grid.has_meter:
        return
    meter, feed = Component("ControlMetering"), Component("ElectricalFeed")
    changes = merged((grid.sampled, grid.meter_silence_changed))

    def sample() -> GridSample | None:
        return grid.last_sample if not grid.meter_silent else None

    def current(index: int) -> str:
        return decimal_text(
            tuple(present_sample.currents_a)[index] if (present_sample := sample()) is not None else None, 2
        )

    def voltage(index: int) -> str:
        return decimal_text(
            tuple(present_sample.voltages_v)[index] if (present_sample := sample()) is not None else None
        )

    def power() -> str:
        return decimal_text(present_sample.power_w if (present_sample := sample()) is not None else None)

    yield _true_variable(meter, "Available")
    yield read_only_variable(
        meter,
        "Problem",
        DataType.BOOLEAN,
        lambda: str(grid.meter_silent).lower(),
        changes=grid.meter_silence_changed,
    )
    yield read_only_variable(feed, "Power", DataType.DECIMAL, power, unit="W", changes=changes)
    for index, phase in enumerate(PHASE_NAMES[:phases]):
        for name, read, unit in (("ACCurrent", current, "A"), ("ACVoltage", voltage, "V")):
            yield read_only_variable(
                feed,
                name,
                DataType.DECIMAL,
                lambda read=read, index=index: read(index),
                phase,
                unit=unit,
                changes=changes,
            )


def _true_variable(place: Component, name: str) -> Variable:
    return read_only_variable(place, name, DataType.BOOLEAN, lambda: "true", constant=True)
