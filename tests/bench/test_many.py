"""What one more station in a process costs, in counts that no machine changes: tasks, threads, descriptors, objects."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

from bench.many import ManyCsms, serving
from borne.composition.several_stations import host_process_of_several
from ocpp_handlers.variables.variable import VariableDescription
from station.configuration.installation_file import Configuration
from tests.patience import PATIENCE_S

_FEW, _MANY = 4, 20
_TASKS = 70
_DESCRIPTORS = 5
"""three of the database, the link and the lock on the storage"""


class ProcessCounts:
    """Counts of the process, without the pool of `asyncio.to_thread`, which grows to its size and stays."""

    def __init__(self) -> None:
        self.tasks = len(asyncio.all_tasks())
        self.threads = sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.descriptions = sum(type(found) is VariableDescription for found in gc.get_objects())


@contextlib.asynccontextmanager
async def run_stations(count: int, folder: Path) -> AsyncGenerator[ManyCsms]:
    """Run so many stations; the block begins once all of them are accepted by their CSMS."""
    csms = ManyCsms(count)
    async with serving(csms) as url:
        process = host_process_of_several(
            [
                Configuration.from_tree(
                    {
                        "station": {"identity": f"MANY-{number}", "storage": str(folder / str(number))},
                        "csms": {"url": url},
                        "http": {"port": 0},
                    }
                )
                for number in range(count)
            ]
        )
        task = asyncio.create_task(process.run())
        async with asyncio.timeout(PATIENCE_S):
            await csms.all_accepted.wait()
        await asyncio.sleep(1.0)  # the first messages after the acceptance
        yield csms
        process.stop()
        await task


async def test_one_more_station_costs_no_thread_few_descriptors_and_a_bounded_number_of_tasks(tmp_path: Path) -> None:
    counted: list[ProcessCounts] = []
    of_csms: list[int] = []
    for count in (_FEW, _MANY):
        async with run_stations(count, tmp_path / str(count)) as csms:
            counted.append(ProcessCounts())
            of_csms.append(len(csms.accepted))
    few, many = counted
    assert of_csms == [_FEW, _MANY]
    more = _MANY - _FEW
    assert many.threads == few.threads
    # The CSMS of this test has one descriptor and two tasks for each link.
    assert many.descriptors - few.descriptors <= (_DESCRIPTORS + 1) * more
    assert many.tasks - few.tasks <= (_TASKS + 2) * more
    assert many.descriptions == few.descriptions
