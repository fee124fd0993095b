"""What a station monitors by itself, compared with the variables that it has."""

from __future__ import annotations

from pathlib import Path

from ocpp_handlers.variables.built_in_monitors import built_in_monitors
from ocpp_handlers.variables.monitored_model import MonitoredModel
from station.core.model import Fault
from station.maintenance.monitoring.built_in import FIRST_CUSTOM_ID
from station.maintenance.monitoring.monitor import EventNotificationType
from station.maintenance.monitoring.monitored_variables import MonitorableVariable, VariableMissing
from tests.walk import walking
from tests.walks.house import GRID

NOT_FITTED = {"TokenReader"}


async def test_each_is_on_a_variable_that_changes_and_has_an_id_of_its_own(tmp_path: Path) -> None:
    """TC_N_06_CS, TC_N_08_CS, TC_N_41_CS, TC_N_44_CS: hard-wired and preconfigured ones, none on AvailabilityState."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], grid=GRID) as walk:
        built_in = built_in_monitors(walk.parts.station.evses.values())
        all_monitors = [*built_in.monitors, *(notification.monitor for notification in built_in.notifications)]
        model = MonitoredModel(walk.device_model, walk.application.auxiliary)
        for monitor in all_monitors:
            found = model.find(monitor.address)
            if monitor.address.component in NOT_FITTED:
                assert found is VariableMissing.COMPONENT
                continue
            assert isinstance(found, MonitorableVariable), monitor.address
            assert found.supports_monitoring, monitor.address
            assert not found.sampled, f"nobody publishes changes of {monitor.address}"
            assert monitor.address.variable != "AvailabilityState"
        ids = [monitor.id for monitor in all_monitors]
        assert len(set(ids)) == len(ids)
        assert max(ids) < FIRST_CUSTOM_ID
        kinds = [monitor.notification_type for monitor in built_in.monitors]
        assert EventNotificationType.HARD_WIRED_MONITOR in kinds
        assert EventNotificationType.PRECONFIGURED_MONITOR in kinds
        assert [monitor.id for monitor in walk.parts.monitoring.monitors()] == sorted(
            monitor.id for monitor in built_in.monitors
        )


async def test_a_notification_says_which_fault_it_is(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        notifications = built_in_monitors([walk.evse]).notifications
        (contactor,) = [
            notification for notification in notifications if notification.monitor.address.component == "PowerContactor"
        ]
        assert contactor.details().code is None
        walk.board.raise_fault(Fault.CONTACTOR_WELDED)
        await walk.until(lambda: contactor.details().code == "contactor-welded")
