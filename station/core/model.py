"""The nouns of the station, in the words of OCPP 2.0.1 and IEC 61851-1."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from enum import StrEnum

from foundation.frozen import frozen
from metering.reading import RegisterReading
from station.core.sampling import MeterValue


class PilotState(StrEnum):
    """What the control pilot shows (IEC 61851-1 table A.4)."""

    A = "A"
    """no vehicle"""
    B = "B"
    """vehicle connected, not ready"""
    C = "C"
    """vehicle takes energy"""
    D = "D"
    """vehicle takes energy and asks for ventilation"""
    E = "E"
    """short circuit or no power"""
    F = "F"
    """fault told by the station"""


class Fault(StrEnum):
    """What can be wrong with an EVSE."""

    GROUND_FAULT = "ground-fault"
    DC_RESIDUAL_CURRENT = "dc-residual-current"
    OVER_CURRENT = "over-current"
    OVER_TEMPERATURE = "over-temperature"
    CONTACTOR_WELDED = "contactor-welded"
    """it is closed although it has to be open"""
    CONTACTOR_STUCK_OPEN = "contactor-stuck-open"
    """it is open although it has to be closed"""
    RESIDUAL_MONITOR = "residual-monitor-failure"
    """the residual-current monitor failed its test"""
    DIODE = "diode-fault"
    PILOT = "pilot-failure"
    """the pilot is at −12 V although nobody ordered that"""
    EMERGENCY_STOP = "emergency-stop"
    POWER_SWITCH = "power-switch-failure"
    LOCK = "lock-failure"
    READER = "reader-failure"
    METER = "meter-failure"
    BOARD = "board-failure"
    """the board does not take commands"""
    BOARD_SILENT = "board-silent"
    """the board tells nothing: what it saw last is not to be believed"""
    STORAGE = "storage-failure"
    TAMPER = "tamper"
    """the station was opened, and nobody has answered for it"""


class ConnectorStatus(StrEnum):
    """ConnectorStatusEnumType."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class ChargingState(StrEnum):
    """ChargingStateEnumType."""

    CHARGING = "Charging"
    EV_CONNECTED = "EVConnected"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    IDLE = "Idle"


class BootReason(StrEnum):
    """BootReasonEnumType: why the station booted."""

    POWER_UP = "PowerUp"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    TRIGGERED = "Triggered"
    UNKNOWN = "Unknown"
    LOCAL_RESET = "LocalReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    WATCHDOG = "Watchdog"


class EventType(StrEnum):
    """TransactionEventEnumType."""

    STARTED = "Started"
    UPDATED = "Updated"
    ENDED = "Ended"


class TriggerReason(StrEnum):
    """TriggerReasonEnumType: what made a transaction event."""

    AUTHORIZED = "Authorized"
    CABLE_PLUGGED_IN = "CablePluggedIn"
    CHARGING_RATE_CHANGED = "ChargingRateChanged"
    CHARGING_STATE_CHANGED = "ChargingStateChanged"
    DEAUTHORIZED = "Deauthorized"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_COMMUNICATION_LOST = "EVCommunicationLost"
    EV_CONNECT_TIMEOUT = "EVConnectTimeout"
    METER_VALUE_CLOCK = "MeterValueClock"
    METER_VALUE_PERIODIC = "MeterValuePeriodic"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TRIGGER = "Trigger"
    UNLOCK_COMMAND = "UnlockCommand"
    STOP_AUTHORIZED = "StopAuthorized"
    EV_DEPARTED = "EVDeparted"
    EV_DETECTED = "EVDetected"
    REMOTE_STOP = "RemoteStop"
    REMOTE_START = "RemoteStart"
    ABNORMAL_CONDITION = "AbnormalCondition"
    SIGNED_DATA_RECEIVED = "SignedDataReceived"
    RESET_COMMAND = "ResetCommand"


SAMPLE_TRIGGERS = frozenset(
    {TriggerReason.METER_VALUE_PERIODIC, TriggerReason.METER_VALUE_CLOCK, TriggerReason.TRIGGER}
)
"""of events that tell nothing but meter values"""


class StoppedReason(StrEnum):
    """ReasonEnumType: what began the end of a transaction."""

    DE_AUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_DISCONNECTED = "EVDisconnected"
    GROUND_FAULT = "GroundFault"
    IMMEDIATE_RESET = "ImmediateReset"
    LOCAL = "Local"
    MASTER_PASS = "MasterPass"
    OTHER = "Other"
    OVERCURRENT_FAULT = "OvercurrentFault"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    STOPPED_BY_EV = "StoppedByEV"
    TIMEOUT = "Timeout"


class AuthorizationStatus(StrEnum):
    """AuthorizationStatusEnumType."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


CSMS_TOKEN_TYPES = frozenset({"Central", "NoAuthorization"})
"""types of id tokens that no reader reads: the CSMS made the first up for one use, the second is nobody's"""
MOST_ADDITIONAL_INFO = 4
"""pieces of additional information that an id token may carry (AuthCtrlr.AdditionalInfoItemsPerMessage)"""


@frozen
class IdToken:
    """Who wants to charge. Two are equal when value and type are (C01.FR.25); values ignore case."""

    value: str
    type: str
    additional_info: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """pairs of additional token and its type"""

    def same_as(self, other: IdToken | None) -> bool:
        """Whether both name the same holder (identifierString is case-insensitive)."""
        return other is not None and self.key == other.key

    @property
    def key(self) -> tuple[str, str]:
        """What tokens are compared and stored by."""
        return self.value.casefold(), self.type


NO_TOKEN = IdToken("", "NoAuthorization")
"""whoever charges where no authorization is wanted (C02.FR.01)"""

PAGE_TOKEN = IdToken("driver", "Local")
"""whoever is signed in as driver and starts at the page; no reader reads it"""


@frozen
class MessageContent:
    """A text for people (MessageContentType)."""

    content: str
    format: str = "UTF8"
    """MessageFormatEnumType"""
    language: str | None = None
    """RFC 5646; None: it is not told"""


@frozen
class IdTokenInfo:
    """What is known of an id token."""

    status: AuthorizationStatus
    group_id: IdToken | None = None
    expires_at: datetime | None = None
    """cacheExpiryDateTime"""
    evse_ids: tuple[int, ...] = ()
    """the EVSEs it may use; empty means all (C01.FR.19)"""
    personal_message: MessageContent | None = None
    """what its holder is to be told, such as the tariff (I01)"""
    charging_priority: int = 0
    """of its charge in the eyes of the CSMS, −9 to 9; the higher is served first (IdTokenInfoType)"""

    @property
    def accepted(self) -> bool:
        """Whether it may charge."""
        return self.status is AuthorizationStatus.ACCEPTED


@frozen
class EvseRef:
    """An EVSE, and the connector of it where one is meant."""

    evse_id: int
    connector_id: int | None = None


@frozen
class TransactionEvent:
    """One event of a transaction, as it is recorded and sent (TransactionEventRequest).

    `seq_no` is None until the outbox has recorded it: the outbox alone counts.
    """

    transaction_id: str
    evse_id: int
    event_type: EventType
    trigger: TriggerReason
    occurred_at: datetime
    seq_no: int | None = None
    offline: bool = False
    charging_state: ChargingState | None = None
    stopped_reason: StoppedReason | None = None
    id_token: IdToken | None = None
    evse: EvseRef | None = None
    """told whenever the vehicle has been connected, not repeated (E01.FR.16)"""
    remote_start_id: int | None = None
    reservation_id: int | None = None
    phases_used: int | None = None
    cable_max_a: float | None = None
    time_spent_charging_s: int | None = None
    lasted_s: float | None = None
    """since the begin, measured by a clock that nobody sets; what a power cut ended had lasted until its last event"""
    meter_values: tuple[MeterValue, ...] = ()
    register: RegisterReading | None = None
    """the register at begin and end, for the station's own records; what the CSMS gets is in `meter_values`"""
