"""One EVSE with what works for it: board driver, recorder, sampler, signing; built here and handed to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from foundation.supervision import run_together
from station.charging.board_driver import BoardDriver
from station.charging.evse import Evse, EvseBehaviour
from station.charging.evse_state import open_transaction_id
from station.charging.meter_polling import MeterPoller
from station.charging.recorder import EventRecorder
from station.charging.sampler import Sampler
from station.charging.signing.meter_value_signing import MeterValueSigning
from station.charging.unrecorded_events import UnrecordedEvents
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import Board

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.evse_settings import EvseSettings
    from station.charging.recording import Recording, RunningTransactions
    from station.charging.signing.meter_value_signing import SigningSetup


class EvseAssembly(Frozen):
    """One EVSE and the parts that work for it."""

    evse: Evse
    meter: MeterPoller
    """polls its billing meter"""
    driver: BoardDriver
    """commands its board"""
    recorder: EventRecorder
    """stores its transaction events"""
    sampler: Sampler
    """samples its meter"""
    signing: MeterValueSigning | None
    """signs its readings; None: they are not signed"""

    async def run(self) -> None:
        """Task until cancelled: run board, meter, sampling, signing and event storage; then open the contactor."""
        name = f"evse-{self.evse.id}"
        signing = {} if self.signing is None else {f"{name}-signing": self.signing.run()}
        await run_together(
            {
                f"{name}-driver": self.driver.run(),
                f"{name}-recorder": self.recorder.run(),
                f"{name}-meter": self.meter.run(),
                **signing,
                f"{name}-sampler": self.sampler.run(),
            }
        )

    @property
    def monitored_tasks(self) -> tuple[MonitoredTask, ...]:
        """The tasks that the watchdog monitors: at the board, and storing events."""
        return *self.driver.monitored_tasks, self.recorder.writing


class EvseHardware(Frozen):
    """The hardware of an EVSE, as it is built in: its layout, its board and its billing meter."""

    layout: EvseLayout
    board: Board
    meter: MeterPoller


def assemble_evse(
    hardware: EvseHardware,
    recording: Recording,
    running: RunningTransactions,
    settings: EvseSettings,
    clock: Clock,
    *,
    signing: SigningSetup | None = None,
    behaviour: EvseBehaviour | None = None,
) -> EvseAssembly:
    """Build an EVSE and its parts, and connect them.

    `running`: the running transactions of all EVSEs; `signing`: None if readings are not signed.
    """
    board, meter = hardware.board, hardware.meter
    queue = UnrecordedEvents()
    layout = replace(hardware.layout, sensors=board.sensors, signs=signing is not None)
    evse = Evse(layout, meter, queue, recording, settings.transactions, clock, behaviour or EvseBehaviour())
    evse.state_changed.subscribe(lambda _: running.update(evse.id, open_transaction_id(evse.state)))
    signer = None
    if signing is not None:
        signer = MeterValueSigning(evse, signing, recording.outbox, settings.sampling, settings.transactions, clock)
    recorder = EventRecorder(evse, queue, meter, recording, signer, settings, clock)
    recorder.recorded.subscribe(evse.event_recorded)
    recorder.disk_failed.subscribe(evse.note_storage_failure)
    sampler = Sampler(evse, meter, recording.outbox.end_data, running, signer, settings.sampling, clock)
    driver = BoardDriver(evse, board, clock)
    evse.outputs_repeated.subscribe(lambda _: driver.reapply_outputs())
    return EvseAssembly(evse, meter, driver, recorder, sampler, signer)
