"""The communication with the vehicle of one EVSE: passes its events on, and sends what follows from the state.

Auxiliary: whatever fails here, the EVSE goes on by IEC 61851-1. Orders that express a state are level-triggered: the
present one is computed and sent if it differs from the last; those that answer a request are sent once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.supervision import AuxiliaryCalls
from station.charging.evse_state import allowed_a
from station.charging.vehicle_details import UNKNOWN_VEHICLE, VehicleDetails
from station.charging.vehicle_state import Communication, Delivery, VehicleSignal
from station.core.csms import NeedsStatus
from station.core.vehicle_link import (
    AuthorizationOrder,
    AuthorizationProgress,
    AuthorizationRequested,
    CertificateRequested,
    CertificateResponse,
    ChargeProgress,
    ChargingNeeds,
    ContactorOrder,
    CurrentLimit,
    MeterOrder,
    PaymentOption,
    PowerDelivery,
    RejectionReason,
    Renegotiate,
    ScheduleOffer,
    ScheduleSelected,
    SeccCredentials,
    ServiceOffer,
    SessionEnd,
    SessionStarted,
    SessionStopped,
    StateOfCharge,
    StopCharging,
    VehicleLink,
    VehicleLinkError,
    VehicleOrder,
)
from station.vehicle.contract_authorization import ContractAuthorization, refuses_contract
from station.vehicle.schedule_offer import supported_modes
from station.vehicle.vehicle_notices import VehicleNotices
from station.vehicle.vehicle_settings import UNKNOWN_EVSE_ID, VehicleSettings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from foundation.clock import Clock
    from foundation.events import Unsubscribe
    from metering.reading import Reading
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.charging.evse import Evse
    from station.core.vehicle_link import Contract, VehicleEvent
    from station.vehicle.recognition import VehicleRecognition
    from station.vehicle.secc_credentials import SeccCredentialsSource
    from station.vehicle.vehicle_schedules import VehicleSchedules

_log = logging.getLogger(__name__)

_SIGNALS: Final = {
    SessionEnd.TERMINATE: VehicleSignal.SESSION_TERMINATED,
    SessionEnd.PAUSE: VehicleSignal.SESSION_PAUSED,
    SessionEnd.ERROR: VehicleSignal.SESSION_FAILED,
}
_PROFILE_WAIT_S: Final = 35.0
"""the vehicle waits 40 s for its schedules (ISO 15118-2, sequence performance time): meanwhile the CSMS may send one"""
_NEGOTIATION_S: Final = 60.0
"""after this time a negotiation that has not come to its end is given up"""
_MOST_DOUBLINGS: Final = 6
"""of the wait after an order that the vehicle ignores: an hour"""
_SCHEDULE_CHECK_S: Final = 60.0
"""interval at which the schedules are compared with the composite schedule, which the other EVSEs change too"""
_EVENTS_PER_WINDOW: Final = 200
_WINDOW_S: Final = 10.0
"""an SECC that reports more than this is broken: a session of ISO 15118-2 has some four messages a second"""

_StateOrder: TypeAlias = ServiceOffer | SeccCredentials | CurrentLimit | ContactorOrder | AuthorizationOrder


class VehicleServices(Frozen):
    """What the communication with vehicles uses of the station; the same for all EVSEs."""

    contracts: ContractAuthorization
    recognition: VehicleRecognition
    notices: VehicleNotices
    authorization: AuthorizationSettings
    clock: Clock
    auxiliary: AuxiliaryCalls


class VehicleCommunication:
    """Communicates with the vehicle of one EVSE through its link."""

    def __init__(
        self,
        evse: Evse,
        link: VehicleLink,
        schedules: VehicleSchedules,
        credentials: SeccCredentialsSource,
        settings: VehicleSettings,
        services: VehicleServices,
    ) -> None:
        self.evse = evse
        self.settings = settings
        self.details = evse.vehicle_details
        """what is known of the vehicle"""
        self._link = link
        self._schedules = schedules
        self._credentials = credentials
        self._services = services
        self._changed = ChangeSignal()
        self._answers: deque[VehicleOrder] = deque()
        """orders that are sent once, in this order"""
        self._sent: dict[type, VehicleOrder] = {}
        """the last order of each kind that expresses a state"""
        self._authorization: AuthorizationOrder | None = None
        """the answer to the authorization that the vehicle waits for; None: it waits for none"""
        self._schedules_changed = ChangeSignal()
        """notified when the schedules have to be compared with the composite schedule"""
        self._ordered_until_s = 0.0
        """until then, a negotiation of the vehicle is the one that the station has ordered (K16.FR.09)"""
        self._next_order_s = 0.0
        """no negotiation is ordered before: the vehicle has not answered the last order yet, or ignores them"""
        self._ignored_orders = 0
        self._negotiating_until_s = 0.0
        """until then, the vehicle is about to get new schedules: a change meanwhile needs no negotiation of its own"""
        self._authorized = False
        """whether the EVSE is authorized, as last looked at"""
        self._needs_notified = False
        """whether the CSMS knows the needs of this session, as far as it could be reached"""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """what waits for the CSMS, by kind: one at a time"""
        self._problem = ""
        """why the SECC was lost last, so that it is said once; empty: it is not"""
        self._window_began_s = 0.0
        self._events_in_window = 0

    @property
    def linked(self) -> bool:
        """Whether the SECC answers."""
        return self.evse.state.vehicle.linked

    @property
    def awaits_needs(self) -> bool:
        """Whether the needs of the vehicle are still to come: a profile of the CSMS would be too early (K15.FR.17)."""
        vehicle = self.evse.state.vehicle
        in_session = vehicle.communication is Communication.SESSION and vehicle.delivery is Delivery.NONE
        return in_session and self.evse.transaction_id is not None and not self._needs_notified

    async def run(self) -> None:
        """Task until the link is lost, or cancelled: process events and send orders.

        Raises:
            VehicleLinkError: the SECC has gone; the EVSE charges without communication until it is back.
        """
        unsubscribe = self._subscribe()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_orders(), name=f"evse-{self.evse.id}-vehicle-orders")
                group.create_task(self._follow_evse(), name=f"evse-{self.evse.id}-vehicle-state")
                group.create_task(self._follow_schedules(), name=f"evse-{self.evse.id}-vehicle-schedules")
                await self._receive(group)
        except* VehicleLinkError as errors:
            problem = f"EVSE {self.evse.id}: {errors.exceptions[0]}"
            if problem != self._problem:
                self._problem = problem
                _log.warning("%s; vehicles charge without communication until the SECC is back", problem)
            raise VehicleLinkError(problem) from None
        finally:
            for end in unsubscribe:
                end()
            self._forget_session()
            self._sent.clear()
            self.evse.apply_vehicle_signal(VehicleSignal.LINK_LOST)

    def _subscribe(self) -> list[Unsubscribe]:
        evse, auxiliary = self.evse, self._services.auxiliary
        return [
            auxiliary.subscribe(evse.meter.reading_taken, self._note_reading),
            auxiliary.subscribe(self._schedules.profiles_changed, lambda _: self._note_profiles()),
            auxiliary.subscribe(self._credentials.changed, lambda _: self._changed.notify()),
            auxiliary.subscribe(self.settings.any_changed, lambda _: self._changed.notify()),
        ]

    # Events

    async def _receive(self, group: asyncio.TaskGroup) -> None:
        async with contextlib.aclosing(self._link.events()) as events:
            async for event in events:
                if event is None:
                    _log.info("EVSE %d: the SECC is ready", self.evse.id)
                    self._problem = ""
                    self.evse.apply_vehicle_signal(VehicleSignal.LINKED)
                    self._changed.notify()
                    continue
                self._count_event()
                self._process(event, group)

    def _count_event(self) -> None:
        now_s = self._services.clock.monotonic()
        if now_s - self._window_began_s >= _WINDOW_S:
            self._window_began_s, self._events_in_window = now_s, 0
        self._events_in_window += 1
        if self._events_in_window > _EVENTS_PER_WINDOW:
            raise VehicleLinkError(f"the SECC has reported more than {_EVENTS_PER_WINDOW} events in {_WINDOW_S:g} s")

    def _process(self, event: VehicleEvent, group: asyncio.TaskGroup) -> None:
        if isinstance(event, SessionStarted):
            self._begin_session(event)
            return
        if self.evse.state.vehicle.communication is not Communication.SESSION:
            _log.debug("EVSE %d: %s is ignored: no session is open", self.evse.id, type(event).__name__)
            return
        match event:
            case AuthorizationRequested():
                self._request_authorization(event.contract, group)
            case CertificateRequested():
                self._replace_task("certificate", self._request_certificate(event), group)
            case ChargingNeeds():
                self._negotiating_until_s = self._now_s + _NEGOTIATION_S
                self._replace_task("needs", self._negotiate(event), group)
            case ScheduleSelected():
                self._note_selection(event, group)
            case PowerDelivery():
                self._note_delivery(event.progress)
            case StateOfCharge():
                if event.soc is not None:
                    self.details.update(soc=event.soc)
            case SessionStopped():
                _log.info("EVSE %d: the vehicle has ended its session: %s", self.evse.id, event.end)
                self._forget_session(keeps_details=event.end is SessionEnd.PAUSE)
                self.evse.apply_vehicle_signal(_SIGNALS[event.end])

    def _begin_session(self, event: SessionStarted) -> None:
        self._forget_session()
        self.evse.apply_vehicle_signal(VehicleSignal.SESSION_STARTED)
        if self.evse.state.vehicle.communication is not Communication.SESSION:
            self._answer(StopCharging())
            return
        _log.info("EVSE %d: a vehicle communicates by %s", self.evse.id, event.protocol)
        self.details.set(VehicleDetails(event.evccid, event.protocol, event.supported_protocols))
        self._changed.notify()

    def _forget_session(self, *, keeps_details: bool = False) -> None:
        """Forget the session; a vehicle that pauses still wants what it has said."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._answers.clear()
        self._authorization = None
        self._ordered_until_s = self._next_order_s = self._negotiating_until_s = 0.0
        self._ignored_orders = 0
        self._needs_notified = False
        self._schedules.forget()
        for kind in (CurrentLimit, ContactorOrder, AuthorizationOrder):
            self._sent.pop(kind, None)
        if not keeps_details:
            self.details.set(UNKNOWN_VEHICLE)

    def _note_delivery(self, progress: ChargeProgress) -> None:
        match progress:
            case ChargeProgress.START:
                self._negotiating_until_s = 0.0
                self.evse.apply_vehicle_signal(VehicleSignal.DELIVERY_STARTED)
                self._schedules_changed.notify()  # a profile may have come after the offer
            case ChargeProgress.STOP:
                self.evse.apply_vehicle_signal(VehicleSignal.DELIVERY_STOPPED)
            case ChargeProgress.RENEGOTIATE:
                self._negotiating_until_s = self._now_s + _NEGOTIATION_S  # its needs follow, and the charge goes on

    # Authorization

    def _request_authorization(self, contract: Contract | None, group: asyncio.TaskGroup) -> None:
        """Answer at once if the EVSE is authorized; else ask, and answer when the state of the EVSE shows it."""
        self.details.update(payment=PaymentOption.EIM if contract is None else PaymentOption.CONTRACT)
        self._authorization = AuthorizationOrder(AuthorizationProgress.ONGOING)
        self._sent.pop(AuthorizationOrder, None)
        self._changed.notify()
        if self.evse.state.authorization is not None:
            return
        if contract is not None:
            self._replace_task("authorization", self._authorize_contract(contract), group)
        elif (evccid := self.details.current.evccid) is not None:
            self._replace_task("authorization", self._recognize(evccid), group)

    async def _authorize_contract(self, contract: Contract) -> None:
        reason = await self._services.contracts.authorize(self.evse.id, contract, self.settings)
        if reason is None or self.evse.state.authorization is not None:
            return
        if refuses_contract(reason):
            self.evse.apply_vehicle_signal(VehicleSignal.CONTRACT_REFUSED)
        self._reject(reason)

    def _reject(self, reason: RejectionReason) -> None:
        self._authorization = AuthorizationOrder(AuthorizationProgress.REJECTED, reason)
        self._changed.notify()

    async def _recognize(self, evccid: str) -> None:
        await self._services.recognition.authorize(self.evse.id, evccid)

    # Contract certificates (M01, M02)

    async def _request_certificate(self, request: CertificateRequested) -> None:
        if self.settings.contract_certificate_installation_enabled:
            self._answer(await self._services.notices.request_certificate(self.evse.id, request))
        else:
            self._answer(CertificateResponse(accepted=False))

    # Schedules (K15 to K17)

    async def _negotiate(self, needs: ChargingNeeds) -> None:
        """Notify the CSMS of the needs, wait for its profile as long as the vehicle can, and offer the schedules."""
        clock, departs_in_s = self._services.clock, needs.departs_in_s
        departs_at = clock.now() + timedelta(seconds=departs_in_s) if departs_in_s is not None else None
        self.details.update(needs=needs, departs_at=departs_at)
        ordered, self._ordered_until_s = self._now_s < self._ordered_until_s, 0.0
        self._next_order_s, self._ignored_orders = 0.0, 0
        if not ordered:  # K16.FR.09
            try:
                async with clock.timeout(_PROFILE_WAIT_S):
                    await self._notify_needs(needs)
            except TimeoutError:
                _log.info("EVSE %d: the CSMS has sent no schedule in time", self.evse.id)
        self._needs_notified = True
        offered = await self._schedules.offer(needs)
        self._negotiating_until_s = 0.0
        self._answer(ScheduleOffer(offered.tuples, min(allowed_a(self.evse.state), self.evse.pilot.permitted_a)))

    async def _notify_needs(self, needs: ChargingNeeds) -> None:
        """Notify the CSMS of the needs, and wait for its profile if it accepts them; offline nothing (K15.FR.15)."""
        notices = self._services.notices
        if not notices.online:
            return
        await notices.deliver_events()
        self._needs_notified = True
        count_before = self._schedules_changed.count
        status = await notices.notify_needs(self.evse.id, needs, self.details.current.departs_at)
        if status is not NeedsStatus.ACCEPTED:
            return
        while self._schedules_changed.count == count_before or not self._schedules.transaction_profiles():
            await self._schedules_changed.wait(self._schedules_changed.count)

    def _note_selection(self, selected: ScheduleSelected, group: asyncio.TaskGroup) -> None:
        if (found := self._schedules.select(selected)) is not None:
            notice = self._services.notices.notify_schedule(self.evse.id, *found)
            self._replace_task("schedule", notice, group)

    async def _follow_schedules(self) -> None:
        """Order a new negotiation whenever the schedules have changed (K16.FR.02); `CurrentLimit` does not wait for it.

        A change of the profiles is noticed at once, one by the load management within a minute.
        """
        while True:
            count_before = self._schedules_changed.count
            if not self._negotiates and await self._schedules.changed_since_offer() and not self._negotiates:
                _log.info("EVSE %d: the schedule has changed; the vehicle negotiates anew", self.evse.id)
                self._ordered_until_s = self._now_s + _NEGOTIATION_S
                self._next_order_s = self._now_s + _NEGOTIATION_S * 2.0 ** min(self._ignored_orders, _MOST_DOUBLINGS)
                self._ignored_orders += 1
                self._answer(Renegotiate())
            await self._schedules_changed.wait_for(count_before, self._services.clock, _SCHEDULE_CHECK_S)

    @property
    def _negotiates(self) -> bool:
        """Whether a negotiation is under way, or none is possible as no energy is delivered."""
        delivering = self.evse.state.vehicle.delivery is Delivery.STARTED
        return not delivering or self._now_s < max(self._next_order_s, self._negotiating_until_s)

    def _note_profiles(self) -> None:
        """Compare the schedules at once, also for a vehicle that has ignored an order."""
        self._next_order_s = 0.0
        self._schedules_changed.notify()

    @property
    def _now_s(self) -> float:
        return self._services.clock.monotonic()

    # Orders

    def _answer(self, order: VehicleOrder) -> None:
        self._answers.append(order)
        self._changed.notify()

    async def _follow_evse(self) -> None:
        count, self._authorized = self.evse.changed.count, self.evse.state.authorization is not None
        while True:
            count = await self.evse.changed.wait(count)
            self._stop_if_deauthorized()
            if self.details.current.communicates and self.evse.state.vehicle.communication is Communication.NONE:
                self._forget_session()  # it has been unplugged
            self._changed.notify()

    def _stop_if_deauthorized(self) -> None:
        """Order the end of the session once its charge was stopped by card, CSMS or fault, and not by the vehicle."""
        was_authorized, self._authorized = self._authorized, self.evse.state.authorization is not None
        in_session = self.evse.state.vehicle.communication is Communication.SESSION
        if was_authorized and not self._authorized and in_session:
            self._authorization = None
            self._answer(StopCharging())

    async def _send_orders(self) -> None:
        while True:
            count_before = self._changed.count
            while self.linked and (order := self._next_order()) is not None:
                await self._link.send(order)
            await self._changed.wait(count_before)

    def _next_order(self) -> VehicleOrder | None:
        """The order to send now, by the present state; None: the SECC has all."""
        for order in self._state_orders():
            if self._sent.get(type(order)) != order:
                self._sent[type(order)] = order
                return order
        return self._answers.popleft() if self._answers else None

    def _state_orders(self) -> list[_StateOrder]:
        """The orders that express the present state."""
        orders: list[_StateOrder] = [self._credentials.of(self.evse.id), self._service_offer()]
        if self.evse.state.vehicle.communication is not Communication.SESSION:
            return orders
        if self._authorization is not None:
            if self.evse.state.authorization is not None:
                self._authorization = AuthorizationOrder(AuthorizationProgress.ACCEPTED)
            orders.append(self._authorization)
        if self.evse.state.vehicle.delivery is not Delivery.NONE:
            orders.append(CurrentLimit(self._offered_a))
        orders.append(ContactorOrder(self.evse.state.observation.contactor_closed))
        return orders

    def refresh(self) -> None:
        """Send the orders that differ from the last ones: the CSMS has come or gone."""
        self._changed.notify()

    @property
    def _offered_a(self) -> float:
        """The current that the vehicle may draw now: what the pilot would signal, in A per phase; 0: none."""
        return min(self.evse.offered_a, self.evse.pilot.permitted_a)

    def _service_offer(self) -> ServiceOffer:
        settings, online = self.settings, self._services.notices.online
        contract = settings.pnc_enabled and (online or settings.contract_validation_offline)
        return ServiceOffer(
            settings.iso15118_evse_id or UNKNOWN_EVSE_ID,
            (PaymentOption.CONTRACT, PaymentOption.EIM) if contract else (PaymentOption.EIM,),
            supported_modes(self.evse.layout.phases),
            free=not self._services.authorization.auth_enabled,
            certificate_installation=contract and online and settings.contract_certificate_installation_enabled,
        )

    def _note_reading(self, reading: Reading) -> None:
        """Send the register to a vehicle that charges."""
        if reading.energy_import_wh is None or self.evse.state.vehicle.delivery is not Delivery.STARTED:
            return
        receipt = self.settings.request_metering_receipt
        order = MeterOrder(reading.energy_import_wh, reading.taken_at, receipt)
        if not any(isinstance(waiting, MeterOrder) for waiting in self._answers):
            self._answer(order)

    def _replace_task(self, kind: str, work: Coroutine[None, None, None], group: asyncio.TaskGroup) -> None:
        """Start what waits for the CSMS, in place of an earlier task of its kind."""
        if (earlier := self._tasks.pop(kind, None)) is not None:
            earlier.cancel()
        self._tasks[kind] = group.create_task(work, name=f"evse-{self.evse.id}-vehicle-{kind}")
