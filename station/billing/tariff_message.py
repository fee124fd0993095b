"""The price message before a charge: the driver's own tariff, or the general one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.core.model import MessageContent

if TYPE_CHECKING:
    from station.billing.price import PriceList
    from station.billing.price_settings import PriceSettings
    from station.billing.prices import Prices
    from station.charging.evse_state import Authorization


class TariffMessages:
    """Chooses the price message that a driver sees before a charge.

    It is the CSMS's message for the token, else its message for all drivers (TariffFallbackMessage), else the owner's
    prices in words.
    """

    def __init__(self, prices: Prices, settings: PriceSettings) -> None:
        self._prices = prices
        self._settings = settings

    def tariff_of(self, authorization: Authorization) -> MessageContent | None:
        """The price message for an authorization; None if there is none, or TariffCostCtrlr.Enabled is false."""
        return self.message(authorization) if self._settings.tariff_enabled else None

    def message(self, authorization: Authorization) -> MessageContent | None:
        """The price message for an authorization, also if tariffs are disabled; None if there is none."""
        if (personal := self.personal_message(authorization)) is not None:
            return personal
        prices = self.own_prices(authorization)
        text = in_words(prices) if prices is not None else self._settings.tariff_fallback_message
        return MessageContent(text) if text else None

    def personal_message(self, authorization: Authorization) -> MessageContent | None:
        """The message of the CSMS for the holder of the token; None if there is none, or it is too long."""
        message = authorization.personal_message
        return message if message is not None and self.is_short_enough(message) else None

    def is_short_enough(self, message: MessageContent) -> bool:
        """Return whether a personal message of the CSMS may be used (DisplayMessageCtrlr.PersonalMessageSize)."""
        return len(message.content) <= self._settings.personal_message_size

    def own_prices(self, authorization: Authorization) -> PriceList | None:
        """The owner's prices, if the price message states them; None if a text of the CSMS does, or none are set."""
        replaced = self.personal_message(authorization) is not None or bool(self._settings.tariff_fallback_message)
        return None if replaced else self._prices.current


def in_words(prices: PriceList) -> str:
    """Format a price list as one line in English, such as 0.30 EUR/kWh (HC 0.20) + 1.00 EUR/h idle after 15 min.

    Used for signed records and the API; the page shows prices in the user's language.
    """
    periods = ", ".join(f"{period.name} {period.energy_per_kwh}" for period in prices.period)
    parts = [f"{prices.energy_per_kwh} {prices.currency}/kWh" + (f" ({periods})" if periods else "")]
    if prices.time_per_hour:
        parts.append(f"{prices.time_per_hour} {prices.currency}/h")
    if prices.idle_per_hour:
        free = f" after {prices.idle_after_s / 60:g} min" if prices.idle_after_s else ""
        parts.append(f"{prices.idle_per_hour} {prices.currency}/h idle{free}")
    return " + ".join(parts)
