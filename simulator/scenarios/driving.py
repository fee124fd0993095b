"""The words with which a scenario drives its station: each is one request of the station's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from foundation.frozen import Frozen
from simulator.api.certificate import CertificateRemoval, SeededCertificate
from simulator.api.driver import ParkingBayOrder, PlugOrder, UnplugOrder, VehicleChange
from simulator.api.environment import (
    BillingMeterOverride,
    HouseOrder,
    JumpersOrder,
    SelectorOrder,
    TemperatureOrder,
)
from simulator.api.fault_orders import (
    FaultOrder,
    FlapOrder,
    LinkOrder,
    LockOrder,
    MonitorOrder,
    PowerOrder,
    ReaderOrder,
    VariableName,
    VariableValue,
)
from simulator.api.misbehaviour import MisbehaviourOrder
from simulator.api.network import SimulatedCsmsAddress
from simulator.api.seed import (
    CachedToken,
    CachedTokenRemoval,
    TokenToList,
    TokenToUnlist,
    VendorData,
    VendorDataAnswer,
)
from station.interfaces.api.dependencies import Command

DEFAULT_CARD: Final = "04A3B2C1D5E680"
"""the card that a step presents if it names none; the bundled CSMS accepts it"""

EvseNumber = Annotated[int, Field(ge=1, le=1000)]


class PlugStep(PlugOrder):
    """`plug`: plug a vehicle in; `ev` is the vehicle, as in POST /api/sim/evses/{evse_id}/plug."""

    evse: EvseNumber = 1
    """the EVSE"""


class UnplugStep(UnplugOrder):
    """`unplug`: unplug the vehicle, and its cable unless `ev_side`."""

    evse: EvseNumber = 1
    """the EVSE"""


class VehicleStep(VehicleChange):
    """`vehicle`: change how the plugged-in vehicle behaves: suspend, resume, limit its current, …"""

    evse: EvseNumber = 1
    """the EVSE"""


class ParkingBayStep(ParkingBayOrder):
    """`parking_bay`: a vehicle stands in the parking bay, or leaves it."""

    evse: EvseNumber = 1
    """the EVSE"""


class CardStep(ReaderOrder):
    """`card`: present a card to a reader."""

    uid: Annotated[str, Field(max_length=64)] | None = DEFAULT_CARD
    """digits as sent by the card"""


class ClockJump(Command):
    """`clock_jump`: the wall time of the station jumps, as if its clock was set wrongly."""

    jump_s: Annotated[float, Field(ge=-3650 * 86_400, le=3650 * 86_400)]
    """seconds; negative: back"""


class NoBody(Command):
    """The body of a request without one."""


class DrivingWord(Frozen):
    """A word of a scenario that is one request of the station's API."""

    method: str
    """HTTP method"""
    path: str
    """path of the API; `{evse}` is the field `evse` of the body, which is then not sent"""
    body: type[Command]
    """model of the body"""


DRIVING_WORDS: Final[Mapping[str, DrivingWord]] = {
    "plug": DrivingWord("POST", "/api/sim/evses/{evse}/plug", PlugStep),
    "unplug": DrivingWord("POST", "/api/sim/evses/{evse}/unplug", UnplugStep),
    "vehicle": DrivingWord("POST", "/api/sim/evses/{evse}/vehicle", VehicleStep),
    "parking_bay": DrivingWord("POST", "/api/sim/evses/{evse}/parking-bay", ParkingBayStep),
    "card": DrivingWord("POST", "/api/sim/reader", CardStep),
    "meter": DrivingWord("POST", "/api/sim/meter", BillingMeterOverride),
    "house": DrivingWord("POST", "/api/sim/grid", HouseOrder),
    "temperature": DrivingWord("POST", "/api/sim/temperature", TemperatureOrder),
    "selector": DrivingWord("POST", "/api/sim/selector", SelectorOrder),
    "jumpers": DrivingWord("POST", "/api/sim/jumpers", JumpersOrder),
    "fault": DrivingWord("POST", "/api/sim/faults", FaultOrder),
    "clear_fault": DrivingWord("DELETE", "/api/sim/faults", FaultOrder),
    "lock": DrivingWord("POST", "/api/sim/lock", LockOrder),
    "tamper": DrivingWord("POST", "/api/sim/tamper", FlapOrder),
    "residual_monitor": DrivingWord("POST", "/api/sim/residual-monitor", MonitorOrder),
    "power": DrivingWord("POST", "/api/sim/power", PowerOrder),
    "link": DrivingWord("POST", "/api/sim/csms-link", LinkOrder),
    "misbehave": DrivingWord("POST", "/api/sim/misbehaviour", MisbehaviourOrder),
    "behave": DrivingWord("DELETE", "/api/sim/misbehaviour", NoBody),
    "clock_jump": DrivingWord("POST", "/api/sim/clock", ClockJump),
    "network": DrivingWord("PUT", "/api/sim/network", SimulatedCsmsAddress),
    "restore_network": DrivingWord("DELETE", "/api/sim/network", NoBody),
    "variable": DrivingWord("PUT", "/api/sim/variables", VariableValue),
    "restore_variable": DrivingWord("DELETE", "/api/sim/variables", VariableName),
    "certificate": DrivingWord("PUT", "/api/sim/certificates", SeededCertificate),
    "remove_certificate": DrivingWord("DELETE", "/api/sim/certificates", CertificateRemoval),
    "cached_token": DrivingWord("PUT", "/api/sim/auth/cache", CachedToken),
    "remove_cached_token": DrivingWord("DELETE", "/api/sim/auth/cache", CachedTokenRemoval),
    "listed_token": DrivingWord("PUT", "/api/sim/auth/list", TokenToList),
    "remove_listed_token": DrivingWord("DELETE", "/api/sim/auth/list", TokenToUnlist),
    "data_transfer": DrivingWord("POST", "/api/sim/data-transfer", VendorData),
    "data_transfer_answer": DrivingWord("PUT", "/api/sim/data-transfer", VendorDataAnswer),
}
"""the words of a scenario that drive the station, by name"""
