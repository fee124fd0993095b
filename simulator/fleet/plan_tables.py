"""The tables of a fleet's plan, which is a TOML file; `plan.py` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Annotated, Literal

from msgspec import Meta

from foundation.constants import MAXIMUM_CURRENT_A
from foundation.secret import Secret
from foundation.table import Table
from foundation.table_definition import Check, Count, FilePath, Number
from simulator.fleet.misbehaviour_table import MisbehaviourTable
from simulator.misbehaviour.rules import MAX_RULES
from simulator.pki.contracts import CONTRACTS
from station.core.identifiers import check_identifier, check_password, check_url
from station.core.installation_file.document import RuleError, RuleErrors

MAX_STATIONS = 1_000_000
_MAX_IDENTITY = 48
"""characters of station.identity in the installation file"""
HOURS_PER_DAY = 24
_MAX_PATTERN_CHARACTERS = 100
_WIDTH_FORM = re.compile(r"(0?[0-9]{1,2})?")
_PLACEHOLDER_ERROR = "must contain no other placeholder than {n}, such as {n:05}"
_CONTRACT_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_UID_FORM = re.compile(r"(?:[0-9A-F]{2}){4}|(?:[0-9A-F]{2}){7}|(?:[0-9A-F]{2}){10}", re.IGNORECASE)


def _check_pattern(text: str) -> None:
    """Check a text with the placeholder {n}, which may have a width: {n:05}."""
    try:
        fields = [(name, spec) for _, name, spec, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(_PLACEHOLDER_ERROR) from error
    if any(
        name != "n" or not _WIDTH_FORM.fullmatch(spec or "") for name, spec in fields
    ):  # before formatting: it is costly
        raise ValueError(_PLACEHOLDER_ERROR)
    try:
        text.format(n=1)
    except ValueError as error:
        raise ValueError(_PLACEHOLDER_ERROR) from error


def _check_password(pattern: Secret) -> None:
    text = pattern.get_secret_value()
    if not 1 <= len(text) <= _MAX_PATTERN_CHARACTERS:
        raise ValueError(f"length must be 1 to {_MAX_PATTERN_CHARACTERS}")
    _check_pattern(text)


def _differs_per_station(pattern: str) -> bool:
    """Return whether a pattern gives every station another text."""
    return pattern.format(n=1) != pattern.format(n=2)


def _check_csms(text: str) -> None:
    if text == "bundled":
        return
    if not text.startswith(("ws://", "wss://")):
        raise ValueError('must be "bundled", or a ws:// or wss:// URL')
    check_url(text)


def credentials_errors(identity: str, password: str | None) -> Iterator[tuple[Literal["identity", "password"], str]]:
    """Values that the installation file would not accept, with reasons; these do not contain the values."""
    try:
        if not 1 <= len(identity) <= _MAX_IDENTITY:
            raise ValueError(f"must have 1 to {_MAX_IDENTITY} characters (has {len(identity)})")
        check_identifier(identity)
        if ":" in identity and password is not None:
            raise ValueError("must not contain a colon if there is a password")
    except ValueError as error:
        yield "identity", str(error)
    try:
        if password is not None:
            check_password(password)
    except ValueError as error:
        yield "password", str(error)


def _check_hours(values: Sequence[float]) -> None:
    if len(values) != HOURS_PER_DAY:
        raise ValueError(f"must have {HOURS_PER_DAY} entries (has {len(values)})")
    if not any(values):
        raise ValueError("must not all be 0")


def _check_not_empty(values: Sequence[object]) -> None:
    if not values:
        raise ValueError("must have 1 or more entries")


def _check_range(values: Sequence[float]) -> None:
    if values[0] > values[1]:
        raise ValueError("must be a smallest and a largest value")


Pattern = Annotated[str, Meta(min_length=1, max_length=_MAX_PATTERN_CHARACTERS)]
"""text that `{n}` makes different for each station"""
Share = Annotated[Number, Meta(ge=0, le=1)]
"""a part of the stations, 0 to 1"""
Seconds = Annotated[Number, Meta(ge=0, le=1e9)]
PositiveSeconds = Annotated[Number, Meta(gt=0, le=1e9)]
Weight = Annotated[Number, Meta(ge=0)]


class FleetTable(Table, kw_only=True):
    """[fleet]: how many stations, from which template, at which CSMS, for how long."""

    stations: Annotated[Count, Meta(ge=1, le=MAX_STATIONS)]
    """the number of stations"""
    template: FilePath
    """the installation file of a station, relative to the plan; `{n}`, `{identity}` in its texts are replaced"""
    csms: str = "bundled"
    """ws:// or wss:// URL, to which each station appends its identity; or the CSMS that comes with the package"""
    csms_workers: Annotated[Count, Meta(ge=1, le=64)] = 1
    """processes of the bundled CSMS"""
    csms_heartbeat_s: Annotated[Count, Meta(ge=1, le=86_400)] = 300
    """simulated seconds between two Heartbeats, as the bundled CSMS sets them"""
    first: Annotated[Count, Meta(ge=0)] = 1
    """the number `n` of the first station"""
    identity: Pattern = "FLEET-{n:05}"
    """identity of station `n`"""
    password: Secret | None = None
    """password of station `n` at the CSMS; absent: none, or that of the template"""
    credentials: FilePath | None = None
    """CSV file with the columns identity and password, in place of the patterns; relative to the plan"""
    seed: Count = 1
    """the same seed gives every station the same vehicles, houses and disturbances"""
    duration_s: PositiveSeconds = 600.0
    """simulated seconds in which vehicles arrive and disturbances happen"""
    rate: Annotated[Number, Meta(gt=0, le=10_000)] = 1.0
    """simulated seconds per real second"""
    drain_s: Seconds = 120.0
    """longest real time, after the duration, for vehicles to leave and events to be delivered"""
    hosts: Annotated[Count, Meta(ge=1, le=1024)] | None = None
    """processes for the stations; absent: one for each core"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """The URL of the CSMS, and the patterns of identity and password."""
        return {"csms": _check_csms, "identity": _check_pattern, "password": _check_password}

    def check_rules(self) -> None:
        """Check that the pattern of the identity gives each station its own, and the patterns valid texts.

        Raises:
            RuleError: the identity is not different for each station.
            RuleErrors: what the patterns give for the first or the last station is invalid: the keys and the reasons.
        """
        if self.credentials is not None:
            return
        if self.stations > 1 and not _differs_per_station(self.identity):
            raise RuleError(("identity",), "must contain {n}: every station needs its own")
        broken: dict[str, RuleError] = {}
        for number in (self.first, self.first + self.stations - 1):
            password = self.password.get_secret_value().format(n=number) if self.password is not None else None
            for key, reason in credentials_errors(self.identity.format(n=number), password):
                broken.setdefault(key, RuleError((key,), f"{reason}, at station {number}"))
        if broken:
            raise RuleErrors(list(broken.values()))


class RampTable(Table):
    """[ramp]: the pace at which the stations are started."""

    stations_per_s: Annotated[Number, Meta(gt=0)] = 20.0
    """stations started in a real second, over all hosts"""


class ArrivalsTable(Table):
    """[arrivals]: when vehicles arrive."""

    per_day: Annotated[Number, Meta(ge=0, le=10_000)] = 4.0
    """mean number of vehicles that arrive at an EVSE in a day, while it is free"""
    hours: tuple[Weight, ...] | None = None
    """relative frequency of arrivals in each hour of the day, 24 values; absent: all equal"""
    begin_hour: Annotated[Number, Meta(ge=0, lt=HOURS_PER_DAY)] = 17.0
    """hour of the day at which the simulated time begins"""
    card_after_s: Seconds = 3.0
    """from plugging in until the driver presents the card"""
    leave: Literal["stay", "charged"] = "stay"
    """when a vehicle leaves: after its stay, or also not before its battery is full"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """The frequencies of the hours."""
        return {"hours": _check_hours}


class VehicleTable(Table):
    """[[vehicle]]: a kind of vehicle, and its share of the arrivals."""

    share: Annotated[Number, Meta(gt=0)] = 1.0
    """relative frequency of this kind"""
    phases: Literal[1, 2, 3] = 3
    max_current_a: Annotated[Number, Meta(ge=0, le=MAXIMUM_CURRENT_A)] = 16.0
    """the most that its charger draws, A per phase"""
    battery_wh: Annotated[Number, Meta(gt=0)] = 50_000.0
    """capacity of its battery"""
    soc: tuple[Share, Share] = (0.2, 0.7)
    """state of charge at arrival: smallest and largest"""
    stay_s: tuple[PositiveSeconds, PositiveSeconds] = (1800.0, 28_800.0)
    """simulated time from plugging in until it leaves: shortest and longest"""
    iso15118_share: Share = 0.0
    """part of these vehicles that communicate by ISO 15118, at an EVSE with an SECC"""
    contract_share: Share = 0.0
    """part of those that communicate which have a contract (Plug & Charge); the others are authorized by card"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """The ranges: their smallest value comes first."""
        return {"soc": _check_range, "stay_s": _check_range}


class ContractsTable(Table):
    """[contracts]: the contracts of vehicles (Plug & Charge)."""

    pki: FilePath | None = None
    """folder of `borne pki`, relative to the plan; absent: a PKI for the bundled CSMS is made with the fleet"""
    names: tuple[Annotated[str, Meta(pattern=_CONTRACT_NAME)], ...] = ("valid",)
    """the contracts of the PKI of which each vehicle with a contract has one"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """The names: there is one at least."""
        return {"names": _check_not_empty}


class TokensTable(Table):
    """[tokens]: the cards that drivers present."""

    count: Annotated[Count, Meta(ge=1, le=10_000_000)] = 1000
    """number of different cards, whose UIDs follow from the seed"""
    uids: tuple[str, ...] | None = None
    """these cards instead, hexadecimal"""

    def check_rules(self) -> None:
        """Check the UIDs of the cards.

        Raises:
            RuleErrors: the keys and the reasons.
        """
        if self.uids is None:
            return
        text = "must be a UID of 8, 14 or 20 hexadecimal digits"
        broken = [
            RuleError(("uids", index), text) for index, uid in enumerate(self.uids) if not _UID_FORM.fullmatch(uid)
        ]
        if not self.uids:
            broken.append(RuleError(("uids",), "must have 1 or more entries"))
        if broken:
            raise RuleErrors(broken)


class HousesTable(Table):
    """[houses]: the other loads of the building, for a template with a [grid] table."""

    share: Share = 1.0
    """part of the stations whose house has such loads"""
    base_a: Annotated[Number, Meta(ge=0, le=200)] = 1.0
    """current that always flows, A on each phase"""
    varying_a: Annotated[Number, Meta(ge=0, le=200)] = 10.0
    """the most that flows in addition, A on each phase"""
    changes_every_s: PositiveSeconds = 60.0
    """mean simulated time between two changes of the loads"""


class DisturbanceTable(Table, kw_only=True):
    """[[disturbance]]: something that happens to a share of the stations during the duration."""

    type: Literal["reconnect-storm", "link-cut", "power-cut", "csms-restart"]
    """reconnect-storm: connections are aborted at once, and each station reconnects by its back-off; link-cut: its
    network fails for a while; power-cut: its power fails for a while; csms-restart: the bundled CSMS stops for a
    while"""
    at_s: Seconds
    """simulated time at which it begins"""
    lasts_s: Seconds = 30.0
    """simulated time until it ends, of a cut or restart; a storm has no duration"""
    spread_s: Seconds = 0.0
    """of a cut: each station begins at a random time up to this later"""
    share: Share = 1.0
    """part of the stations that it affects, drawn by the seed; a restart of the CSMS affects all"""


class ThresholdsTable(Table):
    """[thresholds]: what decides the exit code; a key that is absent decides nothing."""

    min_booted: Share | None = 1.0
    """least part of the stations that the CSMS has accepted"""
    max_boot_p95_s: PositiveSeconds | None = None
    """95th percentile of the real time from the start of a station until it is accepted"""
    max_reconnect_p95_s: PositiveSeconds | None = None
    """95th percentile of the real time from the loss of a connection until the next one"""
    max_latency_p95_ms: Annotated[Number, Meta(gt=0)] | None = None
    """95th percentile of the time that the CSMS takes to respond"""
    max_failed_requests: Share | None = 0.0
    """largest part of the requests without a valid response; those that a cut interrupts do not count"""
    max_energy_difference_wh: Annotated[Number, Meta(ge=0)] | None = 1.0
    """largest difference between the bills of a station and what its meters have counted"""
    max_failed_stations: Annotated[Count, Meta(ge=0)] | None = 0
    """largest number of stations that have ended early, or whose transactions or events were left over at the end"""
    max_replaced_stations: Annotated[Count, Meta(ge=0)] | None = 0
    """largest number of stations that were restarted without their storage, because their host was lost"""


class FleetPlan(Table, kw_only=True):
    """A fleet's plan: all tables of the file, and the rules between them."""

    fleet: FleetTable
    ramp: RampTable = RampTable()
    arrivals: ArrivalsTable = ArrivalsTable()
    vehicle: tuple[VehicleTable, ...] = (VehicleTable(),)
    """the mix of vehicles; one kind with the defaults when left out"""
    contracts: ContractsTable = ContractsTable()
    tokens: TokensTable = TokensTable()
    houses: HousesTable | None = None
    disturbance: tuple[DisturbanceTable, ...] = ()
    misbehaviour: tuple[MisbehaviourTable, ...] = ()
    thresholds: ThresholdsTable = ThresholdsTable()

    @property
    def has_communicating_vehicles(self) -> bool:
        """Whether some vehicles communicate by ISO 15118."""
        return any(vehicle.iso15118_share > 0.0 for vehicle in self.vehicle)

    @property
    def has_contracts(self) -> bool:
        """Whether some vehicles have a contract."""
        return any(vehicle.iso15118_share > 0.0 and vehicle.contract_share > 0.0 for vehicle in self.vehicle)

    def check_rules(self) -> None:
        """Check the rules between the tables.

        Raises:
            RuleErrors: the keys and the reasons.
        """
        broken: list[RuleError] = []
        for index, disturbance in enumerate(self.disturbance):
            if disturbance.at_s >= self.fleet.duration_s:
                text = f"must be less than fleet.duration_s ({self.fleet.duration_s:g})"
                broken.append(RuleError(("disturbance", index, "at_s"), text))
            if disturbance.type == "csms-restart" and self.fleet.csms != "bundled":
                broken.append(RuleError(("disturbance", index, "type"), 'needs fleet.csms = "bundled"'))
        if not self.vehicle:
            broken.append(RuleError(("vehicle",), "must have 1 or more entries"))
        for index, vehicle in enumerate(self.vehicle):
            if vehicle.contract_share > 0.0 and vehicle.iso15118_share == 0.0:
                broken.append(RuleError(("vehicle", index, "contract_share"), "needs iso15118_share above 0"))
        broken += self._misbehaviour_errors()
        broken += self._contract_errors()
        if broken:
            raise RuleErrors(broken)

    def _misbehaviour_errors(self) -> Iterator[RuleError]:
        if len(self.misbehaviour) > MAX_RULES:
            yield RuleError(("misbehaviour",), f"must have at most {MAX_RULES} entries (has {len(self.misbehaviour)})")
        for index, table in enumerate(self.misbehaviour):
            if table.at_s >= self.fleet.duration_s:
                text = f"must be less than fleet.duration_s ({self.fleet.duration_s:g})"
                yield RuleError(("misbehaviour", index, "at_s"), text)

    def _contract_errors(self) -> Iterator[RuleError]:
        if not self.has_contracts or self.contracts.pki is not None:
            return
        if self.fleet.csms != "bundled":
            yield RuleError(("contracts", "pki"), "is missing: the CSMS must know the roots of the contracts")
        for index, name in enumerate(self.contracts.names):
            if name not in CONTRACTS:
                yield RuleError(("contracts", "names", index), f"without a pki must be one of {', '.join(CONTRACTS)}")
