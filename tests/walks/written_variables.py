"""Steps of tests that write every variable of a station as a CSMS does."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ocpp_handlers.variables.variable import Variable
from tests.walk import Walk


def address(variable: Variable, value: str | None = None) -> dict[str, Any]:
    """Element of a GetVariablesRequest, or with a value of a SetVariablesRequest, that names this variable."""
    component: dict[str, Any] = {"name": variable.component.name}
    if variable.component.instance is not None:
        component["instance"] = variable.component.instance
    if variable.component.evse_id is not None:
        component["evse"] = {"id": variable.component.evse_id}
    named = {"name": variable.name}
    if variable.instance is not None:
        named["instance"] = variable.instance
    item: dict[str, Any] = {"component": component, "variable": named}
    return item if value is None else {**item, "attributeValue": value}


async def reconnected_after(walk: Walk, variable: Variable) -> None:
    """If this variable is the identity that was just accepted, wait until the station has reconnected with it."""
    if (variable.component.name, variable.name) == ("SecurityCtrlr", "Identity"):
        path = f"/{quote(variable.read(), safe='')}"
        await walk.until(lambda: walk.csms.paths[-1].endswith(path) and walk.stack.link.online)
