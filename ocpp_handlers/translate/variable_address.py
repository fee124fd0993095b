"""Converts addresses of variables: ComponentType and VariableType to `VariableAddress` and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocpp_handlers.translate.translate import parse_integer
from station.maintenance.monitoring.monitor import VariableAddress

if TYPE_CHECKING:
    from ocpp_handlers.wire import messages as m


def address_from_wire(component: m.ComponentType, variable: m.VariableType) -> VariableAddress:
    """The address that a request names.

    Raises:
        PayloadError: the id of an EVSE or connector is beyond 32 bits.
    """
    evse = component.get("evse")
    connector_id = evse.get("connectorId") if evse is not None else None
    return VariableAddress(
        component["name"],
        variable["name"],
        component.get("instance"),
        parse_integer(evse["id"], "evse.id") if evse is not None else None,
        parse_integer(connector_id, "connectorId") if connector_id is not None else None,
        variable.get("instance"),
    )


def component_to_wire(address: VariableAddress) -> m.ComponentType:
    """The component of an address."""
    component: m.ComponentType = {"name": address.component}
    if address.component_instance is not None:
        component["instance"] = address.component_instance
    if address.evse_id is not None:
        component["evse"] = {"id": address.evse_id}
        if address.connector_id is not None:
            component["evse"]["connectorId"] = address.connector_id
    return component


def variable_to_wire(address: VariableAddress) -> m.VariableType:
    """The variable of an address, without its component."""
    if address.instance is None:
        return {"name": address.variable}
    return {"name": address.variable, "instance": address.instance}


def matches_item(item: m.ComponentVariableType, address: VariableAddress) -> bool:
    """Return whether an item of a request includes a variable; absent fields match any (N02.FR.16 to N02.FR.21)."""
    return all(_conditions(item, address))


def _conditions(item: m.ComponentVariableType, address: VariableAddress) -> Iterator[bool]:
    component = item["component"]
    yield component["name"].casefold() == address.component.casefold()
    if instance := component.get("instance"):
        yield instance.casefold() == (address.component_instance or "").casefold()
    if (evse := component.get("evse")) is not None:
        yield evse["id"] == address.evse_id
        yield "connectorId" not in evse or evse["connectorId"] == address.connector_id
    if (named := item.get("variable")) is not None:
        yield named["name"].casefold() == address.variable.casefold()
        if instance := named.get("instance"):
            yield instance.casefold() == (address.instance or "").casefold()
