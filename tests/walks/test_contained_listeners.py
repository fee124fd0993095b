"""Nothing that fails in an auxiliary part may end a charge: each of their listeners fails once while a car charges."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation.events import Event
from foundation.supervision import ContainedSubscription
from simulator.vehicle import VehicleModel
from tests.reachable import reachable_instances
from tests.walk import Walk, walking
from tests.walks.house import GRID
from tests.walks.visit import visiting

LARGE: dict[str, Any] = {
    "evse": [{"id": 1}, {"id": 2}],
    "grid": GRID,
    "grid_order": {
        "type": "dry-contact",
        "polarity": "closed-dims",
        "chip": "simulated",
        "line": 1,
        "unsupervised": True,
    },
    "display": {"evses": [2], "output": [{"type": "mqtt"}]},
    "mqtt": {"host": "127.0.0.1", "port": 1},
    "prices": {"energy_per_kwh": 0.3},
}
"""a station with all kinds of parts, without a broker"""
AUXILIARY = ("ocpp_handlers.", "station.interfaces.", "station.display.", "station.maintenance.", "simulator.")


class _FailsOnce:
    """A listener that fails at its first call, and then calls the listener that it replaces."""

    def __init__(self, contained: ContainedSubscription[Any]) -> None:
        listener = contained.listener
        assert listener is not None, "the subscription has not ended"
        self._listener = listener
        self.name = name_of(listener)
        self.failed = False

    def __call__(self, value: object) -> None:
        if not self.failed:
            self.failed = True
            raise KeyError(self.name)
        self._listener(value)


def name_of(listener: Callable[..., object]) -> str:
    """Return module and qualified name of a function or method."""
    function: Any = listener.func if isinstance(listener, functools.partial) else listener
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def break_listeners(walk: Walk) -> dict[ContainedSubscription[Any], _FailsOnce]:
    """Make each contained listener of the station fail once."""
    auxiliary, found = walk.application.auxiliary, dict[ContainedSubscription[Any], _FailsOnce]()
    listeners: list[ContainedSubscription[Any]] = reachable_instances(walk.application, ContainedSubscription)
    for listener in listeners:
        if listener.calls is auxiliary:
            found[listener] = listener.listener = _FailsOnce(listener)
    return found


async def test_each_listener_of_the_auxiliary_parts_fails_once_and_the_charge_goes_on(tmp_path: Path) -> None:
    async with walking(tmp_path, **LARGE) as walk, visiting(walk) as api:
        await walk.accepted()
        for variable in walk.device_model:
            if variable.supports_monitoring:
                walk.device_model.observe(variable)
        await walk.plug()
        await walk.present()
        await walk.charging()
        broken = break_listeners(walk)
        assert len(broken) > 200, "the walk finds the listeners"
        begin_wh = walk.board.register_wh
        await walk.advance(20.0)
        assert walk.application.running
        await walk.set_variable("SampledDataCtrlr", "TxUpdatedInterval", "20")
        walk.csms.drop()
        await walk.until(lambda: walk.application.link is not None and walk.application.link.connected)
        await walk.advance(20.0)
        by_themselves = sum(listener.failed for listener in broken.values())

        def publish_all(_: None) -> None:
            unsubscribe()
            for fault in broken.values():
                if not fault.failed:
                    event = Event[None]()
                    event.add_subscription(ContainedSubscription(fault, walk.application.auxiliary))
                    event.publish(None)

        unsubscribe = walk.parts.station.evses[2].state_changed.subscribe(publish_all)
        walk.world.boards[2].plug(VehicleModel())  # what the event of a board calls runs in the task of that board
        await walk.advance(60.0)

        assert [fault.name for fault in broken.values() if not fault.failed] == []
        assert by_themselves > 30, "most fail where the station publishes"
        assert walk.application.running
        assert walk.evse.state.observation.contactor_closed
        assert walk.board.register_wh - begin_wh > 100.0
        walk.contained_errors = walk.application.auxiliary.error_count
        assert walk.contained_errors == len(broken)
        metrics = (await api.client.get("/metrics")).text
        assert f"borne_contained_errors_total {len(broken)}.0" in metrics
        identity = walk.evse.transaction_id
        await walk.present()
        await walk.until(lambda: ("Ended", "StopAuthorized") in walk.types_and_triggers())
        charge = [event for event in walk.events() if event["transactionInfo"]["transactionId"] == identity]
        assert [event["seqNo"] for event in charge] == list(range(len(charge)))
        assert len(walk.csms.received("BootNotification")) == 1
        begin, end = charge[0]["meterValue"][0]["sampledValue"][0], charge[-1]["meterValue"][-1]["sampledValue"][0]
        assert end["value"] - begin["value"] > 100.0


async def test_a_listener_of_an_essential_part_that_fails_opens_the_contactor_and_ends_the_program(
    tmp_path: Path,
) -> None:
    """A failing listener of an auxiliary part would do so too, if its errors were not contained."""

    def raise_error(_: None) -> None:
        raise KeyError("a listener")

    async def charge() -> None:
        async with walking(tmp_path) as walk:
            await walk.accepted()
            await walk.plug()
            await walk.present()
            await walk.charging()
            walk.evse.state_changed.subscribe(raise_error)
            walk.board.set_temperature(60.0)
            await walk.until(lambda: not walk.application.running)
            assert sum(walk.board.currents_a) == 0.0

    with pytest.raises(ExceptionGroup) as ended:
        await charge()
    assert ended.group_contains(KeyError, match="a listener")


async def test_no_event_of_a_running_station_has_a_raising_listener_of_an_auxiliary_package(tmp_path: Path) -> None:
    async with walking(tmp_path, **LARGE) as walk:
        await walk.accepted()
        events: list[Event[Any]] = reachable_instances(walk.application, Event)
        names = {
            name_of(listener) for event in events for listener in uncontained_listeners(event) if callable(listener)
        }
        assert len(events) > 100, "the walk finds the events"
        assert "station.charging.evse.Evse._metered" in names
        assert [name for name in sorted(names) if name.startswith(AUXILIARY)] == []


def uncontained_listeners(event: Event[Any]) -> list[object]:
    """Return the listeners of an event whose errors are raised into the publisher."""
    subscriptions = event._subscriptions  # pyright: ignore[reportPrivateUsage]  # nobody else has to know
    return [
        subscription.listener for subscription in subscriptions if not isinstance(subscription, ContainedSubscription)
    ]
