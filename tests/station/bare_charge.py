"""The state of an EVSE without tasks, link or disk: observations go in, transaction events come out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from msgspec.structs import replace

from station.charging.evse_state import (
    Authorization,
    ChangeCause,
    EvseState,
    energy_flows,
    outputs,
    with_derived_values,
)
from station.charging.transaction import (
    TransactionChange,
    TransactionRules,
    TxPoint,
    update_transaction,
    with_resulting_charging_state,
)
from station.core.hardware.board import Observation
from station.core.model import EventType, PilotState, StoppedReason, TransactionEvent, TriggerReason
from tests import fakes

PLUGGED = Observation(PilotState.B, cable_plugged=True, cable_max_a=32.0)
AUTHORIZED = ChangeCause(TriggerReason.AUTHORIZED, id_token=fakes.CARD)
CABLE = ChangeCause(TriggerReason.CABLE_PLUGGED_IN)
LOST = ChangeCause(TriggerReason.EV_COMMUNICATION_LOST)
LOCAL_STOP = ChangeCause(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, fakes.CARD, deauthorizes=True)
REMOTE_STOP = ChangeCause(TriggerReason.REMOTE_STOP, StoppedReason.REMOTE, deauthorizes=True)
DEAUTHORIZED = ChangeCause(TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED, deauthorizes=True)
EMERGENCY = ChangeCause(
    TriggerReason.ABNORMAL_CONDITION, StoppedReason.EMERGENCY_STOP, deauthorizes=True, ends_transaction=True
)


def rules(*, start: set[str] | None = None, stop: set[str] | None = None) -> TransactionRules:
    """Start and stop points by their names; the station's defaults where none are given."""
    default = {"EVConnected", "Authorized"}
    chosen = [frozenset(map(TxPoint, default if names is None else names)) for names in (start, stop)]
    return TransactionRules(1, 1, *chosen)


@dataclass
class Charge:
    """The state of an EVSE without tasks: observations go in, events come out."""

    rules: TransactionRules
    state: EvseState = field(default_factory=lambda: EvseState(offered_a=16.0))
    now_s: float = 0.0
    events: list[TransactionEvent] = field(default_factory=list[TransactionEvent])

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def change_state(self, after: EvseState, cause: ChangeCause | None = None) -> TransactionChange:
        """Replace the state and collect the events of this change."""
        before = self.state
        energy_starts = TxPoint.ENERGY_TRANSFER in self.rules.start
        after = with_derived_values(before, replace(after, energy_starts_transaction=energy_starts), self.now_s)
        outcome = update_transaction(before, after, cause, self.rules, fakes.NOON, lambda: f"tx{next(self._numbers)}")
        self.state = with_derived_values(after, outcome.state, self.now_s)
        self.events.extend(with_resulting_charging_state(outcome.events, self.state))
        return outcome

    def observe(self, cause: ChangeCause | None = None, **changed: object) -> TransactionChange:
        """The board reports another observation."""
        observation = replace(self.state.observation, **changed)
        return self.change_state(replace(self.state, observation=observation), cause)

    def plug(self) -> TransactionChange:
        """Plug in a vehicle."""
        return self.change_state(
            replace(self.state, observation=replace(PLUGGED, bay_occupied=self.state.observation.bay_occupied)), CABLE
        )

    def unplug(self) -> TransactionChange:
        """Unplug the vehicle."""
        observation = Observation(
            contactor_closed=self.state.observation.contactor_closed, bay_occupied=self.state.observation.bay_occupied
        )
        return self.change_state(replace(self.state, observation=observation), LOST)

    def authorize(self, cause: ChangeCause = AUTHORIZED) -> TransactionChange:
        """Authorize the token of `cause`."""
        authorization = Authorization(cause.id_token or fakes.CARD, since_s=self.now_s)
        return self.change_state(replace(self.state, authorization=authorization), cause)

    def end_authorization(self, cause: ChangeCause = LOCAL_STOP) -> TransactionChange:
        """End the authorization."""
        return self.change_state(replace(self.state, authorization=None), cause)

    def recorded(self) -> TransactionChange | None:
        """Note that the start of the transaction is on disk."""
        if (transaction := self.state.transaction) is None:
            return None
        return self.change_state(replace(self.state, transaction=replace(transaction, recorded=True)))

    def apply_outputs(self) -> TransactionChange:
        """Contactor and lock reach the states that are commanded."""
        ordered = outputs(self.state, self.now_s)
        return self.observe(contactor_closed=ordered.contactor, locked=ordered.lock)

    def charge(self) -> None:
        """Lock, close the contactor and let the vehicle draw energy."""
        self.recorded()
        self.observe(locked=outputs(self.state, self.now_s).lock)
        self.observe(pilot=PilotState.C)
        self.apply_outputs()
        self.recorded()
        assert energy_flows(self.state)

    @property
    def types_and_triggers(self) -> list[tuple[EventType, TriggerReason]]:
        """Type and trigger of all events."""
        return [(event.event_type, event.trigger) for event in self.events]
