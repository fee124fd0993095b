"""What comes of GetBaseReport and GetReport: the parts of a report, put together (B07, B08)."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.conformance.bench import Bench
from tests.conformance.frames import Payload


async def reported(bench: Bench, request_id: int) -> list[Payload]:
    """The variables in all parts of a report that the station has accepted to send, each part in order and of now."""
    rows: list[Payload] = []
    number, more = 0, True
    while more:
        part = await bench.expect("NotifyReport")
        assert part["requestId"] == request_id, part
        assert part["seqNo"] == number, part
        generated = datetime.fromisoformat(part["generatedAt"].replace("Z", "+00:00"))
        assert abs(generated - bench.now()) < timedelta(seconds=10), part["generatedAt"]
        rows += part["reportData"]
        number, more = number + 1, part.get("tbc", False)
    await bench.silence("NotifyReport", for_s=2.0)
    return rows
