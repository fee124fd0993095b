"""Checks the [[variable]] tables of an installation file, for `borne check`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from borne.station_settings import StationSettings
from borne.variable_tables import configured_variables
from ocpp_handlers.variables.configured_variables_check import refused_variables
from station.configuration.errors import explain_rules
from station.configuration.installation_file import load_document
from station.core.installation_file.document import RuleError

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration


def describe_refused_variables(configuration: Configuration, file: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each [[variable]] table that the station would not apply, in the order of the file.

    `configuration` was loaded from `file` with `environ`.
    """
    settings, rows = StationSettings(), configured_variables(configuration)
    sockets = any(not evse.attached_cable for evse in configuration.evse)
    found = refused_variables(rows, settings.groups, settings.clock, settings.security, sockets=sockets)
    errors = [
        RuleError(("variable", position), f"{rows[position].component.name}.{rows[position].name} {why}")
        for position, why in found
    ]
    return explain_rules(errors, load_document(file, environ)).sentences if errors else ()
