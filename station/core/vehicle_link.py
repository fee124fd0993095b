"""The interface between an EVSE and whatever speaks ISO 15118 with its vehicle (the SECC): typed events and orders.

It carries meaning and no EXI: an adapter for an SECC, simulated or in a process of its own, is one file. What comes
from the vehicle is bounded by the types here. Currents are amperes per phase, powers are watts of all phases together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Protocol, TypeAlias

from msgspec import Meta

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen

ISO_15118_2: Final = "urn:iso:15118:2:2013:MsgDef,2,0"
"""the protocol of ISO 15118-2, in the form of ConnectedEV.ProtocolAgreed: namespace, major and minor version"""
MAX_CHAIN_CHARACTERS: Final = 16_384
"""longest certificate chain of a vehicle, as PEM: a leaf and three authorities have some 5,000 characters"""
_MAX_REQUEST_CHARACTERS: Final = 16_384
"""of a request for a certificate: what a vehicle sends must not cost the SECC its connection"""
MAX_EXI_CHARACTERS: Final = 5_600
"""longest EXI message that OCPP can pass on, in base64 (Get15118EVCertificateRequest.exiRequest)"""
MAX_SCHEDULES: Final = 3
"""schedules that a vehicle can choose from (ISO 15118-2: SAScheduleTuple)"""
_MAX_PERIODS: Final = 1024
_MAX_DURATION_S: Final = 604_800
"""a week: departure and schedules are within it"""
_MAX_A: Final = 1_000.0
_MAX_V: Final = 2_000.0
_MAX_W: Final = 10_000_000.0
_MAX_WH: Final = 10_000_000.0

_Amperes = Annotated[float, Meta(ge=0.0, le=_MAX_A)]
_Seconds = Annotated[int, Meta(ge=0, le=_MAX_DURATION_S)]
_Protocol = Annotated[str, Meta(min_length=1, max_length=100)]
_Part = Annotated[float, Meta(ge=0.0, le=1.0)]
_TupleId = Annotated[int, Meta(ge=1, le=255)]


class VehicleLinkError(ExpectedError):
    """The SECC of an EVSE has ended or does not answer; a later attempt may succeed."""


class EnergyTransferMode(StrEnum):
    """How a vehicle takes its energy (EnergyTransferModeEnumType, without DC)."""

    AC_SINGLE_PHASE = "AC_single_phase"
    AC_TWO_PHASE = "AC_two_phase"
    AC_THREE_PHASE = "AC_three_phase"

    @property
    def phases(self) -> int:
        """The number of phases that the vehicle draws from."""
        return {self.AC_SINGLE_PHASE: 1, self.AC_TWO_PHASE: 2}.get(self, 3)


class PaymentOption(StrEnum):
    """How a vehicle may be authorized."""

    EIM = "eim"
    """by external identification means: card, remote start, display (C08)"""
    CONTRACT = "contract"
    """by its contract certificate: Plug & Charge (C07)"""


class CertificateAction(StrEnum):
    """What a vehicle wants of its contract certificate (CertificateActionEnumType)."""

    INSTALL = "Install"
    UPDATE = "Update"


class ChargeProgress(StrEnum):
    """What a vehicle wants of the power delivery (ISO 15118-2: ChargeProgress)."""

    START = "start"
    STOP = "stop"
    RENEGOTIATE = "renegotiate"
    """a new schedule; the charge goes on meanwhile"""


class SessionEnd(StrEnum):
    """How a V2G session has ended."""

    TERMINATE = "terminate"
    """by the vehicle, for good (ISO 15118-2: SessionStopReq(Terminate))"""
    PAUSE = "pause"
    """the vehicle sleeps, and will resume the session"""
    ERROR = "error"
    """a message was missing, late, in the wrong order or invalid"""


class AuthorizationProgress(StrEnum):
    """The state of the authorization that a vehicle waits for."""

    ONGOING = "ongoing"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class RejectionReason(StrEnum):
    """Why a contract is rejected, as an SECC reports it to the vehicle."""

    EXPIRED = "certificate-expired"
    NOT_YET_VALID = "certificate-not-yet-valid"
    REVOKED = "certificate-revoked"
    CHAIN = "certificate-chain-error"
    """the chain cannot be verified: a signature, its order, or a missing root"""
    CONTRACT = "contract-cancelled"
    """the certificate is valid, and the eMAID may not charge"""
    NOT_ALLOWED = "not-allowed"
    """the station accepts no contract now: Plug & Charge is off, or it is offline and may not validate"""
    EVSE = "evse-not-available"
    """the contract may charge, and this EVSE cannot"""


# Events: from the vehicle to the station


class SessionStarted(Frozen, tag_field="event", tag="session_started"):
    """A V2G session has begun, or a paused one goes on (SessionSetupReq)."""

    evccid: Annotated[str, Meta(min_length=1, max_length=255)]
    """identification of the vehicle's communication controller: its MAC address in ISO 15118-2"""
    protocol: _Protocol = ISO_15118_2
    """the protocol agreed: namespace, major and minor version, separated by commas"""
    supported_protocols: Annotated[tuple[_Protocol, ...], Meta(max_length=20)] = ()
    """the protocols that the vehicle offered, the preferred one first"""


class Contract(Frozen):
    """A contract of a vehicle, as it presents it."""

    emaid: Annotated[str, Meta(min_length=1, max_length=36)]
    """e-mobility account identifier"""
    chain: Annotated[str, Meta(min_length=1, max_length=MAX_CHAIN_CHARACTERS)]
    """PEM of the contract certificate and its sub-authorities, leaf first, without the root"""


class AuthorizationRequested(Frozen, tag_field="event", tag="authorization_requested"):
    """The vehicle waits for its authorization; it is answered with `AuthorizationOrder`."""

    contract: Contract | None = None
    """None: it has chosen external identification means"""


class CertificateRequested(Frozen, tag_field="event", tag="certificate_requested"):
    """The vehicle requests a contract certificate; it is answered with `CertificateResponse`."""

    exi_request: Annotated[str, Meta(min_length=1, max_length=_MAX_REQUEST_CHARACTERS)]
    """CertificateInstallationReq or CertificateUpdateReq in base64; one of more than 5,600 characters is refused"""
    action: CertificateAction = CertificateAction.INSTALL
    schema_version: Annotated[str, Meta(min_length=1, max_length=50)] = "urn:iso:15118:2:2013:MsgDef"
    """namespace of the schema of the request"""
    maximum_chains: Annotated[int, Meta(ge=1, le=128)] = 1
    """number of contract certificate chains that the vehicle accepts"""


class ChargingNeeds(Frozen, tag_field="event", tag="charging_needs"):
    """What the vehicle needs (ChargeParameterDiscoveryReq); it is answered with `ScheduleOffer`."""

    mode: EnergyTransferMode
    energy_wh: Annotated[float, Meta(ge=0.0, le=_MAX_WH)]
    """energy requested"""
    max_current_a: _Amperes
    """most that the vehicle can draw, per phase"""
    min_current_a: _Amperes = 0.0
    """least with which the vehicle charges, per phase"""
    max_voltage_v: Annotated[float, Meta(ge=0.0, le=_MAX_V)] = 400.0
    departs_in_s: _Seconds | None = None
    """seconds until the vehicle leaves; None: it does not say"""
    max_periods: Annotated[int, Meta(ge=1, le=_MAX_PERIODS)] | None = None
    """most periods of a schedule that the vehicle can read; None: it does not say"""


class PowerPeriod(Frozen):
    """A period of a schedule: at most `power_w` from `start_s` seconds after its begin, until the next period."""

    start_s: _Seconds
    power_w: Annotated[float, Meta(ge=0.0, le=_MAX_W)]


class ScheduleSelected(Frozen, tag_field="event", tag="schedule_selected"):
    """The vehicle has chosen one of the schedules offered (PowerDeliveryReq)."""

    tuple_id: _TupleId
    """`id` of the chosen `ScheduleTuple`"""
    plan: Annotated[tuple[PowerPeriod, ...], Meta(max_length=_MAX_PERIODS)] = ()
    """how the vehicle plans to charge; empty: it does not say, and may use the schedule fully"""


class PowerDelivery(Frozen, tag_field="event", tag="power_delivery"):
    """The vehicle wants energy, no more energy, or a new schedule."""

    progress: ChargeProgress


class StateOfCharge(Frozen, tag_field="event", tag="state_of_charge"):
    """What the vehicle says of its battery; ISO 15118-2 has no such message for AC, ISO 15118-20 has."""

    soc: _Part | None = None
    """state of charge, 0 to 1"""
    remaining_wh: Annotated[float, Meta(ge=0.0, le=_MAX_WH)] | None = None
    """energy that it still takes"""


class SessionStopped(Frozen, tag_field="event", tag="session_stopped"):
    """The V2G session has ended."""

    end: SessionEnd


VehicleEvent: TypeAlias = (
    SessionStarted
    | AuthorizationRequested
    | CertificateRequested
    | ChargingNeeds
    | ScheduleSelected
    | PowerDelivery
    | StateOfCharge
    | SessionStopped
)
"""what an SECC reports"""


# Orders: from the station to the vehicle


class ServiceOffer(Frozen, tag_field="order", tag="offer"):
    """What a vehicle may be offered at the begin of a session (ServiceDiscoveryRes)."""

    evse_id: str
    """ISO15118EvseId"""
    payment: tuple[PaymentOption, ...]
    """the payment options, the preferred one first"""
    modes: tuple[EnergyTransferMode, ...]
    """the energy transfer modes of the EVSE"""
    free: bool = False
    """whether charging needs no authorization"""
    certificate_installation: bool = False
    """whether the vehicle may request a contract certificate"""


class AuthorizationOrder(Frozen, tag_field="order", tag="authorization"):
    """The state of the authorization that the vehicle has requested."""

    progress: AuthorizationProgress
    reason: RejectionReason | None = None
    """why it is rejected; None: it is not"""


class ScheduleTuple(Frozen):
    """A schedule that the vehicle may choose: the highest power over time, and its tariff."""

    id: _TupleId
    periods: tuple[PowerPeriod, ...]
    """in order; the first starts at 0, which is when the schedule is offered"""
    duration_s: _Seconds
    """seconds from its begin to its end"""
    sales_tariff: str | None = None
    """salesTariff of the CSMS as JSON (SalesTariffType); None: none"""


class ScheduleOffer(Frozen, tag_field="order", tag="schedules"):
    """The schedules that the vehicle may choose from, at most `MAX_SCHEDULES` (SAScheduleList)."""

    tuples: tuple[ScheduleTuple, ...]
    max_current_a: float
    """the current that the EVSE offers now, per phase (EVSEMaxCurrent)"""


class CurrentLimit(Frozen, tag_field="order", tag="limit"):
    """The current that the vehicle may draw from now on, per phase (EVSEMaxCurrent); 0: none."""

    current_a: float


class Renegotiate(Frozen, tag_field="order", tag="renegotiate"):
    """The vehicle must request new schedules (EVSENotification = ReNegotiation)."""


class PauseCharging(Frozen, tag_field="order", tag="pause"):
    """The vehicle shall pause until the current limit is above 0 again."""


class StopCharging(Frozen, tag_field="order", tag="stop"):
    """The vehicle must end the session (EVSENotification = StopCharging)."""


class CertificateResponse(Frozen, tag_field="order", tag="certificate_response"):
    """The answer to `CertificateRequested`, passed on unchanged."""

    accepted: bool
    exi_response: str = ""
    """CertificateInstallationRes or CertificateUpdateRes in base64; empty: there is none"""


class MeterOrder(Frozen, tag_field="order", tag="meter"):
    """A reading of the billing meter for the vehicle (MeterInfo)."""

    energy_wh: float
    """import register"""
    taken_at: datetime
    receipt_required: bool = False
    """whether the vehicle shall sign a receipt (ISO15118Ctrlr.RequestMeteringReceipt)"""


class ContactorOrder(Frozen, tag_field="order", tag="contactor"):
    """Whether the contactor of the EVSE is closed."""

    closed: bool


class CertificateStatus(Frozen):
    """The OCSP response for one certificate of the SECC's chain, for its TLS handshake."""

    serial_number: str
    """of the certificate, hexadecimal without leading zeroes"""
    response: str
    """OCSPResponse, DER in base64"""


class SeccCredentials(Frozen, tag_field="order", tag="credentials"):
    """The certificate with which the SECC proves its identity to vehicles; sent when it changes."""

    file: str
    """PEM file with private key and chain, readable by the user of the station only; empty: there is none"""
    fingerprint: str = ""
    """SHA-256 of the certificate, lower-case hexadecimal: changes whenever the file does"""
    statuses: tuple[CertificateStatus, ...] = ()
    """the cached status of leaf and sub-authorities (M06)"""


VehicleOrder: TypeAlias = (
    ServiceOffer
    | AuthorizationOrder
    | ScheduleOffer
    | CurrentLimit
    | Renegotiate
    | PauseCharging
    | StopCharging
    | CertificateResponse
    | MeterOrder
    | ContactorOrder
    | SeccCredentials
)
"""what a station has an SECC do"""


class VehicleLink(Protocol):
    """The link of one EVSE to whatever speaks ISO 15118 with its vehicle."""

    def events(self) -> AsyncGenerator[VehicleEvent | None]:
        """Connect, yield None once the SECC answers, then what it reports; closing it releases the link.

        Raises:
            VehicleLinkError: the SECC is not reachable, has gone, does not answer any more, or breaks its protocol.
        """
        ...

    async def send(self, order: VehicleOrder, /) -> None:
        """Send an order; returns when the SECC has it, not when the vehicle has followed.

        Raises:
            VehicleLinkError: the SECC is not reachable.
        """
        ...
