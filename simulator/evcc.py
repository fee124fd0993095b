"""The communication controller of a simulated vehicle: plays a session of ISO 15118 by events and orders (no EXI)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from foundation.constants import NOMINAL_VOLTAGE_V
from simulator.communication_model import CommunicationFault, CommunicationModel
from station.core.vehicle_link import (
    AuthorizationOrder,
    AuthorizationProgress,
    AuthorizationRequested,
    CertificateRequested,
    CertificateResponse,
    ChargeProgress,
    ChargingNeeds,
    CurrentLimit,
    EnergyTransferMode,
    PaymentOption,
    PowerDelivery,
    PowerPeriod,
    Renegotiate,
    ScheduleOffer,
    ScheduleSelected,
    ServiceOffer,
    SessionEnd,
    SessionStarted,
    SessionStopped,
    StateOfCharge,
    StopCharging,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from foundation.clock import Clock, TimerHandle
    from simulator.vehicle import Vehicle
    from station.core.hardware.board import Outputs
    from station.core.vehicle_link import ScheduleTuple, VehicleEvent, VehicleOrder

_ANSWER_TIMEOUT_S: Final = 60.0
"""the vehicle ends its session if the answer that it waits for has not come (ISO 15118-2)"""
_MODES: Final = {
    1: EnergyTransferMode.AC_SINGLE_PHASE,
    2: EnergyTransferMode.AC_TWO_PHASE,
    3: EnergyTransferMode.AC_THREE_PHASE,
}
_SOC_INTERVAL_S: Final = 30.0
INSTALLATION_REQUEST: Final = base64.b64encode(b"\x80\x98\x02simulated CertificateInstallationReq").decode()
"""stands for an EXI message, of which the station reads nothing"""


class SimulatedEvcc:
    """Communicates for a vehicle: starts a session when the pilot asks for it, and follows the station's orders."""

    def __init__(
        self, vehicle: Vehicle, model: CommunicationModel, report: Callable[[VehicleEvent], bool], clock: Clock
    ) -> None:
        """`report` passes an event to the station; False: nobody listens."""
        self.model = model
        self._vehicle = vehicle
        self._report_event = report
        self._clock = clock
        self._digital = False
        self._asleep = False
        self._hangs = False
        self._offer: ServiceOffer | None = None
        self._expects: type[VehicleOrder] | None = None
        """the kind of the order without which it does not go on"""
        self._delivering = False
        self._limit_a = 0.0
        self._schedule: ScheduleTuple | None = None
        self._scheduled_at_s = 0.0
        self._timers: dict[str, TimerHandle] = {}
        self.in_session = False
        self.received: list[VehicleOrder] = []
        """the orders of the present session"""
        self.certificates: list[CertificateResponse] = []
        """the answers to its requests for a certificate"""

    # Called by the vehicle and the SECC

    def note_pilot(self, outputs: Outputs) -> None:
        """Begin a session when the duty cycle becomes 5 %; state F ends it, and the next 5 % begins another."""
        if outputs.pilot_fault:
            self._reset()
            self._digital = False
            return
        if self._hangs:
            return
        begins, self._digital = outputs.pilot_digital and not self._digital, outputs.pilot_digital
        if begins and not self.in_session:
            self._asleep = False
            self._after("begin", self.model.message_s, self.begin_session)

    def note_wish(self) -> None:
        """Begin or end the delivery of energy as the vehicle wishes."""
        if not self.in_session or self._schedule is None or self._hangs:
            return
        if self._vehicle.wants_energy and not self._delivering:
            self._start_delivery()
        elif not self._vehicle.wants_energy and self._delivering:
            self._stop_delivery()
            if self._vehicle.soc >= 1.0:
                self._after("end", self.model.message_s, self.stop)

    def disconnect(self) -> None:
        """End everything: the vehicle is unplugged."""
        self._reset()

    def note_link(self, *, alive: bool) -> None:
        """Note that the SECC has started or ended; a session does not survive that."""
        self._reset()
        if alive and self._digital:
            self._after("begin", self.model.message_s, self.begin_session)

    def receive(self, order: VehicleOrder) -> None:
        """Follow an order of the station."""
        if isinstance(order, ServiceOffer):
            self._offer = order
        if not self.in_session:
            return
        self.received.append(order)
        if self._expects is not None and isinstance(order, self._expects):
            self._expect(None)
        if CommunicationFault.SILENT in self.model.faults or self._hangs:
            return
        match order:
            case AuthorizationOrder():
                self._note_authorization(order)
            case CertificateResponse():
                self.certificates.append(order)
                self._after("next", self.model.message_s, self._after_certificate)
            case ScheduleOffer():
                self._choose(order)
            case CurrentLimit():
                self._limit_a = order.current_a
                self._follow_limit()
            case Renegotiate():
                self._after("renegotiate", self.model.message_s, self.renegotiate)
            case StopCharging():
                self._after("end", self.model.message_s, self.stop)
            case _:
                pass

    # What a test bench makes it do

    def renegotiate(self) -> None:
        """Negotiate a new schedule; the charge goes on meanwhile."""
        if self.in_session and self._schedule is not None:
            self._report(PowerDelivery(ChargeProgress.RENEGOTIATE))
            self._after("needs", self.model.message_s, self._send_needs)

    def pause(self) -> None:
        """End the delivery, and sleep until `wake`, or until the station wakes it."""
        if self.in_session:
            self._stop_delivery()
            self._after("end", 2 * self.model.message_s, self._sleep)

    def _sleep(self) -> None:
        self._report(SessionStopped(SessionEnd.PAUSE))
        self._reset()
        self._asleep = True
        if self.model.resume_after_s is not None:
            self._after("wake", self.model.resume_after_s, self.wake)

    def wake(self) -> None:
        """Resume a paused session."""
        if self._asleep:
            self._asleep = False
            self.begin_session()

    def stop(self) -> None:
        """End the delivery and the session."""
        if self.in_session:
            self._stop_delivery()
            self._after("end", 2 * self.model.message_s, self._terminate)

    def _terminate(self) -> None:
        self._report(SessionStopped(SessionEnd.TERMINATE))
        self._reset()

    def fail(self) -> None:
        """Break the session off: its messages are late or wrong."""
        if self.in_session:
            self._report(SessionStopped(SessionEnd.ERROR))
            self._reset()

    def hang(self) -> None:
        """Stop communicating in the middle, without an end of the session, until the pilot goes to state F."""
        self._hangs = True
        self._cancel_timers()

    # The session

    def begin_session(self) -> None:
        """Start a session, also by itself after one that it has ended."""
        self._expects, self._schedule, self._delivering = None, None, False
        self.received = []
        if not self._report_event(SessionStarted(self.model.evccid, self.model.protocol, (self.model.protocol,))):
            return
        self.in_session = True
        if CommunicationFault.WRONG_ORDER in self.model.faults:
            self._report(PowerDelivery(ChargeProgress.START))
        self._after("next", self.model.message_s, self._choose_payment)

    def _choose_payment(self) -> None:
        offered = self._offer.payment if self._offer is not None else (PaymentOption.EIM,)
        wants_contract = self.model.contract is not None or self.model.certificate_action is not None
        if not wants_contract or PaymentOption.CONTRACT not in offered:
            if wants_contract and self.model.contract_only:
                self.stop()
                return
            self._report(AuthorizationRequested())
        elif self.model.certificate_action is not None:
            garbage = CommunicationFault.GARBAGE in self.model.faults
            exi_request = "\u2620 no base64 \x00" if garbage else INSTALLATION_REQUEST
            self._report(CertificateRequested(exi_request, self.model.certificate_action))
            self._expect(CertificateResponse)
        else:
            self._report(AuthorizationRequested(self.model.contract))

    def _after_certificate(self) -> None:
        if not self.certificates[-1].accepted:
            self.stop()
        elif self.model.contract is not None:
            self._report(AuthorizationRequested(self.model.contract))

    def _note_authorization(self, order: AuthorizationOrder) -> None:
        if order.progress is AuthorizationProgress.REJECTED:
            if self.model.contract_only or self.model.contract is None:
                self._after("end", self.model.message_s, self.stop)
            else:  # it waits for a card
                self._after("next", self.model.message_s, lambda: self._report(AuthorizationRequested()))
        elif order.progress is AuthorizationProgress.ACCEPTED:
            late_s = _ANSWER_TIMEOUT_S if CommunicationFault.LATE in self.model.faults else 0.0
            self._after("needs", self.model.message_s + late_s, self._send_needs)

    def _send_needs(self) -> None:
        vehicle = self._vehicle
        energy_wh = self.model.energy_wh
        if energy_wh is None:
            energy_wh = round((1.0 - vehicle.soc) * vehicle.model.battery_wh)
        self._report(
            ChargingNeeds(
                _MODES[vehicle.model.phases],
                energy_wh,
                vehicle.max_current_a,
                self.model.min_current_a,
                departs_in_s=self.model.departs_in_s,
                max_periods=self.model.max_periods,
            )
        )
        self._expect(ScheduleOffer)

    def _choose(self, offer: ScheduleOffer) -> None:
        chosen = offer.tuples[min(self.model.schedule, len(offer.tuples)) - 1]
        plan = tuple(PowerPeriod(each.start_s, each.power_w * self.model.plan_factor) for each in chosen.periods)
        self._schedule, self._scheduled_at_s = chosen, self._clock.monotonic()
        self._limit_a = offer.max_current_a
        self._report(ScheduleSelected(chosen.id, plan if self.model.plans else ()))
        if self._vehicle.wants_energy:
            self._start_delivery()
        self._follow_schedule()

    def _start_delivery(self) -> None:
        begins, self._delivering = not self._delivering, True
        self._report(PowerDelivery(ChargeProgress.START))
        self._follow_limit()
        if begins:
            for purpose, delay_s, action in (
                ("planned-renegotiation", self.model.renegotiate_after_s, self.renegotiate),
                ("planned-pause", self.model.pause_after_s, self.pause),
                ("planned-end", self.model.stop_after_s, self.stop),
                ("failure", 10.0 if CommunicationFault.FAILS_DURING_CHARGE in self.model.faults else None, self.fail),
            ):
                if delay_s is not None:
                    self._after(purpose, delay_s, action)
            if self.model.reports_soc:
                self._report_soc()

    def _stop_delivery(self) -> None:
        if self._delivering:
            self._delivering = False
            self._vehicle.set_offer(None, reaction_s=0.0)
            self._report(PowerDelivery(ChargeProgress.STOP))

    def _report_soc(self) -> None:
        vehicle = self._vehicle
        remaining_wh = (1.0 - vehicle.soc) * vehicle.model.battery_wh
        self._report(StateOfCharge(round(vehicle.soc, 4), round(remaining_wh)))
        self._after("soc", _SOC_INTERVAL_S, self._report_soc)

    def _follow_limit(self) -> None:
        """Draw what limit and schedule allow, within one message cycle."""
        if not self._delivering:
            return
        if CommunicationFault.IGNORES_LIMIT in self.model.faults:
            self._vehicle.set_offer(self._vehicle.max_current_a, reaction_s=self.model.message_s)
            return
        scheduled_a = self._scheduled_a()
        self._vehicle.set_offer(min(self._limit_a, scheduled_a), reaction_s=self.model.message_s)

    def _scheduled_a(self) -> float:
        """The current that the chosen schedule allows now, per phase."""
        if self._schedule is None:
            return 0.0
        elapsed_s = self._clock.monotonic() - self._scheduled_at_s
        power_w = 0.0
        for period in self._schedule.periods:
            if period.start_s <= elapsed_s + 1e-6:
                power_w = period.power_w
        return power_w / (NOMINAL_VOLTAGE_V * self._vehicle.model.phases)

    def _follow_schedule(self) -> None:
        """Follow the limit again when the next period of the chosen schedule begins."""
        if self._schedule is None:
            return
        self._follow_limit()
        elapsed_s = self._clock.monotonic() - self._scheduled_at_s
        following = [each.start_s for each in self._schedule.periods if each.start_s > elapsed_s + 1e-6]
        if following:
            self._after("period", following[0] - elapsed_s, self._follow_schedule)

    def _report(self, event: VehicleEvent) -> None:
        self._report_event(event)

    def _expect(self, kind: type[VehicleOrder] | None) -> None:
        """Wait for an order of this kind, and break the session off if it does not come; None: wait no more."""
        self._expects = kind
        if kind is not None:
            self._after("timeout", _ANSWER_TIMEOUT_S, self.fail)
        elif (timer := self._timers.pop("timeout", None)) is not None:
            timer.cancel()

    def _cancel_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _reset(self) -> None:
        self._cancel_timers()
        self._hangs = False
        if self.in_session:
            self.in_session = False
            self._vehicle.set_offer(None, reaction_s=0.0)
        self._delivering, self._schedule, self._expects = False, None, None

    def _after(self, purpose: str, delay_s: float, action: Callable[[], None]) -> None:
        if (earlier := self._timers.get(purpose)) is not None:
            earlier.cancel()
        self._timers[purpose] = self._clock.call_later(delay_s, action)
