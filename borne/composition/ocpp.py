"""Builds the station's side of OCPP: its device model, and the stack that keeps a link to the CSMS."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ocpp_handlers.connection.connection import CsmsAccess
from ocpp_handlers.resource_limits import resource_limit_variables
from ocpp_handlers.station_variables import DeviceModelSources, device_model
from ocpp_handlers.variables.certificate_variables import certificate_variables
from ocpp_handlers.variables.configured_variables import ConfiguredVariable, ConfiguredVariables
from ocpp_handlers.variables.device_model import AttributeType, Component, Mutability
from ocpp_handlers.variables.link_variables import PasswordVariable, link_variables
from ocpp_handlers.variables.physical_variables import Nameplate
from ocpp_handlers.wire import timestamps
from station.interfaces.part_keys import CSMS_LINK, VENDOR_MESSAGES
from station.storage.fact_store import FactStore

if TYPE_CHECKING:
    from borne.life import Life
    from borne.station_runtime import StationRuntime
    from ocpp_handlers.variables.device_model import DeviceModel
    from station.configuration.installation_file import Configuration
    from station.storage.database import Database


class OcppComposition:
    """Builds the OCPP side of a station."""

    def __init__(self, life: Life, program: StationRuntime) -> None:
        self._life = life
        self._program = program
        identity = program.configuration.station.identity
        self._access = CsmsAccess(identity, life.network, life.credentials, life.certificates)
        self._password = PasswordVariable(identity, life.credentials, life.security_events)

    async def describe(self, database: Database) -> DeviceModel:
        """Create the device model, with the values of the installation file.

        Raises:
            StorageError: the variables that the CSMS has written cannot be read.
        """
        life, configuration = self._life, self._program.configuration
        settings = life.settings
        facts = DeviceModelSources(
            now=lambda: timestamps.encode(life.clock.now()),
            station=life.station,
            nameplate=_nameplate(configuration, life.firmware.version),
            connected=lambda: life.link is not None and life.link.connected,
            profiles=lambda: len(life.load.profiles.store.all()),
        )
        model = device_model(settings.groups, settings.clock, facts)
        for variable in (
            *certificate_variables(settings.security, life.certificates),
            *link_variables(self._access, self._password, settings.security),
            *resource_limit_variables(),
        ):
            model.add(variable)
        await ConfiguredVariables(model, FactStore(database, "variable")).apply(_rows(configuration))
        return model

    async def keep_link(self, model: DeviceModel) -> None:
        """Build the OCPP stack and keep the link; charging does not wait for it."""
        from borne.composition.ocpp_stack import StackParts  # a station without a CSMS does not load the blocks

        parts = StackParts(self._life, self._program, self._access, model)
        stack = parts.stack()
        with contextlib.ExitStack() as subscriptions:
            # These publishers outlive the stack, which is built again after a failure: hence the unsubscriptions.
            subscriptions.callback(self._password.written.subscribe(lambda _: stack.use_new_password()))
            for evse in self._life.station.evses.values():
                subscriptions.callback(parts.report_samples(evse.id, evse.sampler))
            self._life.station.set_csms(parts.authorization)
            self._life.link = stack
            self._life.parts.add(CSMS_LINK, stack)
            self._life.parts.add(VENDOR_MESSAGES, stack.data_transfer)
            await stack.run()


def _nameplate(configuration: Configuration, firmware_version: str | None) -> Nameplate:
    who, grid = configuration.station, configuration.grid
    return Nameplate(
        model=who.model,
        vendor=who.vendor,
        serial_number=who.serial_number,
        firmware_version=firmware_version or who.firmware_version,
        iccid=who.iccid,
        imsi=who.imsi,
        has_reader=bool(configuration.reader),
        feed_phases=grid.phases if grid is not None else None,
        feed_fuse_a=grid.max_current_a if grid is not None else None,
    )


def _rows(configuration: Configuration) -> list[ConfiguredVariable]:
    """The [[variable]] tables of the installation file."""
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
