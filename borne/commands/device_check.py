"""`borne check --here`: opens every device of the installation file, and says what it answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from borne.bring_up.device_answers import DeviceAnswer, ask_devices
from borne.bring_up.device_checks import device_checks
from borne.bring_up.stopped_station import lock_out_station
from borne.output import refuse, say
from foundation.clock import SystemClock
from metering.drivers.bus_registry import BusRegistry
from station.storage.storage_lock import StorageLockError

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration


def check_here(configuration: Configuration, file: Path, within_s: float, *, as_json: bool) -> int:
    """Ask every device, and print the answers; returns the exit code: 0 if all have answered, else 1.

    A station that runs on the same data folder keeps its devices; while they are asked, none can start.
    """
    clock = SystemClock()
    with contextlib.ExitStack() as held:
        try:
            station = lock_out_station(Path(configuration.station.storage), held)
        except StorageLockError as error:
            refuse(f"{file}: station.storage: {error}; run this as the user of the station")
        checks = device_checks(configuration, clock, BusRegistry())
        answers = asyncio.run(ask_devices(checks, clock, within_s, station))
    if as_json:
        say(json.dumps(_to_json(file, station, answers), indent=2, ensure_ascii=False))
    else:
        say("\n".join(_lines(file, station, answers)))
    return 0 if all(answer.reason is None for answer in answers) else 1


def _lines(file: Path, station: str | None, answers: Sequence[DeviceAnswer]) -> Iterator[str]:
    if station is not None:
        yield f"A station runs with these devices ({station}) and keeps them; stop it to check them, or see its page."
    width = max(len(answer.key) for answer in answers)
    for answer in answers:
        mark = "ok    " if answer.reason is None else "FAILED"
        result = answer.reason or ", ".join(f"{name} {text}" for name, text in answer.answer.items())
        yield f"{mark}  {answer.key:<{width}}  {answer.device}: {result}"
    good = sum(answer.reason is None for answer in answers)
    yield f"{file}: {good} of {len(answers)} answered"


def _to_json(file: Path, station: str | None, answers: Sequence[DeviceAnswer]) -> dict[str, object]:
    return {
        "file": str(file),
        "station": station,
        "answered": all(answer.reason is None for answer in answers),
        "devices": [
            {
                "key": answer.key,
                "device": answer.device,
                "answered": answer.reason is None,
                "answer": {name.replace(" ", "_"): text for name, text in answer.answer.items()},
                "reason": answer.reason,
            }
            for answer in answers
        ],
    }
