"""The status light: what it shows of a station, as a pure function from what is the case to colour and pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, StrEnum, auto
from typing import Final

from foundation.frozen import frozen


class Colour(StrEnum):
    """The colours of the light."""

    LIGHT_BLUE = "light-blue"
    BLUE = "blue"
    GREEN = "green"
    ORANGE = "orange"
    RED = "red"
    YELLOW = "yellow"
    WHITE = "white"
    VIOLET = "violet"


class Pattern(StrEnum):
    """How it shines."""

    STEADY = "steady"
    BLINKING = "blinking"


class LightReason(StrEnum):
    """Why it shines so: the keys of the sentences that a page says."""

    OUT_OF_SERVICE = "out-of-service"
    """a fault, an alarm, or an order not to be used"""
    SELF_TEST = "self-test"
    """the station starts, or tests itself"""
    SOFTWARE_STARTS = "software-starts"
    """new software is about to run"""
    CARD_ASKED = "card-being-authorised"
    CARD_REJECTED = "card-rejected"
    CARD_TIMED_OUT = "authorisation-timed-out"
    NOT_AUTHENTICATED = "not-authenticated"
    """the account was refused: put the connector back in its holder"""
    CHARGING = "charging"
    WAITING_FOR_POWER = "waiting-for-power"
    """a vehicle may charge and gets nothing yet"""
    CHARGE_PAUSED = "charge-rests"
    """finished, interrupted, or suspended by the vehicle"""
    INSTALLING = "installing-software"
    NOT_ACTIVATED = "not-activated"
    UNAVAILABLE = "unavailable"
    """for the moment: it restarts, or stops"""
    OFFLINE = "offline"
    RESERVED = "reserved"
    PLUGGED_IN = "plugged-in"
    """a vehicle waits for its driver to be authorised"""
    AVAILABLE = "available"


@frozen
class Light:
    """What the light shows."""

    colour: Colour
    pattern: Pattern
    reason: LightReason


class CardStatus(Enum):
    """What goes on with the card that was held to the reader last."""

    NONE = auto()
    ASKED = auto()
    """whether it may charge is being found out"""
    REJECTED = auto()
    """a moment ago"""
    TIMED_OUT = auto()
    """a moment ago: nobody answered, or no vehicle came"""


class ConnectorActivity(Enum):
    """What goes on at a connector."""

    NONE = auto()
    PLUGGED_IN = auto()
    """a vehicle is there, and nobody is authorised"""
    WAITING = auto()
    """it may charge, and is offered nothing or has not begun"""
    FLOWING = auto()
    PAUSED = auto()
    """finished, interrupted, or suspended by the vehicle"""


@frozen
class LightInputs:
    """Everything that decides what the light of one EVSE shows."""

    out_of_service: bool = False
    testing: bool = False
    """the station starts, or tests itself"""
    software_starts: bool = False
    card: CardStatus = CardStatus.NONE
    not_authenticated: bool = False
    """the account of whoever plugged in was refused, and the connector is not back yet"""
    charge: ConnectorActivity = ConnectorActivity.NONE
    installing: bool = False
    activated: bool = True
    available: bool = True
    """false: not for the moment"""
    online: bool = True
    """true as well where there is no CSMS to be online with"""
    reserved: bool = False


_Rule = tuple[Callable[[LightInputs], bool], Light]

# The first that holds is shown. What warns comes before what informs; a card gets its answer whatever else goes on;
# a charge that runs matters more to its driver than how the station is.
_GUIDE: Final[tuple[_Rule, ...]] = (
    (lambda now: now.out_of_service, Light(Colour.RED, Pattern.STEADY, LightReason.OUT_OF_SERVICE)),
    (lambda now: now.testing, Light(Colour.WHITE, Pattern.BLINKING, LightReason.SELF_TEST)),
    (lambda now: now.software_starts, Light(Colour.WHITE, Pattern.BLINKING, LightReason.SOFTWARE_STARTS)),
    (lambda now: now.card is CardStatus.ASKED, Light(Colour.GREEN, Pattern.BLINKING, LightReason.CARD_ASKED)),
    (lambda now: now.card is CardStatus.REJECTED, Light(Colour.YELLOW, Pattern.BLINKING, LightReason.CARD_REJECTED)),
    (lambda now: now.card is CardStatus.TIMED_OUT, Light(Colour.ORANGE, Pattern.BLINKING, LightReason.CARD_TIMED_OUT)),
    (lambda now: now.not_authenticated, Light(Colour.VIOLET, Pattern.STEADY, LightReason.NOT_AUTHENTICATED)),
    (lambda now: now.charge is ConnectorActivity.FLOWING, Light(Colour.BLUE, Pattern.BLINKING, LightReason.CHARGING)),
    (
        lambda now: now.charge is ConnectorActivity.WAITING,
        Light(Colour.LIGHT_BLUE, Pattern.STEADY, LightReason.WAITING_FOR_POWER),
    ),
    (lambda now: now.charge is ConnectorActivity.PAUSED, Light(Colour.BLUE, Pattern.STEADY, LightReason.CHARGE_PAUSED)),
    (lambda now: now.installing, Light(Colour.YELLOW, Pattern.BLINKING, LightReason.INSTALLING)),
    (lambda now: not now.activated, Light(Colour.YELLOW, Pattern.BLINKING, LightReason.NOT_ACTIVATED)),
    (lambda now: not now.available, Light(Colour.WHITE, Pattern.STEADY, LightReason.UNAVAILABLE)),
    (lambda now: not now.online, Light(Colour.WHITE, Pattern.STEADY, LightReason.OFFLINE)),
    (lambda now: now.reserved, Light(Colour.ORANGE, Pattern.STEADY, LightReason.RESERVED)),
    (
        lambda now: now.charge is ConnectorActivity.PLUGGED_IN,
        Light(Colour.LIGHT_BLUE, Pattern.STEADY, LightReason.PLUGGED_IN),
    ),
    (lambda now: True, Light(Colour.GREEN, Pattern.STEADY, LightReason.AVAILABLE)),
)
_RANK: Final = {light: rank for rank, (_, light) in enumerate(_GUIDE)}


def light(now: LightInputs) -> Light:
    """What the light of an EVSE shows."""
    return next(shown for holds, shown in _GUIDE if holds(now))


def foremost(lights: Iterable[Light]) -> Light:
    """What one light shows for several EVSEs: the one that comes first in the guide. There must be one at least."""
    return min(lights, key=_RANK.__getitem__)


STARTING: Final = light(LightInputs(testing=True))
"""from the first moment on, until the station lives"""
STOPPED: Final = light(LightInputs(available=False))
"""left behind by a program that ends"""
