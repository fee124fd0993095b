"""Converts the [[variable]] tables of the installation file for the device model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpp_handlers.variables.configured_variables import ConfiguredVariable
from ocpp_handlers.variables.variable import AttributeType, Component, Mutability

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration


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
