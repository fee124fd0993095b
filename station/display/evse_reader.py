"""Reads what a display may show of each EVSE: state, figures of the charge, price, cost, reservation."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from station.charging.evse_state import all_faults, ev_connected
from station.core.driver_messages import DisplayTopic
from station.core.model import ChargingState, MessageContent
from station.display.message_visibility import condition_of
from station.display.screen_inputs import DisplayedEvse, ShownCost, ShownFigures, ShownNeeds, ShownTariff, StartMethod

if TYPE_CHECKING:
    from collections.abc import Collection

    from foundation.clock import Clock
    from station.billing.logged_transaction import LoggedTransaction
    from station.billing.price_settings import PriceSettings
    from station.billing.prices import Prices
    from station.billing.tariff_and_cost import TariffAndCost
    from station.billing.transaction_log import TransactionLog
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.charging.evse import Evse
    from station.charging.evse_state import Authorization
    from station.charging.starts.charge_starter import ChargeStarter
    from station.core.light_patterns import Light
    from station.display.session_page import SessionPage


class EvseLights(Protocol):
    """The status light of each EVSE; its reason is the state that the display puts into words."""

    def evse_light(self, evse_id: int) -> Light:
        """The light that one EVSE shows now."""
        ...


class ShownPrices:
    """Chooses the price and the cost that drivers are shown at each EVSE."""

    def __init__(self, tariff_and_cost: TariffAndCost, prices: Prices, settings: PriceSettings) -> None:
        self._tariff_and_cost = tariff_and_cost
        self._prices = prices
        self._settings = settings

    def tariff(self, evse: Evse) -> ShownTariff | None:
        """The price of the driver at an EVSE, else the general one; None if there is none, or prices are not shown."""
        if not self._settings.tariff_enabled:
            return None
        for message in self._tariff_and_cost.display.of(evse.id):
            if message.topic is DisplayTopic.TARIFF:
                if (own := self._tariff_and_cost.own_tariff(evse)) is not None:
                    return ShownTariff(own)
                return ShownTariff(content=message.content, personal=message.personal)
        if fallback := self._settings.tariff_fallback_message:
            return ShownTariff(content=MessageContent(fallback))
        return ShownTariff(self._prices.current) if self._prices.current is not None else None

    async def cost(self, evse: Evse) -> tuple[ShownCost | None, str | None]:
        """The cost of the newest charge at an EVSE that its driver is shown, and its transaction; None: none is shown.

        Raises:
            StorageError: the records cannot be read.
        """
        cost = await self._tariff_and_cost.cost(evse)
        if cost is not None:
            return ShownCost(cost.amount, cost.currency, cost.final), cost.transaction_id
        if self._settings.cost_enabled:
            for message in self._tariff_and_cost.display.of(evse.id):
                if message.topic is DisplayTopic.COST:
                    return ShownCost(content=message.content, final=True), message.transaction_id
        return None, None


class StartMethods:
    """Knows whether and how a driver starts a charge at each EVSE, for display and page alike."""

    def __init__(
        self,
        settings: AuthorizationSettings,
        readers: Collection[int | None],
        starter: ChargeStarter,
        *,
        has_csms: bool,
    ) -> None:
        """`readers`: the EVSE of each card reader; None: it serves all EVSEs."""
        self._settings = settings
        self._readers = readers
        self._starter = starter
        self._has_csms = has_csms

    def is_possible(self, evse: Evse) -> bool:
        """Whether a driver may start a charge at an EVSE now."""
        return self._starter.is_possible(evse)

    def of(self, evse: Evse) -> StartMethod:
        """How a driver starts a charge at an EVSE now."""
        if not self._settings.auth_enabled:
            return StartMethod.BUTTON if evse.layout.start_button else StartMethod.PLUG
        if evse.id in self._readers or None in self._readers:
            return StartMethod.CARD
        if self._has_csms:
            return StartMethod.APP
        # The owner reserves for a card, with which alone the charge can start.
        return StartMethod.CARD if evse.state.reserved_until is not None else StartMethod.PAGE


class EvseReader:
    """Reads what a display may show of each EVSE, without the persons who charge or have reserved."""

    def __init__(
        self,
        lights: EvseLights,
        prices: ShownPrices,
        transactions: TransactionLog,
        start_methods: StartMethods,
        session_page: SessionPage,
        clock: Clock,
    ) -> None:
        self._lights = lights
        self._prices = prices
        self._transactions = transactions
        self._start_methods = start_methods
        self._session_page = session_page
        self._clock = clock
        self._latest_transactions: dict[int, LoggedTransaction] = {}
        """by EVSE: its latest transaction, until its driver has left"""
        self._languages: dict[int, tuple[str, ...]] = {}
        """by EVSE: the languages of its latest driver, until that driver has left"""

    def state_key(self, evse: Evse) -> object:
        """What changes when a display has something else to say about an EVSE than other figures; cheap to read."""
        state = evse.state
        return (
            self._lights.evse_light(evse.id).reason,
            condition_of(evse),
            self._start_methods.is_possible(evse),
            state.authorization,
            ev_connected(state),
            all_faults(state),
            state.reserved_until,
            self._needs(evse),
        )

    async def read(self, evse: Evse) -> DisplayedEvse:
        """Read what a display may show of an EVSE now.

        Raises:
            StorageError: the records cannot be read.
        """
        state, condition = evse.state, condition_of(evse)
        authorization, connected = state.authorization, ev_connected(state)
        present = authorization is not None or connected
        cost, cost_of = await self._prices.cost(evse)
        return DisplayedEvse(
            evse.id,
            light=self._lights.evse_light(evse.id).reason,
            message_state=condition.state,
            faults=all_faults(state),
            start=self._start_methods.of(evse),
            open_to_all=self._start_methods.is_possible(evse),
            authorized=authorization is not None,
            connected=connected,
            transaction_id=condition.transaction_id,
            figures=await self._figures(evse, condition.transaction_id or cost_of, retain=present),
            needs=self._needs(evse),
            tariff=self._prices.tariff(evse),
            cost=cost,
            languages=self._languages_at(evse, authorization, connected=present),
            reserved_until=state.reserved_until,
            session_page=self._session_page.address(evse.id),
        )

    def _needs(self, evse: Evse) -> ShownNeeds | None:
        """What the vehicle wants of the charge that is in progress."""
        details = evse.vehicle_details.current
        if details.needs is None or evse.transaction_id is None:
            return None
        return ShownNeeds(details.needs.energy_wh, details.departs_at)

    def _languages_at(self, evse: Evse, authorization: Authorization | None, *, connected: bool) -> tuple[str, ...]:
        """The languages of the driver who is authorized, or was while the vehicle is still connected."""
        if authorization is not None:
            self._languages[evse.id] = authorization.languages
        elif not connected:
            self._languages.pop(evse.id, None)
        return self._languages.get(evse.id, ())

    async def _figures(self, evse: Evse, transaction_id: str | None, *, retain: bool) -> ShownFigures | None:
        """The figures of a transaction; without one, those of the latest if `retain`."""
        latest = self._latest_transactions.get(evse.id)
        if transaction_id is None and latest is not None and retain:
            transaction_id = latest.transaction_id
        if transaction_id is None:
            self._latest_transactions.pop(evse.id, None)
            return None
        open_here = transaction_id == evse.transaction_id
        if latest is None or latest.transaction_id != transaction_id or (latest.ended_at is None and not open_here):
            latest = await self._transactions.get(transaction_id)
            if latest is None:
                return None
            self._latest_transactions[evse.id] = latest
        if latest.ended_at is not None:
            return ShownFigures(latest.energy_so_far_wh(None), None, latest.duration)
        reading = evse.meter.latest
        flows = evse.state.charging_state is ChargingState.CHARGING
        return ShownFigures(
            latest.energy_so_far_wh(reading),
            reading.power_w if reading is not None and flows else None,
            max(timedelta(0), self._clock.now() - latest.began_at),
        )
