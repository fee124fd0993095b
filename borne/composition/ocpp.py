"""Creates the station's side of OCPP: its device model, and the stack that keeps a link to the CSMS."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from borne.composition.monitoring import create_monitoring
from foundation.events import Event
from ocpp_handlers.connection.connection import CsmsAccess
from ocpp_handlers.resource_limits import resource_limit_variables
from ocpp_handlers.station_variables import DeviceModelSources, device_model
from ocpp_handlers.variables.built_in_monitors import built_in_monitors
from ocpp_handlers.variables.certificate_variables import certificate_variables
from ocpp_handlers.variables.configured_variables import ConfiguredVariable, ConfiguredVariables
from ocpp_handlers.variables.link_variables import LoginVariables, link_variables
from ocpp_handlers.variables.live_variables import (
    clock_variables,
    firmware_variables,
    grid_variables,
    housing_variables,
    queue_variables,
    storage_variables,
)
from ocpp_handlers.variables.monitored_model import MonitoredModel
from ocpp_handlers.variables.monitoring_variables import monitoring_variables
from ocpp_handlers.variables.physical_variables import Nameplate
from ocpp_handlers.variables.safe_start_variables import safe_start_variables
from ocpp_handlers.variables.variable import AttributeType, Component, Mutability
from station.core.invalid_messages import InvalidMessageCounts
from station.interfaces.part_keys import CSMS_LINK, DEVICE_MODEL, VENDOR_MESSAGES

if TYPE_CHECKING:
    from borne.composition.assembled_parts import AssembledParts
    from ocpp_handlers.stack import OcppStack
    from ocpp_handlers.variables.device_model import DeviceModel
    from ocpp_handlers.variables.variable import Variable
    from station.configuration.installation_file import Configuration
    from station.interfaces.parts import StationParts
    from station.maintenance.monitoring.variable_monitoring import VariableMonitoring


class OcppComposition:
    """Creates the OCPP side of one run of a station: device model, and with a CSMS the stack."""

    def __init__(self, assembled: AssembledParts) -> None:
        self._assembled = assembled
        core = assembled.core
        self._stack: OcppStack | None = None
        self._connected_changed: Event[None] = Event()
        self._invalid_messages = InvalidMessageCounts()
        self._access = CsmsAccess(core.network, core.credentials, core.certificates)
        self._login_variables = LoginVariables(core.credentials, core.network, core.security_events)

    @property
    def link(self) -> OcppStack | None:
        """The present OCPP stack, connected or not; None before `keep_link` has created it, and without a CSMS."""
        return self._stack

    def add_to(self, parts: StationParts, model: DeviceModel) -> None:
        """Add device model, link, DataTransfer and invalid messages to `parts`, for the routes of the API."""
        parts.add(DEVICE_MODEL, model)
        parts.add(InvalidMessageCounts, self._invalid_messages)
        parts.add_current(CSMS_LINK, lambda: self._stack)
        parts.add_current(VENDOR_MESSAGES, lambda: self._stack.data_transfer if self._stack is not None else None)

    async def create_device_model(self) -> tuple[DeviceModel, VariableMonitoring]:
        """Create the device model: all variables, with values of the installation file and those stored by the CSMS.

        Also creates and loads its monitoring.

        Raises:
            StorageError: the variables that the CSMS has written, or the monitors, cannot be read.
        """
        assembled, core = self._assembled, self._assembled.core
        configuration, settings = core.configuration, core.settings
        facts = DeviceModelSources(
            clock=core.clock,
            station=assembled.charging.station,
            tokens=assembled.charging.tokens,
            local_list=assembled.charging.local_list,
            nameplate=_nameplate(configuration, assembled.maintenance.firmware.version),
            connected=lambda: self._stack is not None and self._stack.connected,
            connected_changed=self._connected_changed,
            profiles=lambda: len(assembled.load.load.profiles.store.all()),
            profiles_changed=assembled.load.load.profiles.store.changed,
            messages=assembled.display.messages,
            screens=assembled.display.screens,
            contracts=assembled.vehicle.secc is not None,
            auxiliary=core.auxiliary,
        )
        model = device_model(settings.groups, settings.clock, facts)
        for variable in (
            *self._vehicle_variables(),
            *certificate_variables(settings.security, core.certificates, self._secc_chains, core.auxiliary),
            *link_variables(core.network, self._login_variables, settings.security, core.auxiliary),
            *resource_limit_variables(),
            *self._live_variables(),
            *safe_start_variables(core.safe_start),
        ):
            model.add(variable)
        charging = assembled.charging
        monitoring = create_monitoring(
            core, charging, MonitoredModel(model, core.auxiliary), built_in_monitors(charging.evses.values())
        )
        for variable in monitoring_variables(monitoring):
            model.add(variable)
        await ConfiguredVariables(model, core.facts("variable")).apply(configured_variables(configuration))
        await monitoring.load()
        return model, monitoring

    def _vehicle_variables(self) -> Iterable[Variable]:
        """The variables of ISO 15118; none for a station without an SECC."""
        vehicles = self._assembled.vehicle.vehicles
        if not vehicles.communications:
            return ()
        from ocpp_handlers.variables.vehicle_variables import vehicle_variables  # late: few have an SECC

        return vehicle_variables(vehicles, self._assembled.core.auxiliary)

    def _live_variables(self) -> Iterator[Variable]:
        """The variables of parts that belong to no EVSE."""
        core, load, grid = self._assembled.core, self._assembled.load, self._assembled.core.configuration.grid
        yield from storage_variables(core.space)
        yield from queue_variables(core.outbox, core.security_events)
        yield from clock_variables(self._assembled.billing.time)
        yield from firmware_variables(self._assembled.maintenance.firmware.record)
        yield from housing_variables(load.tamper, load.plate)
        if grid is not None:
            yield from grid_variables(load.load.grid, grid.phases)

    def _secc_chains(self) -> int:
        """The number of V2G chains that are installed."""
        secc = self._assembled.vehicle.secc
        return secc.certificates.count if secc is not None else 0

    async def keep_link(self, model: DeviceModel, monitoring: VariableMonitoring) -> None:
        """Create the OCPP stack and run it until cancelled: it connects to the CSMS again and again.

        From then on, the CSMS authorizes charging. Called again after a failure.
        """
        from borne.composition.ocpp_stack import StackParts  # a station without a CSMS does not load the blocks

        parts = StackParts(self._assembled, self._access, model, monitoring)
        stack, auxiliary = parts.create_stack(), self._assembled.core.auxiliary
        offline = self._assembled.load.offline
        auxiliary.subscribe(parts.invalid_own_message, self._invalid_messages.add)
        with contextlib.ExitStack() as subscriptions:
            # These publishers outlive the stack, which is built again after a failure: hence the unsubscriptions.
            subscriptions.callback(auxiliary.subscribe(parts.connected_changed, self._connected_changed.publish))
            subscriptions.callback(offline.set_connected, connected=False)
            subscriptions.callback(
                auxiliary.subscribe(parts.connected_changed, lambda _: offline.set_connected(connected=stack.connected))
            )
            login = self._login_variables
            subscriptions.callback(auxiliary.subscribe(login.identity_written, lambda _: stack.use_new_identity()))
            subscriptions.callback(auxiliary.subscribe(login.password_written, lambda _: stack.use_new_password()))
            for number, evse in self._assembled.charging.assemblies.items():
                subscriptions.callback(parts.subscribe_samples(number, evse.sampler))
            subscriptions.callback(parts.subscribe_secc_certificates())
            self._assembled.charging.station.set_csms(parts.authorization)
            if parts.vehicles is not None:
                self._assembled.vehicle.csms.present = parts.vehicles
            self._stack = stack
            await self._assembled.maintenance.firmware.trial.decided.wait()
            await stack.run()


def _nameplate(configuration: Configuration, firmware_version: str | None) -> Nameplate:
    station, grid = configuration.station, configuration.grid
    return Nameplate(
        model=station.model,
        vendor=station.vendor,
        serial_number=station.serial_number,
        firmware_version=firmware_version or station.firmware_version,
        iccid=station.iccid,
        imsi=station.imsi,
        has_reader=bool(configuration.reader),
        feed_phases=grid.phases if grid is not None else None,
        feed_fuse_a=grid.max_current_a if grid is not None else None,
    )


def configured_variables(configuration: Configuration) -> list[ConfiguredVariable]:
    """Return the [[variable]] tables of an installation file, in the order of the file."""
    return [
        ConfiguredVariable(
            Component(row.component, row.component_instance, row.evse, row.connector),
            row.variable,
            row.instance,
            AttributeType(row.attribute),
            row.value,
            Mutability(row.mutability) if row.mutability is not None else None,
        )
        for row in configuration.variable
    ]
