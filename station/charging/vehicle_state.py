"""The communication with the vehicle of an EVSE by ISO 15118, as its state machine needs it. Pure.

Sources: ISO 15118-3 (duty cycle of 5 %, times of the matching process, wake-up by the control pilot), ISO 15118-2
(power delivery), IEC 61851-1 A.5. The figures were not checked against the text of the standards. Times are in seconds
(Clock.monotonic).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen

MATCHING_S: Final = 20.0
"""time for a vehicle to begin to communicate at 5 %: the shortest that ISO 15118-3 allows, TT_EVSE_SLAC_init"""
RESTART_S: Final = 4.0
"""duration of state F with which a vehicle is made to start anew (T_step_EF)"""
_MOST_FAILURES: Final = 2
"""failed sessions after which the vehicle may try again; after one more it charges without communication"""
_SHORTEST_TOGGLE_S: Final = 0.1
_LONGEST_TOGGLE_S: Final = 3.0
"""duration of state C in a B-C-B toggle, with which a vehicle wakes the station; the standard says 0.2 s to 3 s"""


class Communication(Enum):
    """How far the communication with the vehicle has come."""

    NONE = auto()
    """no vehicle, or nothing that could communicate with it: the pilot is that of IEC 61851-1"""
    EXPECTED = auto()
    """the pilot asks for communication (5 %); the vehicle has not begun"""
    RESTARTING = auto()
    """the pilot is in state F for some seconds, so that the vehicle starts anew"""
    SESSION = auto()
    """a V2G session is open"""
    PAUSED = auto()
    """the vehicle sleeps, and will resume its session"""
    ENDED = auto()
    """the vehicle has ended its session, and is still connected"""
    BASIC = auto()
    """the vehicle charges without communication until it is disconnected (IEC 61851-1)"""


class Delivery(Enum):
    """Whether the vehicle has requested the energy, in its session."""

    NONE = auto()
    """not yet"""
    STARTED = auto()
    STOPPED = auto()
    """it had, and has ended it"""


class VehicleSignal(Enum):
    """What happens to the communication with a vehicle."""

    LINKED = auto()
    """what speaks with vehicles is there, and the board can ask them for it"""
    LINK_LOST = auto()
    SESSION_STARTED = auto()
    CONTRACT_REFUSED = auto()
    """the contract that the vehicle has presented may not charge"""
    DELIVERY_STARTED = auto()
    DELIVERY_STOPPED = auto()
    SESSION_TERMINATED = auto()
    SESSION_PAUSED = auto()
    SESSION_FAILED = auto()
    RESET = auto()
    """the EVSE is reset: a connected vehicle counts as newly connected"""


class VehicleState(Frozen):
    """What an EVSE knows by a link to its vehicle; one value of `EvseState`."""

    linked: bool = False
    """whether there is something that speaks ISO 15118 with vehicles"""
    communication: Communication = Communication.NONE
    delivery: Delivery = Delivery.NONE
    until_s: float | None = None
    """when EXPECTED or RESTARTING ends; None: another state"""
    communicates_after_restart: bool = False
    """whether RESTARTING is followed by EXPECTED, else by BASIC"""
    failures: int = 0
    """sessions that have failed since the vehicle was connected"""
    contract_refused: bool = False
    """whether the contract that was presented in this session may not charge"""
    toggled_at_s: float | None = None
    """when the pilot went to state C while the vehicle sleeps; None: it is in another state"""


NO_VEHICLE_LINK: Final = VehicleState()
"""the state of an EVSE without a link to vehicles, always"""

_AWAITING: Final = frozenset({Communication.EXPECTED, Communication.RESTARTING})
_ASLEEP: Final = frozenset({Communication.PAUSED, Communication.ENDED})
_WITHOUT_COMMUNICATION: Final = frozenset({Communication.NONE, Communication.BASIC})


class PlugState(Frozen):
    """What `VehicleState` depends on in the state of its EVSE."""

    connected: bool
    """a vehicle is connected (pilot B, C or D)"""
    ready: bool
    """its pilot is in state C or D"""
    charging: bool
    """energy flows"""
    authorized: bool


def awaits_vehicle(vehicle: VehicleState) -> bool:
    """Return whether energy waits for the vehicle: to communicate, or to request the energy in its session."""
    if vehicle.communication is Communication.SESSION:
        return vehicle.delivery is Delivery.NONE
    return vehicle.communication in _AWAITING


def permits_energy(vehicle: VehicleState) -> bool:
    """Return whether the contactor may close: without communication, or once the vehicle has requested the energy."""
    if vehicle.communication is Communication.SESSION:
        return vehicle.delivery is Delivery.STARTED
    return vehicle.communication in _WITHOUT_COMMUNICATION


def asks_for_communication(vehicle: VehicleState, *, offers_energy: bool) -> bool:
    """Return whether the pilot has the duty cycle of 5 %; the change from steady to 5 % wakes a vehicle that sleeps."""
    if vehicle.communication is Communication.PAUSED:
        return offers_energy
    return vehicle.communication in {Communication.EXPECTED, Communication.SESSION}


def restarts_vehicle(vehicle: VehicleState) -> bool:
    """Return whether the pilot must be in state F, after which the vehicle begins its communication again."""
    return vehicle.communication is Communication.RESTARTING


def apply_signal(vehicle: VehicleState, signal: VehicleSignal, plug: PlugState, now_s: float) -> VehicleState:
    """Return the state after a signal; one that does not fit the state changes nothing."""
    match signal:
        case VehicleSignal.LINKED:
            return replace(vehicle, linked=True)
        case VehicleSignal.LINK_LOST:
            return _without_communication(replace(vehicle, linked=False), plug)
        case VehicleSignal.RESET:
            return VehicleState(linked=True) if vehicle.linked else NO_VEHICLE_LINK
        case VehicleSignal.SESSION_STARTED:
            return _begin_session(vehicle, plug)
        case _ if vehicle.communication is not Communication.SESSION:
            return vehicle
        case VehicleSignal.CONTRACT_REFUSED:
            return replace(vehicle, contract_refused=True)
        case VehicleSignal.DELIVERY_STARTED:
            return replace(vehicle, delivery=Delivery.STARTED)
        case VehicleSignal.DELIVERY_STOPPED:
            stopped = Delivery.NONE if vehicle.delivery is Delivery.NONE else Delivery.STOPPED
            return replace(vehicle, delivery=stopped)
        case VehicleSignal.SESSION_TERMINATED:
            return _asleep(vehicle, Communication.ENDED)
        case VehicleSignal.SESSION_PAUSED:
            return _asleep(vehicle, Communication.PAUSED)
        case VehicleSignal.SESSION_FAILED:
            return _after_failure(vehicle, plug, now_s)


def update_vehicle(vehicle: VehicleState, before: PlugState, plug: PlugState, now_s: float) -> VehicleState:
    """Return the state after a change of its EVSE from `before` to `plug`, or after time has passed."""
    if vehicle is NO_VEHICLE_LINK:
        return vehicle
    if not plug.connected:
        return VehicleState(linked=True) if vehicle.linked else NO_VEHICLE_LINK
    if not vehicle.linked:
        return vehicle
    if vehicle.communication is Communication.NONE:  # the vehicle has come, or the link
        return _without_communication(vehicle, plug) if plug.charging else _expected(vehicle, now_s)
    if vehicle.until_s is not None and now_s >= vehicle.until_s:
        if vehicle.communication is Communication.EXPECTED:
            return _without_communication(vehicle, plug) if plug.charging else _restarting(vehicle, now_s, talks=False)
        return (
            _expected(vehicle, now_s) if vehicle.communicates_after_restart else _without_communication(vehicle, plug)
        )
    if vehicle.communication in _ASLEEP:
        return _update_sleeping(vehicle, before, plug, now_s)
    return vehicle


def _update_sleeping(vehicle: VehicleState, before: PlugState, plug: PlugState, now_s: float) -> VehicleState:
    """Wake a vehicle that has ended its session for whoever is authorized now, or notice that it wakes the station."""
    if vehicle.communication is Communication.ENDED and plug.authorized and not before.authorized:
        return _restarting(vehicle, now_s, talks=True)
    if plug.ready:
        return vehicle if vehicle.toggled_at_s is not None else replace(vehicle, toggled_at_s=now_s)
    if vehicle.toggled_at_s is None:
        return vehicle
    lasted_s = now_s - vehicle.toggled_at_s
    if _SHORTEST_TOGGLE_S <= lasted_s <= _LONGEST_TOGGLE_S:
        return _expected(vehicle, now_s)
    return replace(vehicle, toggled_at_s=None)


def _begin_session(vehicle: VehicleState, plug: PlugState) -> VehicleState:
    """A session begins or goes on; not without a vehicle, nor where one charges without communication already."""
    if not vehicle.linked or not plug.connected:
        return vehicle
    if vehicle.communication is Communication.BASIC and plug.charging:
        return vehicle
    return VehicleState(linked=True, communication=Communication.SESSION, failures=vehicle.failures)


def _after_failure(vehicle: VehicleState, plug: PlugState, now_s: float) -> VehicleState:
    """A charge goes on without communication; otherwise the vehicle may try again, some times."""
    failures = min(vehicle.failures + 1, _MOST_FAILURES + 1)
    if plug.charging or failures > _MOST_FAILURES:
        return _without_communication(replace(vehicle, failures=failures), plug)
    return _restarting(replace(vehicle, failures=failures), now_s, talks=True)


def _without_communication(vehicle: VehicleState, plug: PlugState) -> VehicleState:
    communication = Communication.BASIC if plug.connected else Communication.NONE
    if not vehicle.linked and not plug.connected:
        return NO_VEHICLE_LINK
    return VehicleState(linked=vehicle.linked, communication=communication, failures=vehicle.failures)


def _expected(vehicle: VehicleState, now_s: float) -> VehicleState:
    until_s = now_s + MATCHING_S
    return VehicleState(linked=True, communication=Communication.EXPECTED, until_s=until_s, failures=vehicle.failures)


def _restarting(vehicle: VehicleState, now_s: float, *, talks: bool) -> VehicleState:
    return VehicleState(
        linked=True,
        communication=Communication.RESTARTING,
        until_s=now_s + RESTART_S,
        communicates_after_restart=talks,
        failures=vehicle.failures,
    )


def _asleep(vehicle: VehicleState, communication: Communication) -> VehicleState:
    return VehicleState(linked=True, communication=communication, failures=vehicle.failures)
