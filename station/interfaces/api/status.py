"""Builds the status of the whole station, for `/api/status` and the diagnostics log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.grid_explanation import explanation_to_json
from energy.limit import limit_to_json, tightest
from foundation.frozen import Frozen
from station.charging.authorization.authorizer import loggable_token
from station.charging.evse_state import all_faults
from station.interfaces.status_light import light_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy.grid import MeterTariff
    from energy.grid_orders import RecordedGridOrders
    from energy.grid_view import GridView
    from foundation.clock import Clock
    from metering.reading import Reading
    from station.billing.price import PriceList
    from station.billing.tariff_and_cost import DisplayedCost, TariffAndCost
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.charging.reservations.reservation import Reservation
    from station.charging.vehicle_details import VehicleDetails
    from station.configuration.installation_file import Configuration
    from station.core.csms import CsmsLink
    from station.core.driver_messages import DisplayedMessage
    from station.display.evse_reader import ShownPrices
    from station.display.screen_inputs import ShownTariff
    from station.interfaces.api.status_readers import StorageStatusReader, TimeStatusReader
    from station.interfaces.status_light import LightShown, StatusLight
    from station.interfaces.status_report import (
        CostStatus,
        CsmsStatus,
        DriverMessage,
        EvseStatus,
        FirmwareUpdateStatus,
        GridOrderStatus,
        GridStatus,
        JumpersStatus,
        MeterStatus,
        OwnPrices,
        ReservationStatus,
        StatedTariff,
        Status,
        TariffStatus,
        VehicleStatus,
    )
    from station.load.back_plate_monitor import BackPlateMonitor
    from station.load.tamper import TamperAlarm
    from station.maintenance.commissioning.activation import StationActivation
    from station.maintenance.firmware.firmware import FirmwareUpdates
    from station.security.network_profiles import NetworkProfiles


class OffStatusSource:
    """The `StatusSource` of a station while it is off: only identity, version and clock."""

    def __init__(self, configuration: Callable[[], Configuration], clock: Clock) -> None:
        """`configuration` returns the current configuration; called for each report."""
        self._configuration = configuration
        self._clock = clock

    async def status(self) -> Status:
        """Build the report of the station that is off."""
        return _status_while_off(self._configuration(), self._clock)


class CsmsStatusReader:
    """Provides the CSMS part of the status report."""

    def __init__(self, link: Callable[[], CsmsLink | None], network: NetworkProfiles) -> None:
        """`link` returns None until the link is set up, and without a CSMS."""
        self._link = link
        self._network = network

    @property
    def boot_status(self) -> str | None:
        """The registration status at the CSMS, from its answer to BootNotification; None without a link."""
        link = self._link()
        return link.boot_status if link is not None else None

    def read(self) -> CsmsStatus | None:
        """The state of the link to the CSMS as JSON; None until the link is set up, and without a CSMS."""
        link = self._link()
        if link is None:
            return None
        return {
            "url": link.url,
            "connected": link.connected,
            "since": link.connected_since.isoformat() if link.connected_since is not None else None,
            "security_profile": link.security_profile,
            "network_profile": self._network.active,
            "last_error": link.last_error,
        }


class GridStatusReader:
    """Provides the parts of the status report on grid meter, grid orders and jumpers of the smart-meter port."""

    def __init__(self, grid: GridView, grid_orders: RecordedGridOrders | None, back_plate: BackPlateMonitor) -> None:
        self._grid = grid
        self._grid_orders = grid_orders
        self._back_plate = back_plate

    def grid(self) -> GridStatus | None:
        """The latest sample of the grid meter as JSON, with its age; None: no sample yet. Reads no device."""
        grid = self._grid
        sample = grid.last_sample
        if sample is None:
            return None
        return {
            "taken_at": sample.taken_at.isoformat(),
            "age_s": grid.sample_age_s,
            "currents_a": list(sample.currents_a),
            "house_a": list(grid.house_currents_a),
            "apparent_power_va": sample.apparent_power_va,
            "limit_a": grid.limit_a,
            "overrun": sample.overrun,
            "tariff_period": sample.tariff_period,
            "power_w": sample.power_w,
            "voltages_v": list(sample.voltages_v),
            "subscribed_va": sample.subscribed_va,
            "cut_off_va": sample.cut_off_va,
            "fuse_a": sample.fuse_a,
            "limiter_w": sample.limiter_w,
            "tariff": _tariff_to_json(sample.tariff),
        }

    def order(self) -> GridOrderStatus | None:
        """The grid operator's order in force as JSON, or None."""
        order = self._grid_orders.order if self._grid_orders is not None else None
        if order is None:
            return None
        return {"limit_w": order.limit_w, "since": order.since.isoformat(), "reason": order.reason}

    def jumpers(self) -> JumpersStatus:
        """The last read and the required position of the jumpers as JSON; reads no device."""
        jumpers = self._back_plate.jumpers
        return {"position": jumpers.position, "expected": jumpers.expected, "mismatch": jumpers.mismatch}


class EvseStatusReader:
    """Provides the part of the status report on the EVSEs, including displays and costs."""

    def __init__(
        self,
        station: ChargingStation,
        grid: GridView,
        light: StatusLight,
        costs: TariffAndCost,
        prices: ShownPrices,
    ) -> None:
        self._station = station
        self._grid = grid
        self._light = light
        self._costs = costs
        self._prices = prices

    @property
    def light(self) -> LightShown:
        """The light of the whole station, as JSON."""
        return light_to_json(self._light.station)

    async def read(self) -> list[EvseStatus]:
        """The state of every EVSE as JSON, built now.

        Raises:
            StorageError: the records cannot be read.
        """
        return [await self._evse_to_json(evse) for evse in self._station.evses.values()]

    async def _evse_to_json(self, evse: Evse) -> EvseStatus:
        cost, own_tariff = await self._costs.cost(evse), self._costs.own_tariff(evse)
        display, tariff = await self._costs.messages_for(evse), self._prices.tariff(evse)
        state, token, binding = evse.state, evse.authorized_token, tightest(evse.limits)
        explained = self._grid.explain(evse.id)
        return {
            "id": evse.id,
            "connector_id": evse.layout.connector_id,
            "connector_status": evse.connector_status,
            "reserved_until": state.reserved_until.isoformat() if state.reserved_until is not None else None,
            "reservation": _reservation_to_json(self._station.reservations.of_evse(evse.id)),
            "operative": state.operative,
            "in_service": state.in_service,
            "pilot": state.observation.pilot,
            "plugged": state.observation.cable_plugged,
            "charging_state": state.charging_state,
            "vehicle": _vehicle_to_json(evse.vehicle_details.current),
            "id_token": loggable_token(token) if token is not None else None,
            "transaction_id": state.transaction.id if state.transaction is not None else None,
            "contactor_closed": state.observation.contactor_closed,
            "phases": state.observation.phases or evse.layout.phases,
            "locked": state.observation.locked,
            "offered_a": evse.offered_a,
            "limit": limit_to_json(binding) if binding is not None else None,
            "limits": [limit_to_json(limit) for limit in evse.limits],
            "grid_explanation": explanation_to_json(explained) if explained is not None else None,
            "faults": sorted(all_faults(state)),
            "temperature_c": state.observation.temperature_c,
            "contactor_operations": evse.contactor.closed,
            "contactor_opened_under_load": evse.contactor.opened_under_load,
            "meter": _reading_to_json(evse.meter.latest),
            "meter_error": evse.meter.error,
            "light": light_to_json(self._light.evse_light(evse.id)),
            "display": [_message_to_json(message) for message in display],
            "own_tariff": _own_prices_to_json(own_tariff) if own_tariff is not None else None,
            "tariff": _stated_tariff_to_json(tariff) if tariff is not None else None,
            "cost": _cost_to_json(cost) if cost is not None else None,
        }


class StatusReaders(Frozen):
    """The readers of the parts of the status report that are more than one value."""

    evses: EvseStatusReader
    link: CsmsStatusReader
    connection: GridStatusReader
    time: TimeStatusReader
    storage: StorageStatusReader


class RunningStatusSource:
    """The `StatusSource` of a running station, which combines all parts of the report."""

    def __init__(
        self,
        configuration: Configuration,
        station: ChargingStation,
        readers: StatusReaders,
        *,
        firmware: FirmwareUpdates,
        activation: StationActivation,
        tamper: TamperAlarm,
        clock: Clock,
    ) -> None:
        self._configuration = configuration
        self._station = station
        self._readers = readers
        self._firmware = firmware
        self._activation = activation
        self._tamper = tamper
        self._clock = clock

    async def status(self) -> Status:
        """Build the report of the running station, with all fields."""
        off, readers = _status_while_off(self._configuration, self._clock), self._readers
        return {
            "identity": off["identity"],
            "vendor": off["vendor"],
            "model": off["model"],
            "firmware_version": self._firmware.version or self._configuration.station.firmware_version,
            "powered": True,
            "clock": {**off["clock"], "follows_csms": readers.time.follows_csms},
            "local_time": readers.time.local_time().isoformat(),
            "time_zone": readers.time.time_zone,
            "boot_status": readers.link.boot_status,
            "csms": readers.link.read(),
            "tamper": self._tamper.alarm,
            "firmware_update": self._firmware_update(),
            "stage": self._activation.stage,
            "light": readers.evses.light,
            "evses": await readers.evses.read(),
            "master_pass_selects": self._station.admission.selecting,
            "grid": readers.connection.grid(),
            "grid_order": readers.connection.order(),
            "jumpers": readers.connection.jumpers(),
            "unreadable_rows": readers.storage.unreadable_rows(),
            "safe_start": readers.storage.safe_start(),
            "queue": await readers.storage.queue(),
        }

    def _firmware_update(self) -> FirmwareUpdateStatus | None:
        update = self._firmware.record.update
        return {"request_id": update.order.request_id, "status": update.status} if update is not None else None


def _status_while_off(configuration: Configuration, clock: Clock) -> Status:
    station = configuration.station
    return {
        "identity": station.identity,
        "vendor": station.vendor,
        "model": station.model,
        "firmware_version": station.firmware_version,
        "powered": False,
        "clock": {
            "now": clock.now().isoformat(),
            "monotonic_s": clock.monotonic(),
            "rate": clock.rate,
            "follows_csms": None,
        },
    }


def _reservation_to_json(reservation: Reservation | None) -> ReservationStatus | None:
    if reservation is None:
        return None
    return {
        "id": reservation.reservation_id,
        "id_token": loggable_token(reservation.id_token),
        "expires_at": reservation.expires_at.isoformat(),
    }


def _vehicle_to_json(details: VehicleDetails) -> VehicleStatus | None:
    if not details.communicates:
        return None
    needs = details.needs
    return {
        "evccid": details.evccid,
        "protocol": details.protocol,
        "payment": details.payment,
        "energy_wh": needs.energy_wh if needs is not None else None,
        "departs_at": details.departs_at.isoformat() if details.departs_at is not None else None,
        "min_current_a": needs.min_current_a if needs is not None else None,
        "max_current_a": needs.max_current_a if needs is not None else None,
        "soc": details.soc,
    }


def _message_to_json(message: DisplayedMessage) -> DriverMessage:
    return {
        "topic": message.topic,
        "content": message.content.content,
        "format": message.content.format,
        "language": message.content.language,
        "since": message.since.isoformat(),
        "transaction_id": message.transaction_id,
        "personal": message.personal,
    }


def _own_prices_to_json(prices: PriceList) -> OwnPrices:
    return {
        "currency": prices.currency,
        "energy_per_kwh": str(prices.energy_per_kwh),
        "time_per_hour": str(prices.time_per_hour),
        "idle_per_hour": str(prices.idle_per_hour),
        "idle_after_s": prices.idle_after_s,
        "period": [{"name": period.name, "energy_per_kwh": str(period.energy_per_kwh)} for period in prices.period],
    }


def _stated_tariff_to_json(tariff: ShownTariff) -> StatedTariff:
    content = tariff.content
    return {
        "prices": _own_prices_to_json(tariff.prices) if tariff.prices is not None else None,
        "content": content.content if content is not None else None,
        "format": content.format if content is not None else "UTF8",
        "language": content.language if content is not None else None,
        "personal": tariff.personal,
    }


def _cost_to_json(cost: DisplayedCost) -> CostStatus:
    return {
        "transaction_id": cost.transaction_id,
        "amount": str(cost.amount),
        "currency": cost.currency,
        "final": cost.final,
        "told_by": "csms" if cost.from_csms else "station",
    }


def _reading_to_json(reading: Reading | None) -> MeterStatus | None:
    if reading is None:
        return None
    return {
        "taken_at": reading.taken_at.isoformat(),
        "energy_import_wh": reading.energy_import_wh,
        "power_w": reading.power_w,
        "currents_a": list(reading.currents_a),
        "voltages_v": list(reading.voltages_v),
    }


def _tariff_to_json(tariff: MeterTariff | None) -> TariffStatus | None:
    if tariff is None:
        return None
    return {
        "period": tariff.period,
        "index": tariff.index,
        "off_peak": tariff.off_peak,
        "today": tariff.today,
        "tomorrow": tariff.tomorrow,
        "peak_now": tariff.peak_now,
        "peak_announced": tariff.peak_announced,
        "next_day": [
            {"at": step.at.isoformat("minutes"), "index": step.index, "contact_closed": step.contact_closed}
            for step in tariff.next_day
        ],
    }
