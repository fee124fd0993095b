"""The domain model of the station, in the terms of OCPP 2.0.1 and IEC 61851-1."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundation.frozen import Frozen
from metering.reading import RegisterReading
from station.core.identifiers import shorten_token
from station.core.sampling import MeterValue


class PilotState(StrEnum):
    """The state of the control pilot (IEC 61851-1 table A.4)."""

    A = "A"
    """no vehicle"""
    B = "B"
    """vehicle connected, not ready"""
    C = "C"
    """vehicle ready to charge"""
    D = "D"
    """vehicle ready to charge, ventilation required"""
    E = "E"
    """short circuit or no power"""
    F = "F"
    """fault signalled by the station"""


class Fault(StrEnum):
    """What can be wrong at an EVSE, as found by its board, meter, reader or the station itself."""

    GROUND_FAULT = "ground-fault"
    DC_RESIDUAL_CURRENT = "dc-residual-current"
    OVER_CURRENT = "over-current"
    OVER_TEMPERATURE = "over-temperature"
    CONTACTOR_WELDED = "contactor-welded"
    """the contactor is closed although commanded open"""
    CONTACTOR_STUCK_OPEN = "contactor-stuck-open"
    """the contactor is open although commanded closed"""
    RESIDUAL_MONITOR = "residual-monitor-failure"
    """the residual-current monitor failed its test"""
    DIODE = "diode-fault"
    PILOT = "pilot-failure"
    """the pilot is at −12 V although not commanded"""
    EMERGENCY_STOP = "emergency-stop"
    POWER_SWITCH = "power-switch-failure"
    """the board did not switch the phases as commanded"""
    LOCK = "lock-failure"
    READER = "reader-failure"
    METER = "meter-failure"
    BOARD = "board-failure"
    """the board does not execute commands"""
    BOARD_SILENT = "board-silent"
    """the board sends no observations: the last one is out of date"""
    STORAGE = "storage-failure"
    TAMPER = "tamper"
    """the station was opened, and this has not been acknowledged"""


class ConnectorStatus(StrEnum):
    """The status of a connector, as the CSMS receives it (ConnectorStatusEnumType)."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class ChargingState(StrEnum):
    """The charging state of an EVSE, as the events of its transaction report it (ChargingStateEnumType)."""

    CHARGING = "Charging"
    EV_CONNECTED = "EVConnected"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    IDLE = "Idle"


class BootReason(StrEnum):
    """Why the station booted, as BootNotification reports it (BootReasonEnumType)."""

    POWER_UP = "PowerUp"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    TRIGGERED = "Triggered"
    UNKNOWN = "Unknown"
    LOCAL_RESET = "LocalReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    WATCHDOG = "Watchdog"
    APPLICATION_RESET = "ApplicationReset"
    """after an error of this program"""


class EventType(StrEnum):
    """Whether a transaction event begins, updates or ends its transaction (TransactionEventEnumType)."""

    STARTED = "Started"
    UPDATED = "Updated"
    ENDED = "Ended"


class TriggerReason(StrEnum):
    """TriggerReasonEnumType: the reason for a transaction event."""

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
"""the trigger reasons of events that report meter values only"""


class StoppedReason(StrEnum):
    """ReasonEnumType: why a transaction was stopped."""

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
    """Whether an id token may charge, or why not (AuthorizationStatusEnumType)."""

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
"""token types that no reader reads: generated by the CSMS for one use, or without any holder"""
MAX_ADDITIONAL_INFO = 4
"""maximum number of additionalInfo items of an id token (AuthCtrlr.AdditionalInfoItemsPerMessage)"""


class IdToken(Frozen):
    """An id token (IdTokenType). Compare with `same_as`: equal value, ignoring case, and type (C01.FR.25)."""

    value: str
    """the number of the card or account; upper and lower case are equal"""
    type: str
    """IdTokenEnumType, such as ISO14443 for the UID of a card"""
    additional_info: tuple[tuple[str, str], ...] = ()
    """pairs of additional token and its type; tokens that differ only in them are equal"""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdToken) and (self.value, self.type) == (other.value, other.type)

    def __hash__(self) -> int:
        return hash((self.value, self.type))

    @property
    def loggable(self) -> str:
        """The value shortened for logs and pages; a key code is hidden completely (C04.FR.04)."""
        return "…" if self.type == "KeyCode" else shorten_token(self.value)

    def same_as(self, other: IdToken | None) -> bool:
        """Return whether both are the same token (identifierString is case-insensitive)."""
        return other is not None and self.key == other.key

    @property
    def key(self) -> tuple[str, str]:
        """Value without case, and type: the same for all forms of a token; for comparison, and as key in stores."""
        return self.value.casefold(), self.type


NO_TOKEN = IdToken("", "NoAuthorization")
"""the token of transactions without authorization (C02.FR.01)"""

PAGE_TOKEN = IdToken("driver", "Local")
"""the token of a user signed in as driver who starts charging at the page; no reader reads it"""


LONGEST_CONTENT = 512
"""characters of a text for a driver (schema of MessageContentType)"""


class MessageContent(Frozen):
    """A text for display to a driver (MessageContentType)."""

    content: str
    """the text itself, in the form that `format` says"""
    format: str = "UTF8"
    """MessageFormatEnumType: ASCII, UTF8, HTML or URI"""
    language: str | None = None
    """language of the text (RFC 5646); None: not specified"""


class IdTokenInfo(Frozen):
    """The authorization of an id token: whether it may charge, at which EVSEs, until when (IdTokenInfoType)."""

    status: AuthorizationStatus
    """whether the token may charge, or why not (AuthorizationStatusEnumType)"""
    group_id: IdToken | None = None
    """groupIdToken: tokens of the same group may stop the charges of each other; None: no group"""
    expires_at: datetime | None = None
    """cacheExpiryDateTime: the authorization is not valid after this time; None: no expiry"""
    evse_ids: tuple[int, ...] = ()
    """the EVSEs it may use; empty means all (C01.FR.19)"""
    personal_message: MessageContent | None = None
    """a message for the holder, such as the tariff (I01)"""
    charging_priority: int = 0
    """chargingPriority, −9 to 9; a higher priority is served first"""
    languages: tuple[str, ...] = ()
    """the languages that the holder prefers, the first one most (language1, language2; RFC 5646)"""

    @property
    def accepted(self) -> bool:
        """Whether the status is Accepted; `evse_ids` and `expires_at` are not considered."""
        return self.status is AuthorizationStatus.ACCEPTED


class EvseRef(Frozen):
    """Names an EVSE, and optionally one of its connectors, in a message (EVSEType)."""

    evse_id: int
    """the number of the EVSE, from 1"""
    connector_id: int | None = None
    """the number of its connector, from 1; None: the whole EVSE"""


class TransactionEvent(Frozen):
    """An event of a transaction, as stored and sent (TransactionEventRequest).

    `seq_no` is None until the outbox assigns it when storing the event.
    """

    transaction_id: str
    """the id of its transaction, chosen by the station"""
    evse_id: int
    """the EVSE at which its transaction takes place"""
    event_type: EventType
    """whether it begins, updates or ends the transaction"""
    trigger: TriggerReason
    """what caused it (TriggerReasonEnumType)"""
    occurred_at: datetime
    """when it occurred, by the clock of the station"""
    seq_no: int | None = None
    """its number in the transaction, from 0 without gaps; None: not stored yet"""
    offline: bool = False
    """whether the station had no connection to the CSMS when it occurred"""
    charging_state: ChargingState | None = None
    """the charging state from then on; None: not reported with this event"""
    stopped_reason: StoppedReason | None = None
    """why the transaction ended (ReasonEnumType); only with the event that ends it"""
    id_token: IdToken | None = None
    """the token that was presented, or whose authorization is meant; None: the event is about no token"""
    evse: EvseRef | None = None
    """sent with the Started event, and with the connector once after each connection of the vehicle (E01.FR.16)"""
    remote_start_id: int | None = None
    """the id of the request of the CSMS that started it; None: not started by the CSMS"""
    reservation_id: int | None = None
    """the reservation that this transaction used up; None: none, or reported with an earlier event"""
    phases_used: int | None = None
    """number of phases on which the vehicle draws (numberOfPhasesUsed); None: not reported with this event"""
    cable_max_a: float | None = None
    """rating of the cable, amperes per phase"""
    time_spent_charging_s: int | None = None
    """seconds since the begin of the transaction during which energy was transferred (timeSpentCharging)"""
    lasted_s: float | None = None
    """seconds since the begin, by the monotonic clock; after a power cut the duration until the last stored event"""
    meter_values: tuple[MeterValue, ...] = ()
    """readings of the billing meter that the CSMS receives with this event"""
    register: RegisterReading | None = None
    """the energy register at begin and end, for the station's own records; the CSMS receives `meter_values`"""
    test_session: bool = False
    """whether the installer's test session is authorized at this moment; for the station's own records"""
