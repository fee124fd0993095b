"""The status light: collects the state of the station, and shows it on every lamp."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace
from typing_extensions import TypedDict

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.supervision import run_together
from station.charging.evse_state import EvseState, blocking_faults, connection_deadline_s, ev_connected
from station.core.light_patterns import (
    STOPPED,
    Colour,
    ConnectorActivity,
    Light,
    LightInputs,
    LightReason,
    Pattern,
    highest_priority,
    light,
)
from station.core.model import ChargingState, ConnectorStatus
from station.devices.leds import LightError
from station.maintenance.firmware.state import FirmwareStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.charging.starts.start_permission import ActivationState
    from station.core.event_feed import EventFeed
    from station.devices.leds import LightOutput
    from station.maintenance.firmware.firmware import FirmwareUpdates

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
"""after a failure of a lamp"""


class Lamp(Frozen):
    """An output that shows the status light, of one EVSE or of the whole station."""

    leds: LightOutput
    evse_id: int | None = None
    """the EVSE that the lamp belongs to; None: the whole station"""


class PageLight:
    """The `LightOutput` for page and API: publishes the light to the event feed."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    async def show(self, light: Light) -> None:
        """Publish a `light` event with this light to the event feed."""
        self._feed.publish("light", **light_to_json(light))


class LightShown(TypedDict):
    """The status light as JSON, in the API and MQTT."""

    colour: Colour
    """the colour of the light now"""
    pattern: Pattern
    """whether the light is steady, or how it blinks"""
    reason: LightReason
    """the state of the station that the light shows"""


def light_to_json(light: Light) -> LightShown:
    """Convert a light to JSON, for the API and MQTT: colour, pattern and reason."""
    return {"colour": light.colour, "pattern": light.pattern, "reason": light.reason}


class VehicleHistory(Frozen):
    """History of a plugged-in vehicle that the EVSE state no longer contains: ended charge, refusal, transaction."""

    state: EvseState
    finished: bool = False
    """whether an authorization has ended since it was plugged in"""
    refused: bool = False
    """whether its driver was refused: the account was not accepted, or the CSMS withdrew the authorization"""
    transaction_id: str | None = None
    """the latest transaction of the vehicle, running or ended"""

    @property
    def stopped(self) -> bool:
        """Whether its charge was stopped and no other is authorized."""
        return self.finished and self.state.authorization is None


def update_history(past: VehicleHistory, state: EvseState) -> VehicleHistory:
    """Return the history after the EVSE's state has become `state`; a new one once the vehicle has left."""
    transaction_id = state.transaction.id if state.transaction is not None else past.transaction_id
    if not state.observation.cable_plugged and not ev_connected(state):
        return VehicleHistory(state)
    if state.authorization is not None:
        energy_refused = state.transaction is not None and state.transaction.energy_refused  # E05.FR.02
        return VehicleHistory(state, refused=energy_refused, transaction_id=transaction_id)
    ended = past.state.authorization
    # E05.FR.10: the CSMS withdrew the authorization; the cable stays locked for its holder while the vehicle is there.
    withdrawn = ended is not None and ev_connected(state) and ended.id_token.same_as(state.lock_held_for)
    return VehicleHistory(state, past.finished or ended is not None, past.refused or withdrawn, transaction_id)


def authorization_expired(before: EvseState, after: EvseState, now_s: float, timeout_s: float) -> bool:
    """Return whether an authorization ended between two states because no vehicle came in time (E03.FR.05).

    `now_s`: monotonic time; `timeout_s`: time allowed to connect, in seconds.
    """
    if before.authorization is None or after.authorization is not None:
        return False
    deadline_s = connection_deadline_s(before, timeout_s)
    return deadline_s is not None and now_s >= deadline_s


def connector_activity(past: VehicleHistory) -> ConnectorActivity:
    """The activity at a connector that the status light shows: none, plugged in, waiting, charging or paused."""
    state = past.state
    if state.charging_state is ChargingState.CHARGING:
        return ConnectorActivity.FLOWING
    if state.authorization is not None and ev_connected(state):
        return (
            ConnectorActivity.PAUSED
            if state.charging_state is ChargingState.SUSPENDED_EV
            else ConnectorActivity.WAITING
        )
    if past.finished or (state.authorization is not None and state.connection_lost_s is not None):
        return ConnectorActivity.PAUSED
    return ConnectorActivity.PLUGGED_IN if ev_connected(state) else ConnectorActivity.NONE


class StatusLight:
    """Derives the light of each EVSE and of the station from their state, and shows it on all lamps. Auxiliary."""

    def __init__(
        self,
        station: ChargingStation,
        firmware: FirmwareUpdates,
        activation: ActivationState,
        lamps: Sequence[Lamp],
        clock: Clock,
        *,
        has_csms: bool,
    ) -> None:
        self.changed: Event[None] = Event()
        """published when the light of an EVSE may have changed"""
        self._station = station
        self._firmware = firmware
        self._activation = activation
        self._has_csms = has_csms
        self._clock = clock
        self._evses = station.evses
        self._lamps = tuple(lamps)
        self._histories = {evse.id: VehicleHistory(evse.state) for evse in self._evses.values()}
        self._due = ChangeSignal()
        self._cards = station.admission.card_feedback

    def vehicle_history(self, evse_id: int) -> VehicleHistory:
        """The history of the vehicle plugged in at an EVSE; an empty one without a vehicle."""
        return self._histories[evse_id]

    def evse_light(self, evse_id: int) -> Light:
        """The light that one EVSE shows now."""
        evse, past = self._evses[evse_id], self._histories[evse_id]
        update = self._firmware.record.update
        status = update.status if update is not None else None
        state = past.state
        return light(
            LightInputs(
                out_of_service=bool(blocking_faults(state)) or not (state.in_service or state.operative),
                testing=state.testing,
                software_starts=status is FirmwareStatus.INSTALL_REBOOTING,
                card=self._cards.status_at(evse_id),
                not_authenticated=past.refused,
                charge=connector_activity(past),
                installing=status is FirmwareStatus.INSTALLING,
                activated=self._activation.activated,
                available=state.operative and not self._station.restart.refuses_starts,
                online=not self._has_csms or self._station.csms.online,
                reserved=evse.connector_status is ConnectorStatus.RESERVED,
            )
        )

    @property
    def station(self) -> Light:
        """The light that the whole station shows now: of the lights of its EVSEs, the one with the highest priority."""
        return highest_priority(self.evse_light(evse_id) for evse_id in self._evses)

    async def run(self) -> None:
        """Follow the state and update the lamps until cancelled; then show `STOPPED` on every lamp."""
        try:
            watchers = {f"light-{evse.id}": self._watch_evse(evse) for evse in self._evses.values()}
            await run_together({**watchers, "lamps": self._update_lamps()})
        finally:
            for lamp in self._lamps:
                await self._set_lamp(lamp, STOPPED, failing=False)

    def refresh(self) -> None:
        """Make `run` update the lamps now, after a change that is not one of an EVSE's state; returns at once."""
        self._due.notify()
        self.changed.publish(None)

    def mark_refused(self, evse_id: int | None) -> None:
        """Mark a vehicle without authorization as refused, since a card was not accepted; None: at all EVSEs."""
        for number, past in self._histories.items():
            waits = ev_connected(past.state) and past.state.authorization is None
            if waits and evse_id in {None, number}:
                self._histories[number] = replace(past, refused=True)

    async def _watch_evse(self, evse: Evse) -> None:
        """Update the history of the vehicle at an EVSE whenever its state changes."""
        while True:
            change_count, before = evse.changed.count, self._histories[evse.id]
            after = evse.state
            if authorization_expired(before.state, after, self._clock.monotonic(), evse.connection_timeout_s):
                self._cards.show_expired(evse.id)
            self._histories[evse.id] = update_history(before, after)
            self.refresh()
            await evse.changed.wait(change_count)

    async def _update_lamps(self) -> None:
        """Show the lights on the lamps whenever they change; a lamp that fails is tried again."""
        lit: dict[int, Light] = {}
        failing: set[int] = set()
        while True:
            change_count = self._due.count
            for position, lamp in enumerate(self._lamps):
                target_light = self.station if lamp.evse_id is None else self.evse_light(lamp.evse_id)
                if lit.get(position) == target_light:
                    continue
                if await self._set_lamp(lamp, target_light, failing=position in failing):
                    lit[position] = target_light
                    failing.discard(position)
                else:
                    failing.add(position)
            if failing:
                await self._due.wait_for(change_count, self._clock, _RETRY_S)
            else:
                await self._due.wait(change_count)

    async def _set_lamp(self, lamp: Lamp, target_light: Light, *, failing: bool) -> bool:
        try:
            await lamp.leds.show(target_light)
        except LightError as error:
            _log.log(logging.DEBUG if failing else logging.WARNING, "light: %s", error)
            return False
        return True
