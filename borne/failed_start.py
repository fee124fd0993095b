"""What a program does that cannot start its station: safe outputs, and patience with a disk that cannot be written."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from borne.output import refuse
from borne.systemd_notifier import SystemdNotifier
from station.core.light_patterns import STOPPED
from station.devices.leds import show_on_all_leds
from station.devices.simulated_config import SimulatedBoardConfig
from station.storage import private_files

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from station.configuration.installation_file import Configuration
    from station.core.installation_file.charging_tables import EvseConfig

_PERIOD_S: Final = 5.0
"""between two attempts to write; shorter than WatchdogSec of the unit"""
_BOARDS_TIMEOUT_S: Final = 10.0


def refuse_start(sentence: str, configuration: Configuration, environ: MutableMapping[str, str]) -> NoReturn:
    """End a start that has failed, with the outputs of all boards in the safe state; exits with 2.

    Call it only while no other process uses the boards. As a service of systemd it first waits until the storage can
    be written, so that a broken disk means a light that shows it and a status, and not a restart each second.
    `environ`: as systemd has given it.
    """
    asyncio.run(_set_safe_outputs(configuration))
    notifier = SystemdNotifier.from_environment(environ)
    if notifier is not None:
        _wait_until_writable(Path(configuration.station.storage), sentence, notifier, configuration)
    refuse(sentence)


def _wait_until_writable(folder: Path, sentence: str, notifier: SystemdNotifier, configuration: Configuration) -> None:
    if _writable(folder):
        return
    show_on_all_leds(configuration.light, STOPPED)
    sys.stderr.write(f"{sentence}\nnobody can charge; waiting until {folder} can be written\n")
    notifier.notify("READY=1", f"STATUS=out of service: {sentence}")
    while not _writable(folder):
        notifier.notify("WATCHDOG=1")
        time.sleep(_PERIOD_S)


def _writable(folder: Path) -> bool:
    """Whether a file can be written in a folder, and reaches the disk."""
    probe = folder / ".writable"
    try:
        private_files.write(probe, "x")  # on a full disk an empty file can be written
        private_files.remove(probe)
    except OSError:
        return False
    return True


async def _set_safe_outputs(configuration: Configuration) -> None:
    """Open the contactors, which an earlier run may have left closed."""
    if isinstance(configuration.board, SimulatedBoardConfig):
        return
    from station.devices.real_hardware import RealHardware  # late: a simulated station needs no drivers

    hardware = RealHardware(configuration.board)

    async def close(evse: EvseConfig) -> None:
        async with asyncio.timeout(_BOARDS_TIMEOUT_S):
            await hardware.board(evse).close()

    # All at once, and whatever fails: its own watchdog then has to open the contactor.
    failures = await asyncio.gather(*map(close, configuration.evse), return_exceptions=True)
    for evse, failure in zip(configuration.evse, failures, strict=True):
        if failure is not None:
            sys.stderr.write(f"EVSE {evse.id}: the outputs are perhaps not safe: {failure!r}\n")
