"""Interfaces to the CSMS, with an implementation for a station without one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, Protocol

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from foundation.supervision import AuxiliaryCalls, result_or_exception
from station.core.model import IdToken, IdTokenInfo

if TYPE_CHECKING:
    from energy.charging_profile import Schedule
    from station.core.vehicle_link import CertificateRequested, CertificateResponse, ChargingNeeds


_NO_CSMS: Final = "no CSMS is configured or connected"


class NoAnswerError(ExpectedError):
    """The CSMS did not answer: the link is down, too slow, or it answered with an error."""


class OcspRequest(Frozen):
    """What identifies a certificate in a request for its status (OCSPRequestDataType); hashes in hexadecimal."""

    algorithm: Literal["SHA256", "SHA384", "SHA512"]
    """HashAlgorithmEnumType"""
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    """without leading zeroes"""
    responder_url: str
    """where its authority answers such requests; empty: the certificate does not say"""


class ContractCertificate(Frozen):
    """What the station knows of the contract certificate of a vehicle, for its authorization (C07)."""

    hashes: tuple[OcspRequest, ...] = ()
    """of the contract certificate and its sub-authorities, as far as they are known"""
    chain: str | None = None
    """PEM of certificate and sub-authorities, for a CSMS that has to validate them (C07.FR.06)

    None: the station has validated them.
    """
    valid_offline: bool = False
    """whether it may be authorized while the CSMS cannot be asked: valid, and ContractValidationOffline is set"""


class AuthorizationRequest(Frozen):
    """The request for the authorization of an id token (AuthorizeRequest)."""

    id_token: IdToken
    contract: ContractCertificate | None = None
    """the certificate with which a vehicle presents its eMAID; None: the token was presented otherwise"""


class AuthorizationAnswer(Frozen):
    """The CSMS's authorization of an id token (AuthorizeResponse)."""

    token_info: IdTokenInfo
    certificate_status: str | None = None
    """validity of the contract certificate (AuthorizeCertificateStatusEnumType); None: not given"""


class Csms(Protocol):
    """The CSMS as seen by charging: whether it is online, and the source of authorizations."""

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        ...

    @property
    def accepted(self) -> bool:
        """Whether the last response to BootNotification has accepted the station, even if the CSMS is offline now.

        False after a restart or a change of the CSMS, until the next response (B02.FR.03, B03.FR.01).
        """
        ...

    async def authorize(self, request: AuthorizationRequest, /) -> AuthorizationAnswer:
        """Request the authorization of an id token from the CSMS.

        Raises:
            NoAnswerError: the CSMS did not answer.
        """
        ...


class NeedsStatus(Enum):
    """What the CSMS makes of the charging needs of a vehicle (NotifyEVChargingNeedsStatusEnumType)."""

    ACCEPTED = "Accepted"
    """it will send a charging profile"""
    REJECTED = "Rejected"
    """it has none for this vehicle"""
    PROCESSING = "Processing"
    """it will send one later"""


class VehicleCsms(Protocol):
    """The CSMS as seen by the communication with vehicles (ISO 15118)."""

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        ...

    async def notify_needs(self, evse_id: int, needs: ChargingNeeds, departs_at: datetime | None) -> NeedsStatus:
        """Notify the CSMS of the charging needs of a vehicle (K15.FR.01).

        Raises:
            NoAnswerError: the CSMS did not answer.
        """
        ...

    async def notify_schedule(self, evse_id: int, begin: datetime, schedule: Schedule) -> bool:
        """Notify the CSMS of the schedule by which a vehicle charges from `begin` on (K15.FR.10); False: rejected.

        Raises:
            NoAnswerError: the CSMS did not answer.
        """
        ...

    async def request_certificate(self, request: CertificateRequested, /) -> CertificateResponse:
        """Pass the request of a vehicle for a contract certificate on to the CSMS (M01, M02), unchanged.

        Raises:
            NoAnswerError: the CSMS did not answer.
        """
        ...


class NoVehicleCsms:
    """The `VehicleCsms` of a station without a CSMS."""

    @property
    def online(self) -> bool:
        """False: there is no CSMS."""
        return False

    async def notify_needs(self, evse_id: int, needs: ChargingNeeds, departs_at: datetime | None) -> NeedsStatus:
        """Raise `NoAnswerError` always."""
        del evse_id, needs, departs_at
        raise NoAnswerError(_NO_CSMS)

    async def notify_schedule(self, evse_id: int, begin: datetime, schedule: Schedule) -> bool:
        """Raise `NoAnswerError` always."""
        del evse_id, begin, schedule
        raise NoAnswerError(_NO_CSMS)

    async def request_certificate(self, _: CertificateRequested, /) -> CertificateResponse:
        """Raise `NoAnswerError` always."""
        raise NoAnswerError(_NO_CSMS)


class NoCsms:
    """The `Csms` of a station that is operated without one."""

    @property
    def online(self) -> bool:
        """False: there is no CSMS."""
        return False

    @property
    def accepted(self) -> bool:
        """Always true: no acceptance is needed."""
        return True

    async def authorize(self, _: AuthorizationRequest, /) -> AuthorizationAnswer:
        """Raise `NoAnswerError` always."""
        raise NoAnswerError(_NO_CSMS)


class CsmsProxy:
    """Forwards to the `Csms` of the OCPP stack; behaves as `NoCsms` until the stack calls `forward_to`.

    The stack is auxiliary, but essential tasks call it: they get an error of the stack as a CSMS that is offline or
    does not answer.
    """

    def __init__(self, auxiliary: AuxiliaryCalls) -> None:
        self._auxiliary = auxiliary
        self._csms: Csms = NoCsms()

    def forward_to(self, csms: Csms) -> None:
        """Forward all calls to this object from now on; opens no connection."""
        self._csms = csms

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        return self._auxiliary.ask(lambda: self._csms.online, default=False)

    @property
    def accepted(self) -> bool:
        """Whether the last response to BootNotification has accepted the station, or there is no CSMS."""
        return self._auxiliary.ask(lambda: self._csms.accepted, default=False)

    async def authorize(self, request: AuthorizationRequest, /) -> AuthorizationAnswer:
        """Request the authorization of an id token from the CSMS.

        Raises:
            NoAnswerError: the CSMS did not answer, or there is none.
        """
        csms = self._csms
        answer = await result_or_exception(csms.authorize(request))
        if isinstance(answer, NoAnswerError):
            raise answer
        if isinstance(answer, Exception):
            self._auxiliary.note(csms.authorize, answer)
            raise NoAnswerError(f"the request failed: {answer!r}") from answer
        return answer


class Absent(Enum):
    """Marks a DataTransfer message without data, since JSON null is valid data."""

    ABSENT = "absent"


class VendorMessage(Frozen):
    """A DataTransfer message to the CSMS (P01, P02); `data` is any JSON and passed on unchanged."""

    vendor_id: str
    message_id: str | None = None
    data: object = Absent.ABSENT
    custom_data: Mapping[str, object] | None = None
    """customData, passed on unchanged"""


class VendorAnswer(Frozen):
    """The response to a DataTransfer message, of the CSMS or of the station."""

    status: str
    """DataTransferStatusEnumType"""
    data: object = Absent.ABSENT
    custom_data: Mapping[str, object] | None = None


class VendorMessages(Protocol):
    """Vendor-specific messages (DataTransfer) to and from the CSMS."""

    async def send(self, message: VendorMessage) -> VendorAnswer:
        """Send a message to the CSMS, without repeating it, and return its response.

        Raises:
            NoAnswerError: there is no response, or the CSMS does not support DataTransfer.
        """
        ...

    def set_response(self, vendor_id: str, message_id: str | None, answer: VendorAnswer) -> None:
        """Set the station's response to each later DataTransfer of the CSMS with this vendor and message id.

        `message_id` None: those without message id. Sends nothing.

        Raises:
            ValueError: too many responses are set already.
        """
        ...


class CsmsLink(Protocol):
    """The connection to the CSMS for the local API: state, reconnection, DataTransfer, a simulated network failure."""

    @property
    def connected(self) -> bool:
        """Whether the websocket is up."""
        ...

    @property
    def connected_since(self) -> datetime | None:
        """Time at which the websocket was opened; None while it is closed."""
        ...

    @property
    def last_error(self) -> str | None:
        """Reason of the failure of the last connection attempt, as text; None if it succeeded."""
        ...

    @property
    def boot_status(self) -> str:
        """The registration status of the station at the CSMS: Unknown, Pending, Rejected or Accepted."""
        ...

    @property
    def url(self) -> str:
        """The URL of the CSMS."""
        ...

    @property
    def security_profile(self) -> int:
        """The OCPP security profile of the link."""
        ...

    @property
    def data_transfer(self) -> VendorMessages:
        """The part that sends and answers DataTransfer messages."""
        ...

    def reconnect(self, why: str) -> None:
        """Reconnect soon, after a change of credentials; pending responses are sent first. `why`: for the log."""
        ...

    def drop_connection(self) -> None:
        """Simulate that the connection is lost; the station reconnects by its back-off. Nothing without one."""
        ...

    def cut_network(self) -> None:
        """Simulate a failure of the network to the CSMS until `restore_network`."""
        ...

    def restore_network(self) -> None:
        """End the simulated network failure."""
        ...


class VariableRow(Frozen):
    """One attribute of one variable of the station's device model, with its value, for the local API."""

    component: str
    """name of the component, such as OCPPCommCtrlr"""
    component_instance: str | None
    """instance of the component; None: it has none"""
    evse: int | None
    """the EVSE of the component; None: the component is of the whole station"""
    connector: int | None
    """the connector of the component; None: the component is of no single connector"""
    variable: str
    """name of the variable, such as HeartbeatInterval"""
    instance: str | None
    """instance of the variable; None: it has none"""
    attribute: str
    """AttributeEnumType: Actual, Target, MinSet or MaxSet"""
    value: str | None
    """the present value as text, in the form of OCPP; None: it cannot be read, such as a write-only one"""
    mutability: str
    """MutabilityEnumType: ReadOnly, WriteOnly or ReadWrite"""


class Variables(Protocol):
    """The station's device model, for the local API: read its variables, and override them on a test bench."""

    def rows(self) -> list[VariableRow]:
        """The present values: one row for each attribute of each variable."""
        ...

    def override(self, row: VariableRow) -> None:
        """Apply a value at once, regardless of its mutability and without storing it.

        Raises:
            KeyError: there is no such variable.
            ValueError: why the value is refused.
        """
        ...

    def restore(self, row: VariableRow) -> None:
        """Remove the override of a variable; the value of the row is ignored.

        Raises:
            KeyError: there is no such variable.
        """
        ...
