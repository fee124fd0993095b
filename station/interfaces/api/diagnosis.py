"""What installer and service look at: inputs and outputs, raw bytes of the meters, OCPP frames, the station's log."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query
from fastapi.responses import PlainTextResponse

from station.charging.evse_state import all_faults, outputs
from station.interfaces.json_object import Json

if TYPE_CHECKING:
    from station.charging.evse import Evse
    from station.interfaces.api.route_services import Living

Since = Annotated[int, Query(ge=0)]
"""the number of the last one that is known"""
_MOST_LINES = 20_000


def diagnosis_routes(api: FastAPI, living: Living) -> None:
    """Everything that only looks."""

    @api.get("/api/io")
    async def inputs_and_outputs() -> Json:
        life = living.life
        order = life.grid_orders.order if life.grid_orders is not None else None
        jumpers = life.jumpers() if life.jumpers is not None else None
        return {
            "evses": [_lines(evse, life.clock.monotonic()) for evse in life.station.evses.values()],
            "selector_a": life.load.controller.station_limit_a,
            "jumpers": jumpers.position if jumpers is not None else None,
            "jumpers_expected": jumpers.expected if jumpers is not None else None,
            "jumpers_mismatch": jumpers.mismatch if jumpers is not None else None,
            "tamper": life.tamper.alarm,
            "grid_order": order is not None,
        }

    @api.get("/api/meter-frames")
    async def meter_frames(since: Since = 0) -> list[Json]:
        return [
            {
                "number": chunk.number,
                "at": chunk.at.isoformat(),
                "wire": chunk.wire,
                "sent": chunk.sent,
                "hex": chunk.data.hex(" "),
                "text": "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in chunk.data),
            }
            for chunk in living.life.wires.since(since)
        ]

    @api.get("/api/frames")
    async def frames(since: Since = 0) -> list[Json]:
        return [
            {"number": frame.number, "at": frame.at.isoformat(), "direction": frame.direction, "text": frame.text}
            for frame in living.life.frames.since(since)
        ]

    @api.get("/api/logs", response_class=PlainTextResponse)
    async def log(
        most: Annotated[int, Query(ge=1, le=_MOST_LINES)] = 500,
        having: Annotated[str, Query(max_length=100)] = "",
    ) -> PlainTextResponse:
        store, wanted = living.life.log, having.casefold()

        def newest() -> list[str]:
            return list(deque((line for line in store.between(None, None) if wanted in line.casefold()), most))

        lines = await asyncio.to_thread(newest)
        return PlainTextResponse("".join(f"{line}\n" for line in lines))


def _lines(evse: Evse, now_s: float) -> Json:
    """The lines of one EVSE: what is ordered, and what is seen."""
    seen, ordered = evse.state.seen, outputs(evse.state, now_s)
    return {
        "evse": evse.id,
        "pilot": seen.pilot.value,
        "pilot_offers_a": ordered.pilot_a,
        "cable_plugged": seen.cable_plugged,
        "cable_max_a": seen.cable_max_a,
        "contactor_ordered": ordered.contactor,
        "contactor_closed": seen.contactor_closed,
        "lock_ordered": ordered.lock,
        "locked": seen.locked,
        "bay_occupied": seen.bay_occupied,
        "temperature_c": seen.temperature_c,
        "faults": sorted(fault.value for fault in all_faults(evse.state)),
    }
