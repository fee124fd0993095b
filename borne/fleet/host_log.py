"""The log of a host of a fleet: a file in the folder of the fleet."""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec.structs import replace

from borne.fleet.unit import HostTask
from simulator.fleet.plan import InstallationFiles
from station.maintenance.logs import setup as logging_setup


def log_to_file(task: HostTask) -> Path:
    """Write the log of this process to a file of the fleet's folder, with the level of the template; returns its path.

    Raises:
        OSError: the file cannot be opened.
    """
    folder = Path(task.folder) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"host-{task.numbers.start:06}.log"
    number = task.loaded.plan.fleet.first  # the one that was checked with the plan
    first = InstallationFiles(task.loaded).configuration(number, task.csms_url, folder)
    logging.raiseExceptions = False  # a full disk must not fill the terminal, where the state of the fleet is shown
    # Line by line, and open until the process ends.
    stream = path.open("a", encoding="utf-8", buffering=1)
    logging_setup.setup(replace(first.log, file=None), stream, shows_station=True)
    return path
