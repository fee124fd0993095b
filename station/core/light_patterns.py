"""The status light: a pure function from the state of an EVSE to colour and pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, StrEnum, auto
from typing import Final

from foundation.frozen import Frozen


class Colour(StrEnum):
    """The colours of the status light."""

    LIGHT_BLUE = "light-blue"
    BLUE = "blue"
    GREEN = "green"
    ORANGE = "orange"
    RED = "red"
    YELLOW = "yellow"
    WHITE = "white"
    VIOLET = "violet"


class Pattern(StrEnum):
    """Whether the status light is steady or blinking."""

    STEADY = "steady"
    BLINKING = "blinking"


class LightReason(StrEnum):
    """The reason for colour and pattern of the status light; the values are the keys of the page's explanations."""

    OUT_OF_SERVICE = "out-of-service"
    """a fault, an alarm, or set inoperative"""
    SELF_TEST = "self-test"
    """the station is starting or running a self-test"""
    SOFTWARE_STARTS = "software-starts"
    """new software is about to run"""
    CARD_AUTHORIZING = "card-being-authorised"
    CARD_REJECTED = "card-rejected"
    CARD_TIMED_OUT = "authorisation-timed-out"
    CARD_NOT_CHECKED = "card-not-checked"
    """the CSMS cannot be asked about the card, and nothing that is stored decides"""
    NOT_AUTHENTICATED = "not-authenticated"
    """authorization was rejected; the driver must return the connector to its holder"""
    CHARGING = "charging"
    WAITING_FOR_POWER = "waiting-for-power"
    """a vehicle may charge but is not receiving energy yet"""
    CHARGE_PAUSED = "charge-rests"
    """finished, interrupted, or suspended by the vehicle"""
    INSTALLING = "installing-software"
    NOT_ACTIVATED = "not-activated"
    UNAVAILABLE = "unavailable"
    """temporarily: the station is restarting or stopping"""
    OFFLINE = "offline"
    RESERVED = "reserved"
    PLUGGED_IN = "plugged-in"
    """a vehicle is connected and its driver is not authorized yet"""
    AVAILABLE = "available"


class Light(Frozen):
    """What the status light shows: colour, pattern, and the reason for both."""

    colour: Colour
    pattern: Pattern
    reason: LightReason


class CardStatus(Enum):
    """The authorization status of the last card presented, as the status light shows it."""

    NONE = auto()
    AUTHORIZING = auto()
    """authorization in progress"""
    REJECTED = auto()
    """just rejected"""
    TIMED_OUT = auto()
    """just timed out: no response, or no vehicle connected"""
    NOT_CHECKED = auto()
    """could not be checked a moment ago: the CSMS could not be asked"""


class ConnectorActivity(Enum):
    """The charging activity at a connector, as the status light shows it."""

    NONE = auto()
    PLUGGED_IN = auto()
    """a vehicle is connected, without authorization"""
    WAITING = auto()
    """authorized, but no current is offered or the vehicle has not started charging"""
    FLOWING = auto()
    PAUSED = auto()
    """finished, interrupted, or suspended by the vehicle"""


class LightInputs(Frozen):
    """The inputs that determine the status light of one EVSE."""

    out_of_service: bool = False
    testing: bool = False
    """the station is starting or running a self-test"""
    software_starts: bool = False
    card: CardStatus = CardStatus.NONE
    not_authenticated: bool = False
    """authorization was rejected, and the connector is not back in its holder yet"""
    charge: ConnectorActivity = ConnectorActivity.NONE
    installing: bool = False
    activated: bool = True
    available: bool = True
    """false: temporarily unavailable"""
    online: bool = True
    """also true for a station without a CSMS"""
    reserved: bool = False


_Rule = tuple[Callable[[LightInputs], bool], Light]

# The first rule that matches is shown. Warnings precede information; feedback on a card precedes charging;
# a running charge precedes the state of the station.
_RULES: Final[tuple[_Rule, ...]] = (
    (lambda inputs: inputs.out_of_service, Light(Colour.RED, Pattern.STEADY, LightReason.OUT_OF_SERVICE)),
    (lambda inputs: inputs.testing, Light(Colour.WHITE, Pattern.BLINKING, LightReason.SELF_TEST)),
    (lambda inputs: inputs.software_starts, Light(Colour.WHITE, Pattern.BLINKING, LightReason.SOFTWARE_STARTS)),
    (
        lambda inputs: inputs.card is CardStatus.AUTHORIZING,
        Light(Colour.GREEN, Pattern.BLINKING, LightReason.CARD_AUTHORIZING),
    ),
    (
        lambda inputs: inputs.card is CardStatus.REJECTED,
        Light(Colour.YELLOW, Pattern.BLINKING, LightReason.CARD_REJECTED),
    ),
    (
        lambda inputs: inputs.card is CardStatus.TIMED_OUT,
        Light(Colour.ORANGE, Pattern.BLINKING, LightReason.CARD_TIMED_OUT),
    ),
    (
        lambda inputs: inputs.card is CardStatus.NOT_CHECKED,
        Light(Colour.ORANGE, Pattern.BLINKING, LightReason.CARD_NOT_CHECKED),
    ),
    (lambda inputs: inputs.not_authenticated, Light(Colour.VIOLET, Pattern.STEADY, LightReason.NOT_AUTHENTICATED)),
    (
        lambda inputs: inputs.charge is ConnectorActivity.FLOWING,
        Light(Colour.BLUE, Pattern.BLINKING, LightReason.CHARGING),
    ),
    (
        lambda inputs: inputs.charge is ConnectorActivity.WAITING,
        Light(Colour.LIGHT_BLUE, Pattern.STEADY, LightReason.WAITING_FOR_POWER),
    ),
    (
        lambda inputs: inputs.charge is ConnectorActivity.PAUSED,
        Light(Colour.BLUE, Pattern.STEADY, LightReason.CHARGE_PAUSED),
    ),
    (lambda inputs: inputs.installing, Light(Colour.YELLOW, Pattern.BLINKING, LightReason.INSTALLING)),
    (lambda inputs: not inputs.activated, Light(Colour.YELLOW, Pattern.BLINKING, LightReason.NOT_ACTIVATED)),
    (lambda inputs: not inputs.available, Light(Colour.WHITE, Pattern.STEADY, LightReason.UNAVAILABLE)),
    (lambda inputs: not inputs.online, Light(Colour.WHITE, Pattern.STEADY, LightReason.OFFLINE)),
    (lambda inputs: inputs.reserved, Light(Colour.ORANGE, Pattern.STEADY, LightReason.RESERVED)),
    (
        lambda inputs: inputs.charge is ConnectorActivity.PLUGGED_IN,
        Light(Colour.LIGHT_BLUE, Pattern.STEADY, LightReason.PLUGGED_IN),
    ),
    (lambda inputs: True, Light(Colour.GREEN, Pattern.STEADY, LightReason.AVAILABLE)),
)
_RANK: Final = {light: rank for rank, (_, light) in enumerate(_RULES)}


def light(inputs: LightInputs) -> Light:
    """Choose what the status light of an EVSE shows for these inputs; switches no light."""
    return next(candidate for holds, candidate in _RULES if holds(inputs))


def highest_priority(lights: Iterable[Light]) -> Light:
    """Choose the most important of the lights of several EVSEs, which share one; `lights` must not be empty."""
    return min(lights, key=_RANK.__getitem__)


STARTING: Final = light(LightInputs(testing=True))
"""shown from power-up until the station runs"""
STOPPED: Final = light(LightInputs(available=False))
"""shown after the program has stopped"""
