"""The fields of `/api/status`, and the protocol of its sources."""

from __future__ import annotations

from typing import Literal, NotRequired, Protocol

from typing_extensions import TypedDict

from energy.grid import OrderReason, TariffColour
from energy.grid_explanation import GridExplanationValues
from energy.limit import LimitValues
from station.core.driver_messages import DisplayTopic
from station.core.hardware.back_plate import JumperPosition
from station.core.model import ChargingState, ConnectorStatus, Fault, PilotState
from station.interfaces.status_light import LightShown
from station.maintenance.commissioning.activation import ActivationStage
from station.maintenance.firmware.state import FirmwareStatus


class ClockStatus(TypedDict):
    """Wall clock and monotonic clock of the station, in the status report."""

    now: str
    """the time of the station (ISO 8601, UTC)"""
    monotonic_s: float
    """seconds of the monotonic clock since an arbitrary moment, for differences only"""
    rate: float
    """speed relative to real time; other than 1 in simulations only"""
    follows_csms: bool | None
    """whether the CSMS sets the clock; null while the station is off"""


class CsmsStatus(TypedDict):
    """The link to the CSMS in the status report: URL, since when connected, profiles and last error."""

    url: str
    """the URL that the station dials, without its identity"""
    connected: bool
    """whether the websocket to the CSMS is open"""
    since: str | None
    """since when it is connected (ISO 8601, UTC); null while disconnected"""
    security_profile: int
    """OCPP security profile of the connection in use, 0 (none) to 3"""
    network_profile: int | None
    """the slot of the network connection profile in use; null: the link of the installation file"""
    last_error: str | None
    """the latest failure of the link, as a sentence; null: none since it was last connected"""


class FirmwareUpdateStatus(TypedDict):
    """Request id and status of the latest firmware update, by the CSMS or through the API, running or finished."""

    request_id: int | None
    """of the order of the CSMS; null: ordered through the API"""
    status: FirmwareStatus | None
    """how far it has come (FirmwareStatusEnumType); null: not decided yet"""


class MeterStatus(TypedDict):
    """The latest reading of the billing meter of an EVSE; values that are not measured are null."""

    taken_at: str
    """when the meter was read (ISO 8601, UTC)"""
    energy_import_wh: float | None
    """the meter's import register, Wh since its manufacture, not since the begin of the transaction"""
    power_w: float | None
    """active power of all phases together, W"""
    currents_a: list[float | None]
    """amperes on L1, L2 and L3 of the EVSE"""
    voltages_v: list[float | None]
    """volts from L1, L2 and L3 to neutral"""


class DriverMessage(TypedDict):
    """A text on the driver's display of an EVSE: the tariff or cost."""

    topic: DisplayTopic
    """what the text is about; an EVSE shows at most one text on each topic"""
    content: str
    """the text itself, in the form that `format` says"""
    format: str
    """MessageFormatEnumType of the text: ASCII, UTF8, HTML or URI"""
    language: str | None
    """language of the text (RFC 5646); null: not specified"""
    since: str
    """since when it is shown (ISO 8601, UTC)"""
    transaction_id: NotRequired[str | None]
    """the transaction that it is about; null: none. Not for visitors"""
    personal: bool
    """whether it is for this driver only"""


class OwnPeriodPrice(TypedDict):
    """The owner's price of energy in one tariff period of the grid meter, in the status report; taxes included."""

    name: str
    """name of the tariff period, as the grid meter reports it"""
    energy_per_kwh: str
    """price of a kilowatt-hour in this period, as a decimal number"""


class OwnPrices(TypedDict):
    """The owner's prices that the display of an EVSE states, taxes included; amounts are decimal numbers as text."""

    currency: str
    """the currency of all prices (ISO 4217)"""
    energy_per_kwh: str
    """price of a kilowatt-hour, outside the tariff periods of `period`"""
    time_per_hour: str
    """price per hour of the whole transaction"""
    idle_per_hour: str
    """price per hour in which current is offered but the vehicle does not charge"""
    idle_after_s: int
    """seconds of idle time that are free"""
    period: list[OwnPeriodPrice]
    """energy prices in tariff periods of the grid meter; empty: one price"""


class StatedTariff(TypedDict):
    """The price that the page and the display of an EVSE state before and during a charge."""

    prices: OwnPrices | None
    """the owner's prices, to be put into words in the language of the reader; null: `content` states the price"""
    content: str | None
    """a text of the CSMS; null: `prices` state the price"""
    format: str
    """MessageFormatEnumType of OCPP"""
    language: str | None
    """of `content` (RFC 5646); null: not known"""
    personal: bool
    """whether it is for this driver only"""


class CostStatus(TypedDict):
    """The cost that the display of an EVSE shows for its newest transaction, by the CSMS or the owner's prices."""

    transaction_id: NotRequired[str]
    """the transaction that the cost is of; not for visitors"""
    amount: str
    """the cost since the begin of the transaction, a decimal number"""
    currency: str
    """currency of the amount (ISO 4217)"""
    final: bool
    """whether it is the final cost, not the cost so far"""
    told_by: Literal["csms", "station"]
    """who calculated it: `csms`: the CSMS; `station`: the station, by the owner's prices"""


class ReservationStatus(TypedDict):
    """The reservation of one EVSE, in the status report for the owner and higher roles."""

    id: int
    """the number of the reservation, from the CSMS or the station"""
    id_token: str
    """the id token of the holder, shortened"""
    expires_at: str
    """when the reservation ends unless its holder comes (ISO 8601, UTC)"""


class VehicleStatus(TypedDict):
    """What a vehicle that communicates (ISO 15118) has said of itself; null: it has not said so."""

    evccid: str | None
    """identification of its communication controller"""
    protocol: str | None
    """the protocol agreed"""
    payment: str | None
    """how it is authorized: `eim` (card, app, …) or `contract` (Plug & Charge)"""
    energy_wh: float | None
    """energy that it wants"""
    departs_at: str | None
    """when it leaves (ISO 8601, UTC)"""
    min_current_a: float | None
    """least current with which it charges, amperes per phase"""
    max_current_a: float | None
    """most current that it can draw, amperes per phase"""
    soc: float | None
    """state of charge of its battery, 0 to 1"""


class EvseStatus(TypedDict):
    """The state of one EVSE in the status report: connector, charge, limits, faults, meter, display."""

    id: int
    """the number of the EVSE, from 1"""
    connector_id: int
    """the number of its connector, from 1"""
    connector_status: ConnectorStatus
    """the status of the connector, as the CSMS receives it"""
    reserved_until: str | None
    """until when the EVSE is kept for somebody's reservation (ISO 8601, UTC); null: it is not"""
    reservation: NotRequired[ReservationStatus | None]
    """the reservation of this very EVSE; null also if it is kept for a reservation of any EVSE. For the owner and
    higher roles"""
    operative: bool
    """whether the EVSE can be used now"""
    in_service: bool
    """the ordered availability; a running transaction is finished first"""
    pilot: PilotState
    """state of the control pilot (IEC 61851-1)"""
    plugged: bool
    """a cable is in the socket; with an attached cable: a vehicle is connected"""
    charging_state: ChargingState
    """the charging state, as the events of a transaction report it"""
    vehicle: NotRequired[VehicleStatus | None]
    """what the vehicle has said of itself; null: it does not communicate. Not for visitors"""
    id_token: NotRequired[str | None]
    """the id token that is authorized at this EVSE now, shortened; null: none. Not for visitors"""
    transaction_id: NotRequired[str | None]
    """the open transaction; null: none. Not for visitors"""
    contactor_closed: bool
    """as read from its auxiliary contact"""
    phases: int
    """number of phases in use now; of the EVSE itself while no vehicle draws"""
    locked: bool
    """whether the cable is locked, as read from the lock"""
    offered_a: NotRequired[float]
    """current offered to the vehicle now, amperes per phase; 0: none; absent for visitors who
    may see the state only (`[page] visitors`), as are the others below that are not required"""
    limit: LimitValues | None
    """the tightest of `limits`, which determines the current; null: no limit, or not for visitors"""
    limits: NotRequired[list[LimitValues]]
    """all limits that are in force now, the tightest is `limit`"""
    grid_explanation: NotRequired[GridExplanationValues | None]
    """why the house connection leaves this EVSE its current: numbers of the phase that decides, which add up, and what
    holds the current; null: no grid meter, or it is silent or doubted. Not for visitors"""
    faults: list[Fault]
    """the faults that are present now; empty: none"""
    temperature_c: float | None
    """temperature inside the station, °C; null: not measured, or not for visitors"""
    contactor_operations: NotRequired[int]
    """how often the contactor has closed since the station was first started"""
    contactor_opened_under_load: NotRequired[int]
    """how often it has opened while current flowed, since the station was first started"""
    meter: MeterStatus | None
    """the latest reading of the billing meter of this EVSE; null: not read yet, or not for
    visitors"""
    meter_error: str | None
    """why the last reading of the meter failed; null: it succeeded, or not for visitors"""
    light: LightShown
    """the status light of this EVSE"""
    display: list[DriverMessage]
    """tariff and cost on the display of this EVSE"""
    own_tariff: OwnPrices | None
    """the owner's prices, while they are stated to a driver; null: they are not. See also `tariff`"""
    tariff: StatedTariff | None
    """the price of the driver who is present, else the general one; null: there is none, or none is shown. A price for
    one driver is not for visitors"""
    cost: CostStatus | None
    """the cost that the display shows; null: none, or not for visitors"""


class ProfileStepShown(TypedDict):
    """A step of the daily tariff profile that the grid meter reports: from this time on another index applies."""

    at: str
    """such as 22:00, in the meter's local time"""
    index: int | None
    """number of the supplier index from then on, 1 to 10; null: unchanged"""
    contact_closed: bool | None
    """state of the meter's dry contact from then on; null: unchanged"""


class TariffStatus(TypedDict):
    """The tariff that the grid meter reports, in the status report; what it does not report is null."""

    period: str | None
    """the running period, as named by the meter"""
    index: int | None
    """number of the running supplier index"""
    off_peak: bool | None
    """whether the running period is the cheap one of the day"""
    today: TariffColour | None
    """colour of the present day of a Tempo contract"""
    tomorrow: TariffColour | None
    """colour of the next day of a Tempo contract; null also if not announced yet"""
    peak_now: bool
    """whether a peak period of the supplier runs"""
    peak_announced: bool
    """whether a peak period of the supplier is announced"""
    next_day: list[ProfileStepShown]
    """steps of the profile of the next day, in their order"""


class GridStatus(TypedDict):
    """The latest sample of the grid meter, of the whole house connection; values that are not measured are null."""

    taken_at: str
    """when the values were valid, by the meter's clock if that is plausible (ISO 8601, with offset)"""
    age_s: float | None
    """seconds since the sample was received; null: not known"""
    currents_a: list[float | None]
    """amperes of the whole house on L1, L2 and L3, EVSEs included; negative for feed-in, if the direction is known"""
    house_a: list[float | None]
    """current of the house without the EVSEs on L1, L2 and L3, as load management estimates it, amperes in tenths;
    negative for feed-in; null: not known"""
    apparent_power_va: float | None
    """apparent power of all phases together, VA; negative for feed-in, if the direction is known"""
    limit_a: float | None
    """limit of the house connection, amperes per phase"""
    overrun: bool
    """whether the meter reports that the subscribed power is exceeded"""
    tariff_period: str | None
    """the running tariff period, as named by the meter"""
    power_w: float | None
    """active power of the house connection, W, netted over the phases; negative for feed-in"""
    voltages_v: list[float | None]
    """volts from L1, L2 and L3 to neutral"""
    subscribed_va: float | None
    """power of the contract, all phases together, VA"""
    cut_off_va: float | None
    """power of all phases together beyond which the meter disconnects after a time, VA"""
    fuse_a: float | None
    """limit of the meter's electronic fuse, amperes per phase; null: none is set"""
    limiter_w: float | None
    """limit of the meter's power limiter, W, all phases together; null: none is set"""
    tariff: TariffStatus | None
    """the tariff that the meter reports; null: none"""


class GridOrderStatus(TypedDict):
    """The grid operator's order in force to limit the power, in the status report."""

    limit_w: float
    """maximum power of all controllable devices together, W"""
    since: str
    """since when the order is in force (ISO 8601, UTC)"""
    reason: OrderReason
    """why it is in force: ordered by the contact, or the contact cannot be read"""


class JumpersStatus(TypedDict):
    """The position of the jumpers of the smart-meter port: as read, and as the configuration requires."""

    position: JumperPosition | None
    """the position as read now; null: it cannot be read"""
    expected: JumperPosition
    """the position that the configured meter requires"""
    mismatch: str | None
    """the deviation as a sentence; null: none"""


class UnreadableRowStatus(TypedDict):
    """A row of the storage that cannot be read, in the status report."""

    table: str
    """the table of the database, or `table.column` if only that column cannot be read"""
    row: str
    """primary key of the row in that table"""
    transaction_id: str | None
    """the transaction that the row belongs to; null: none"""
    seq_no: int | None
    """for an event: its number in the transaction; null: no event"""
    problem: str
    """why the row cannot be read"""
    found_at: str
    """when that was found (ISO 8601, UTC)"""


class UnreadableRowsStatus(TypedDict):
    """The number of unreadable rows of the storage, and the first 20 of them."""

    count: int
    """number of all unreadable rows of the storage"""
    rows: list[UnreadableRowStatus]
    """the first 20 of the unreadable rows"""


class SetAsideStatus(TypedDict):
    """Stored rows of one kind that a safe start has set aside."""

    kind: str
    """the kind of rows, such as charging-profiles"""
    rows: int
    """number of rows"""
    failed: bool
    """whether the station failed again when they were put back: they stay aside until the safe start is ended"""


class SafeStartStatus(TypedDict):
    """The safe start in the status report: its cause, and the rows set aside after failed starts."""

    since: str
    """when rows were first set aside (ISO 8601, UTC)"""
    cause: str
    """the class of the error that ended the last failed start, and its place in the program"""
    set_aside: list[SetAsideStatus]
    """the kinds of rows that are set aside"""
    trial: str | None
    """the kind of rows that was put back at this start; null: none"""
    ends: Literal["put-back", "delete"] | None
    """what the next start does with the rows to end the safe start; null: nobody has requested its end"""


class QueueStatus(TypedDict):
    """The number of messages that wait to be sent to the CSMS."""

    transaction_events: int
    """number of transaction events that the CSMS has not received"""


class Status(TypedDict):
    """The status report: the state of the station, as GET /api/status returns it.

    While the station is off, only the required fields and `firmware_version` are present. A role below owner sees less.
    """

    identity: str
    """the identity of the station at the CSMS"""
    vendor: str
    """name of the manufacturer, as given in the installation file"""
    model: str
    """name of the model, as given in the installation file"""
    firmware_version: NotRequired[str | None]
    """the version that runs; null: not known"""
    powered: bool
    """whether the station runs; false while the power is cut and while the station restarts"""
    clock: ClockStatus
    """wall clock and monotonic clock of the station"""
    local_time: NotRequired[str]
    """local time of the station now (ISO 8601, with its offset)"""
    time_zone: NotRequired[str]
    """IANA name of the time zone; empty: local time uses the offset of the settings"""
    boot_status: NotRequired[str | None]
    """registration status at the CSMS; null without a CSMS"""
    csms: NotRequired[CsmsStatus | None]
    """the link to the CSMS; null: no CSMS"""
    tamper: NotRequired[bool]
    """whether the station was opened and the alarm is not acknowledged"""
    firmware_update: NotRequired[FirmwareUpdateStatus | None]
    """the latest update; null: there was none"""
    stage: NotRequired[ActivationStage]
    """how far commissioning and activation have come"""
    light: NotRequired[LightShown]
    """the status light of the whole station"""
    evses: NotRequired[list[EvseStatus]]
    """the state of each EVSE, by its number"""
    master_pass_selects: NotRequired[bool]
    """whether the holder of a master pass is choosing which charges to stop"""
    grid: NotRequired[GridStatus | None]
    """the latest sample of the grid meter; null: no sample yet, or no grid meter"""
    grid_order: NotRequired[GridOrderStatus | None]
    """the grid operator's order in force; null: none"""
    jumpers: NotRequired[JumpersStatus | None]
    """the jumpers of the smart-meter port, as read and as required"""
    unreadable_rows: NotRequired[UnreadableRowsStatus]
    """rows of the storage that cannot be read; for the owner and higher roles"""
    safe_start: NotRequired[SafeStartStatus | None]
    """what is set aside after failed starts, for the owner and higher roles; null: the station has started as usual"""
    queue: NotRequired[QueueStatus]
    """messages that wait to be sent to the CSMS"""


class StatusSource(Protocol):
    """Provides the status report of a station, for GET /api/status and the diagnostics log."""

    async def status(self) -> Status:
        """Build the report of the current state, with all fields that there are, whatever the role of the reader.

        Raises:
            StorageError: the records cannot be read.
        """
        ...
