"""The fields of `/api/status`, and the protocol of its sources."""

from __future__ import annotations

from typing import Literal, NotRequired, Protocol

from typing_extensions import TypedDict

from energy.grid import OrderReason, TariffColour
from energy.limit import LimitValues
from station.core.display import DisplayTopic
from station.core.hardware.back_plate import JumperPosition
from station.core.model import ChargingState, ConnectorStatus, Fault, PilotState
from station.interfaces.status_light import LightShown
from station.maintenance.commissioning.activation import ActivationStage
from station.maintenance.firmware.state import FirmwareStatus


class ClockStatus(TypedDict):
    """Wall clock and monotonic clock of the station, in the status report."""

    now: str
    monotonic_s: float
    """seconds of the monotonic clock, for differences only"""
    rate: float
    """speed relative to real time; other than 1 in simulations only"""
    follows_csms: bool | None
    """whether the CSMS sets the clock; null while the station is off"""


class CsmsStatus(TypedDict):
    """The link to the CSMS in the status report: URL, since when connected, profiles and last error."""

    url: str
    connected: bool
    since: str | None
    """when it was connected; null while disconnected"""
    security_profile: int
    """OCPP security profile, 0 to 3"""
    network_profile: int | None
    """the slot of the network connection profile in use; null: the link of the installation file"""
    last_error: str | None
    """the latest failure of the link, as a sentence; null: none since it was last connected"""


class FirmwareUpdateStatus(TypedDict):
    """Request id and status of the latest firmware update, by the CSMS or through the API, running or finished."""

    request_id: int | None
    """of the order of the CSMS; null: ordered through the API"""
    status: FirmwareStatus | None
    """null: not decided yet"""


class MeterStatus(TypedDict):
    """The latest reading of the billing meter of an EVSE; values that are not measured are null."""

    taken_at: str
    energy_import_wh: float | None
    power_w: float | None
    currents_a: list[float | None]
    """of the three phases"""
    voltages_v: list[float | None]
    """of the three phases, to neutral"""


class DriverMessage(TypedDict):
    """A text on the driver's display of an EVSE: the tariff or cost."""

    topic: DisplayTopic
    content: str
    format: str
    """MessageFormatEnumType of OCPP"""
    language: str | None
    since: str
    transaction_id: NotRequired[str | None]
    """not for visitors"""
    personal: bool
    """whether it is for this driver only"""


class OwnPeriodPrice(TypedDict):
    """The owner's price of energy in one tariff period of the grid meter, in the status report; taxes included."""

    name: str
    energy_per_kwh: str


class OwnPrices(TypedDict):
    """The owner's prices that the display of an EVSE states, taxes included; amounts are decimal numbers as text."""

    currency: str
    energy_per_kwh: str
    time_per_hour: str
    """for the whole duration of the transaction"""
    idle_per_hour: str
    """for the time in which current is offered but the vehicle does not charge"""
    idle_after_s: int
    """free idle time in seconds"""
    period: list[OwnPeriodPrice]


class CostStatus(TypedDict):
    """The cost that the display of an EVSE shows for its newest transaction, by the CSMS or the owner's prices."""

    transaction_id: NotRequired[str]
    """not for visitors"""
    amount: str
    """a decimal number"""
    currency: str
    final: bool
    """whether it is the final cost, not the cost so far"""
    told_by: Literal["csms", "station"]
    """who calculated it"""


class ReservationStatus(TypedDict):
    """The reservation of one EVSE, in the status report for the owner and higher roles."""

    id: int
    id_token: str
    """shortened"""
    expires_at: str


class EvseStatus(TypedDict):
    """The state of one EVSE in the status report: connector, charge, limits, faults, meter, display."""

    id: int
    connector_id: int
    connector_status: ConnectorStatus
    reserved_until: str | None
    """when the EVSE stops being kept for somebody's reservation; null: it is not"""
    reservation: NotRequired[ReservationStatus | None]
    """of this very EVSE; null also if it is kept for a reservation of any EVSE. For the owner and higher roles"""
    operative: bool
    """whether the EVSE can be used now"""
    in_service: bool
    """the ordered availability; a running transaction is finished first"""
    pilot: PilotState
    plugged: bool
    """a cable is in the socket; with an attached cable: a vehicle is connected"""
    charging_state: ChargingState
    id_token: NotRequired[str | None]
    """shortened; not for visitors"""
    transaction_id: NotRequired[str | None]
    """not for visitors"""
    contactor_closed: bool
    """as read from its auxiliary contact"""
    phases: int
    """number of phases in use, or of the EVSE"""
    locked: bool
    """whether the cable is locked"""
    offered_a: float
    """current offered to the vehicle, on each phase"""
    limit: LimitValues | None
    """the tightest limit in force"""
    limits: list[LimitValues]
    """all limits in force"""
    faults: list[Fault]
    temperature_c: float | None
    contactor_operations: int
    """how often the contactor has closed"""
    contactor_opened_under_load: int
    """how often it opened while current flowed"""
    meter: MeterStatus | None
    meter_error: str | None
    """why the last reading of the meter failed; null: it succeeded"""
    light: LightShown
    display: list[DriverMessage]
    own_tariff: OwnPrices | None
    """the owner's prices, while the display shows them"""
    cost: CostStatus | None


class ProfileStepShown(TypedDict):
    """A step of the daily tariff profile that the grid meter reports: from this time on another index applies."""

    at: str
    """such as 22:00, in the meter's local time"""
    index: int | None
    contact_closed: bool | None


class TariffStatus(TypedDict):
    """The tariff that the grid meter reports, in the status report; what it does not report is null."""

    period: str | None
    """as named by the meter"""
    index: int | None
    off_peak: bool | None
    today: TariffColour | None
    tomorrow: TariffColour | None
    peak_now: bool
    peak_announced: bool
    next_day: list[ProfileStepShown]


class GridStatus(TypedDict):
    """The latest sample of the grid meter, of the whole house connection; values that are not measured are null."""

    taken_at: str
    age_s: float | None
    currents_a: list[float | None]
    """of the three phases; negative for feed-in, if the direction is known"""
    apparent_power_va: float | None
    limit_a: float | None
    """limit of the house connection on each phase"""
    overrun: bool
    """whether the meter reports that the subscribed power is exceeded"""
    tariff_period: str | None
    power_w: float | None
    voltages_v: list[float | None]
    subscribed_va: float | None
    cut_off_va: float | None
    """the power beyond which the meter disconnects"""
    fuse_a: float | None
    limiter_w: float | None
    tariff: TariffStatus | None


class GridOrderStatus(TypedDict):
    """The grid operator's order in force to limit the power, in the status report."""

    limit_w: float
    """limit of all controllable devices together"""
    since: str
    reason: OrderReason


class JumpersStatus(TypedDict):
    """The position of the jumpers of the smart-meter port: as read, and as the configuration requires."""

    position: JumperPosition | None
    """null: cannot be read"""
    expected: JumperPosition
    mismatch: str | None
    """the deviation as a sentence; null: none"""


class UnreadableRowStatus(TypedDict):
    """A row of the storage that cannot be read, in the status report."""

    table: str
    row: str
    transaction_id: str | None
    seq_no: int | None
    problem: str
    found_at: str


class UnreadableRowsStatus(TypedDict):
    """The number of unreadable rows of the storage, and the first 20 of them."""

    count: int
    rows: list[UnreadableRowStatus]


class QueueStatus(TypedDict):
    """The number of messages that wait to be sent to the CSMS."""

    transaction_events: int
    """number of transaction events that the CSMS has not received"""


class Status(TypedDict):
    """The status report: the state of the station, as GET /api/status returns it.

    While the station is off, only the required fields and `firmware_version` are present. A role below owner sees less.
    """

    identity: str
    vendor: str
    model: str
    firmware_version: NotRequired[str | None]
    powered: bool
    """false while the power is cut and while the station restarts"""
    clock: ClockStatus
    local_time: NotRequired[str]
    time_zone: NotRequired[str]
    """empty: local time uses the offset of the settings"""
    boot_status: NotRequired[str | None]
    """registration status at the CSMS; null without a CSMS"""
    csms: NotRequired[CsmsStatus | None]
    """null: no CSMS"""
    tamper: NotRequired[bool]
    """whether the station was opened and the alarm is not acknowledged"""
    firmware_update: NotRequired[FirmwareUpdateStatus | None]
    stage: NotRequired[ActivationStage]
    light: NotRequired[LightShown]
    evses: NotRequired[list[EvseStatus]]
    master_pass_selects: NotRequired[bool]
    """whether the holder of a master pass is choosing which charges to stop"""
    grid: NotRequired[GridStatus | None]
    """null: no sample yet, or no grid meter"""
    grid_order: NotRequired[GridOrderStatus | None]
    jumpers: NotRequired[JumpersStatus | None]
    unreadable_rows: NotRequired[UnreadableRowsStatus]
    """for the owner and higher roles"""
    queue: NotRequired[QueueStatus]


class StatusSource(Protocol):
    """Provides the status report of a station, for GET /api/status and the diagnostics log."""

    async def status(self) -> Status:
        """Build the report of the current state, with all fields that there are, whatever the role of the reader.

        Raises:
            StorageError: the records cannot be read.
        """
        ...
