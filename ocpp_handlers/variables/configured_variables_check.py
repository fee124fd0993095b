"""Checks the [[variable]] tables of an installation file without a station, for `borne check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from foundation.clock import SystemClock
from foundation.supervision import AuxiliaryCalls
from ocpp_handlers.variables.certificate_variables import certificate_setting_variables
from ocpp_handlers.variables.configured_variables import ConfiguredVariables
from ocpp_handlers.variables.constant_variables import constant_variables
from ocpp_handlers.variables.device_model import DeviceModel, VariableNotFound
from ocpp_handlers.variables.link_variables import downgrade_variable
from ocpp_handlers.variables.setting_variables import setting_variables

if TYPE_CHECKING:
    from ocpp_handlers.variables.configured_variables import ConfiguredVariable
    from station.core.clock_settings import ClockSettings
    from station.core.setting_groups import SettingGroups
    from station.security.security_settings import SecuritySettings


def refused_variables(
    rows: Sequence[ConfiguredVariable],
    settings: SettingGroups,
    clock_settings: ClockSettings,
    security: SecuritySettings,
    *,
    sockets: bool,
) -> Iterator[tuple[int, str]]:
    """Yield the position of each row that a station would not apply, and the reason that `apply_row` raises.

    Only variables of settings and constant ones are checked: the others exist in a running station only, which logs the
    rows that it does not apply. The rows change `settings`. `sockets`: as `setting_variables`.
    """
    auxiliary = AuxiliaryCalls()
    model = DeviceModel(
        [
            *setting_variables(settings, clock_settings, SystemClock(), auxiliary, signs=True, sockets=sockets),
            *certificate_setting_variables(security, auxiliary),
            downgrade_variable(security, auxiliary),
            *constant_variables(),
        ],
        auxiliary,
    )
    configured = ConfiguredVariables(model, _NothingStored())
    for position, row in enumerate(rows):
        if isinstance(model.find(row.component, row.name, row.instance, row.attribute), VariableNotFound):
            continue
        try:
            configured.apply_row(row)
        except ValueError as error:
            yield position, str(error)


class _NothingStored:
    """The stored values of a station that no CSMS has written to."""

    async def load(self) -> dict[str, str]:
        return {}

    async def save(self, name: str, text: str, /) -> None:
        del name, text
