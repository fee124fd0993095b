"""The baseline of start and memory: a minimal client with the `ocpp` package."""

from __future__ import annotations

import asyncio
import sys

from ocpp.routing import on  # pyright: ignore[reportUnknownVariableType]  # the package has no types
from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201.datatypes import ChargingStationType, GetVariableResultType
from ocpp.v201.enums import BootReasonEnumType, GetVariableStatusEnumType
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


class MinimalStation(ChargePoint):
    """Boots and answers GetVariables."""

    @on("GetVariables")
    async def get_variables(self, get_variable_data: list[dict[str, dict[str, str]]]) -> call_result.GetVariables:
        """Answer each variable with the same value."""
        return call_result.GetVariables(
            [
                GetVariableResultType(
                    GetVariableStatusEnumType.accepted,
                    item["component"],  # type: ignore[arg-type]  # the package wants its class and takes a dict
                    item["variable"],  # type: ignore[arg-type]  # the same
                    attribute_value="300",
                )
                for item in get_variable_data
            ]
        )


async def main(url: str) -> None:
    """Connect, send BootNotification, and answer requests."""
    async with connect(f"{url}/minimal", subprotocols=[Subprotocol("ocpp2.0.1")], ping_interval=None) as websocket:
        station = MinimalStation("minimal", websocket)
        serving = asyncio.ensure_future(station.start())
        boot = call.BootNotification(ChargingStationType("flex", "borne"), BootReasonEnumType.power_up)
        await station.call(boot)  # pyright: ignore[reportUnknownMemberType]  # the package has no types
        await serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
