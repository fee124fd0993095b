"""One run of a station's software, from boot to shutdown: its tasks, and its shutdown in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.supervision import AuxiliaryTask, keep_all_running, result_or_exception, run_together
from metering.journal import JournalError
from station.charging.recovery import end_open_transactions, record_ends
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.monitored_task import MonitoredTask
    from station.billing.register_journal.journal_writer import JournalWriter
    from station.charging.charging_station import ChargingStation
    from station.charging.evse_assembly import EvseAssembly
    from station.charging.sampling_settings import SamplingSettings
    from station.charging.transaction_logger import TransactionLogger
    from station.core.csms import CsmsLink
    from station.core.model import TransactionEvent
    from station.interfaces.parts import StationParts
    from station.load.load_management import LoadManagement
    from station.maintenance.logs.frame_store import FrameStore
    from station.maintenance.logs.store import LogStore
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 1.0
"""a stop may take 5 s in total, most of which the vehicles need"""


class TransactionRecovery:
    """Recovery at the start of a run: opens the contactors, and ends the transactions that the run before left open."""

    def __init__(
        self,
        evses: Mapping[int, EvseAssembly],
        outbox: Outbox,
        transaction_logger: TransactionLogger,
        settings: SamplingSettings,
        clock: Clock,
    ) -> None:
        self._evses = evses
        self._outbox = outbox
        self._transaction_logger = transaction_logger
        self._settings = settings
        self._clock = clock

    async def recover(self) -> list[TransactionEvent]:
        """Open all contactors, then end and store the open transactions, except those that wait for their meter.

        Returns the Ended events that could not be stored, for `store`.

        Raises:
            StorageError: the records of transactions cannot be read.
        """
        for evse in self._evses.values():
            await evse.driver.make_safe()
        if (error := await result_or_exception(self._transaction_logger.load(self._outbox))) is not None:
            _log.error("the ends of interrupted transactions are logged without their energy: %s", error)
        return await end_open_transactions(self._outbox, self._evses, self._settings, self._clock)

    async def store(self, ends: list[TransactionEvent]) -> None:
        """Store the Ended events that `recover` returned; retries until the disk accepts them."""
        await record_ends(ends, self._outbox, self._clock)


class StationTasks:
    """All tasks of one run: charging and load management, which are essential, and auxiliary ones."""

    def __init__(
        self,
        recovery: TransactionRecovery,
        station: ChargingStation,
        load: LoadManagement,
        auxiliary: Sequence[AuxiliaryTask],
        clock: Clock,
    ) -> None:
        self._recovery = recovery
        self._station = station
        self._load = load
        self._auxiliary = auxiliary
        self._clock = clock

    async def run(self) -> None:
        """Recover transactions, then run all tasks until cancelled.

        A crash of an essential task is raised and ends all of them, with contactors open; auxiliary ones are restarted.
        """
        await run_together(
            {
                "station": self._recover_and_run(),
                "load-management": self._load.run(),
                "auxiliary tasks": keep_all_running(self._auxiliary, self._clock),
            }
        )

    async def _recover_and_run(self) -> None:
        ends = await self._recovery.recover()
        await run_together({"recovery": self._recovery.store(ends), "evses": self._station.run()})

    def monitored_tasks(self) -> list[MonitoredTask]:
        """The essential tasks with a deadline, for the service watchdog: load management, admission, EVSEs."""
        evses = self._station.assemblies.values()
        return [
            self._load.decisions.waiting,
            self._station.admission.deciding,
            *(task for evse in evses for task in evse.monitored_tasks),
        ]


class StationShutdown:
    """The orderly end of one run: stops charging, and after the tasks have ended writes pending data to the disk."""

    def __init__(
        self,
        station: ChargingStation,
        outbox: Outbox,
        journal_writer: JournalWriter,
        log_store: LogStore,
        frame_store: FrameStore,
    ) -> None:
        self._station = station
        self._outbox = outbox
        self._journal_writer = journal_writer
        self._log_store = log_store
        self._frame_store = frame_store

    async def stop_charging(self) -> None:
        """Stop charging: open the contactors and store the ends of transactions; gives up after a few seconds.

        Does not wait for the CSMS, which gets the events later.
        """
        await self._station.halt()

    async def write_pending_data(self) -> None:
        """Write outbox, register journal, log and OCPP messages to the disk; raises nothing if the disk fails.

        Called after the tasks have ended, but not after a power cut.
        """
        with contextlib.suppress(StorageError):  # the only consequence: a few events are sent again
            await self._outbox.flush()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._journal_writer.close()
        except (JournalError, StorageError, TimeoutError) as error:
            _log.error("the books are completed at the next start: %s", error or "the disk is slow")
        await self._log_store.flush_to_disk()
        await self._frame_store.save()


class StationRun(Frozen):
    """One assembled run of a station, which the composition gives `StationRuntime` to run."""

    tasks: StationTasks
    shutdown: StationShutdown
    parts: StationParts
    """the parts that routes of the API, and the process, use while this run lasts"""
    link: Callable[[], CsmsLink | None]
    """the present link to the CSMS; None before it is set up, and without a CSMS"""
