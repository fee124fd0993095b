"""What variable monitoring needs to know of the variables of the device model, and of the EVSEs."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from foundation.events import Event
    from station.maintenance.monitoring.monitor import AddressKey, VariableAddress


class MonitorableVariable(Frozen):
    """The traits of a variable that decide which monitors it supports, and how they are evaluated."""

    supports_monitoring: bool
    """whether its value can change"""
    numeric: bool
    minimum: float | None = None
    """of a numeric variable (minLimit)"""
    maximum: float | None = None
    """of a numeric variable (maxLimit)"""
    write_only: bool = False
    """its value is not known: it changes with each write (N07.FR.10)"""
    sampled: bool = False
    """whether changes are only noticed by `sample`"""
    has_target: bool = False
    """whether it has a target (its attribute Target)"""


class VariableMissing(Enum):
    """Which part of an address is unknown (N04.FR.03, N04.FR.04)."""

    COMPONENT = "component"
    VARIABLE = "variable"


class ObservedValue(Frozen):
    """A changed value of an observed variable; of a write-only one the number of its changes."""

    key: AddressKey
    value: str


class MonitoredVariables(Protocol):
    """The variables of the station: found, read and observed by variable monitoring."""

    @property
    def changed(self) -> Event[ObservedValue]:
        """Published with each change of an observed variable."""
        ...

    def find(self, address: VariableAddress) -> MonitorableVariable | VariableMissing:
        """The traits of the variable with this address, names in any case; else which part is unknown."""
        ...

    def read(self, key: AddressKey) -> str:
        """The present value of a variable that exists; empty if unknown. Fast, without I/O."""
        ...

    def target(self, key: AddressKey) -> str:
        """The present target of a variable that exists; empty if it is unknown or has none. Fast, without I/O."""
        ...

    def observe(self, key: AddressKey) -> None:
        """Publish the changes of a variable, and of its target, from now on."""
        ...

    def end_observation(self, key: AddressKey) -> None:
        """Publish the changes of a variable and of its target no more."""
        ...

    def sample(self, key: AddressKey) -> None:
        """Read an observed variable that is sampled, and publish its change."""
        ...


class MonitoredEvses(Protocol):
    """The EVSEs of the station: their transactions, and whether their boards have answered."""

    @property
    def transaction_changed(self) -> Event[int]:
        """Published with the id of an EVSE when a transaction begins or ends there."""
        ...

    def has_transaction(self, evse_id: int | None) -> bool:
        """Return whether a transaction is open at this EVSE; None: at any."""
        ...

    def transaction_id(self, evse_id: int, *, measured: bool) -> str | None:
        """The id of the transaction that a change at this EVSE belongs to; of a `measured` value also after its end."""
        ...

    async def wait_observed(self) -> None:
        """Wait until the board of each EVSE has answered, or failed; before that their values are no facts."""
        ...
