"""Checks the [[variable]] tables of an installation file, for `borne check`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec.structs import replace

from borne.composition.ocpp import configured_variables
from borne.composition.station_assembly import acquire_lock, assembled_station, event_loop_at, station_runtime
from borne.station_runtime import ProcessContext
from foundation.clock import SystemClock
from ocpp_handlers.variables.configured_variables import refused_rows
from ocpp_handlers.variables.device_model import DeviceModel
from station.configuration.errors import explain_rules
from station.configuration.installation_file import load_document
from station.core.installation_file.document import RuleError
from station.core.model import BootReason
from station.interfaces.part_keys import DEVICE_MODEL
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import ReadConnections

if TYPE_CHECKING:
    from ocpp_handlers.variables.configured_variables import ConfiguredVariable
    from station.configuration.installation_file import Configuration


def describe_refused_variables(configuration: Configuration, file: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each [[variable]] table that the station would not apply, in the order of the file.

    `configuration` was loaded from `file` with `environ`. The station is assembled with all its variables, in a
    temporary folder: nothing runs, no device is opened, and nothing is written to its storage.
    """
    rows = configured_variables(configuration)
    loop = event_loop_at(configuration.simulation.rate)
    with TemporaryDirectory() as folder, asyncio.Runner(loop_factory=loop) as runner:
        refused = runner.run(_find_refused_rows(_with_empty_storage(configuration, folder), rows))
    errors = [
        RuleError(("variable", position), f"{rows[position].component.name}.{rows[position].name} {why}")
        for position, why in refused
    ]
    return explain_rules(errors, load_document(file, environ)).sentences if errors else ()


def _with_empty_storage(configuration: Configuration, folder: str) -> Configuration:
    """The same station with an empty storage, to which neither its password nor its keys are copied."""
    station = replace(configuration.station, storage=folder)
    return replace(configuration, station=station, csms=None, variable=())


async def _find_refused_rows(configuration: Configuration, rows: Sequence[ConfiguredVariable]) -> list[tuple[int, str]]:
    """The positions of the rows that a station with this configuration would not apply, and why."""
    with acquire_lock(configuration) as lock, DatabaseThread() as thread:
        process = ProcessContext(thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
        # Its hardware is neither started nor stopped: stopping it would write to the boards of a running station.
        program = station_runtime(configuration, process, lock=lock)
        async with assembled_station(program) as run:
            model = run.parts.get(DEVICE_MODEL)
            if not isinstance(model, DeviceModel):
                raise TypeError("the device model of the station is of another class")
            return list(refused_rows(model, rows))
