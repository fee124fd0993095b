"""The inputs of the function that decides what a display shows (`screen`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum

from foundation.frozen import Frozen
from station.billing.price import PriceList
from station.core.languages import DEFAULT_LANGUAGE, LanguageCode
from station.core.light_patterns import LightReason
from station.core.model import Fault, MessageContent
from station.core.screen import TextSize
from station.display.display_message import MAIN_DISPLAY, DisplayAddress, DisplayMessage, MessageState


class StartMethod(StrEnum):
    """How a driver starts a charge at an EVSE; the text of the display is named after it."""

    CARD = "card"
    APP = "app"
    """by the CSMS: there is no card reader"""
    PAGE = "page"
    """on the page of the station: there is neither a card reader nor a CSMS, and no reservation for a card"""
    BUTTON = "button"
    PLUG = "plug"


class ShownTariff(Frozen):
    """The price that a driver is shown: the owner's prices, or a text of the CSMS."""

    prices: PriceList | None = None
    """put into words in the language of the driver"""
    content: MessageContent | None = None
    """shown in place of `prices`"""
    personal: bool = False
    """meant for this driver only"""


class ShownCost(Frozen):
    """The cost of a charge that its driver is shown: an amount, or a text of the CSMS."""

    amount: Decimal | None = None
    currency: str = "EUR"
    final: bool = False
    """whether it is the total cost"""
    content: MessageContent | None = None
    """shown if there is no amount"""


class ShownFigures(Frozen):
    """The figures of a transaction that its driver is shown; None: not known."""

    energy_wh: float | None = None
    power_w: float | None = None
    """None also while no energy flows"""
    duration: timedelta | None = None


class ShownNeeds(Frozen):
    """What a vehicle that communicates has said that it wants."""

    energy_wh: float
    departs_at: datetime | None = None
    """aware, in UTC; None: it has not said when it leaves"""


class DisplayedEvse(Frozen):
    """What a display may show of an EVSE. Who charges there is not part of it."""

    evse_id: int
    light: LightReason = LightReason.AVAILABLE
    """what the status light shows"""
    message_state: MessageState = MessageState.IDLE
    """by which messages are chosen"""
    faults: frozenset[Fault] = frozenset()
    start: StartMethod = StartMethod.CARD
    authorized: bool = False
    connected: bool = False
    """whether a vehicle is connected"""
    transaction_id: str | None = None
    """the open transaction"""
    figures: ShownFigures | None = None
    """of the open transaction, or of the last one until its vehicle has left"""
    needs: ShownNeeds | None = None
    """None: not known, or no charge is in progress"""
    tariff: ShownTariff | None = None
    cost: ShownCost | None = None
    languages: tuple[str, ...] = ()
    """the languages of the driver who charges here (RFC 5646), the preferred one first; empty: not known"""
    reserved_until: datetime | None = None
    """the end of the reservation of this EVSE; None: not reserved"""
    session_page: str | None = None
    """the URL of the page on which its driver follows the charge; None: not shown"""
    open_to_all: bool = True
    """whether another driver may start a charge, or the same one with another card"""


class DisplayProfile(Frozen):
    """One display of the station: what it is for, and what it can show."""

    address: DisplayAddress = MAIN_DISPLAY
    languages: tuple[LanguageCode, ...] = (DEFAULT_LANGUAGE,)
    """for drivers whose language is not known; several in turn"""
    rotation_s: float = 8.0
    """how long each screen of a cycle is shown"""
    size: TextSize | None = None
    """of a character display; None: it fits any text, and shows QR codes"""


class ScreenInputs(Frozen):
    """All that decides what a display shows."""

    now: datetime
    """aware, in UTC"""
    evses: tuple[DisplayedEvse, ...] = ()
    """those that the display is for"""
    messages: tuple[DisplayMessage, ...] = ()
    """all messages of the CSMS that have not ended, for any display"""
    cycle_s: float = 0.0
    """seconds since the screens of the cycle last became other ones: the first of them is shown at 0"""
    zone: tzinfo = UTC
    """the local time zone"""
