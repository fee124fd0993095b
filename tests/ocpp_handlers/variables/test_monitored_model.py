"""The device model as variable monitoring sees it."""

from __future__ import annotations

from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.monitored_model import MonitoredModel
from ocpp_handlers.variables.variable import Component, DataType, Mutability, create_variable
from station.maintenance.monitoring.monitor import VariableAddress
from station.maintenance.monitoring.monitored_variables import MonitorableVariable
from tests import fakes


def test_the_writes_of_a_number_that_nobody_may_read_are_counted_not_compared() -> None:
    """N07.FR.10: a Delta monitor of any value reports each write."""

    async def write(_: str) -> None:
        return None

    pin = create_variable(
        Component("Thing"), "Pin", DataType.INTEGER, Mutability.WRITE_ONLY, lambda: "", write, maximum=9_999
    )
    auxiliary = fakes.RaisingCalls()
    found = MonitoredModel(DeviceModel([pin], auxiliary), auxiliary).find(VariableAddress("thing", "pin"))
    assert isinstance(found, MonitorableVariable)
    assert (found.numeric, found.write_only, found.maximum) == (False, True, None)
