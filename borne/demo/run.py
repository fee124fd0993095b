"""The demonstration: a CSMS, a station, a house, a car and a driver in one process, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live

from borne.composition.simulated import world_of
from borne.composition.station_assembly import StartError, host_process
from borne.demo.demonstration import Demonstration, Remark
from borne.demo.measurements import DemoMeasurements, GridCurrentMonitor, summarize
from borne.demo.plug_and_charge import play_plug_and_charge
from borne.demo.script import DemoScenario, SceneFailedError, play_in_loop, play_once
from borne.demo.view import describe, picture, summary
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from foundation.supervision import contained_call
from simulator.csms.csms import CsmsSettings, DemoCsms, NotConnectedError
from station.configuration.installation_file import Configuration
from station.storage.outbox import Outbox
from station.storage.safe_start_record import single_errors

if TYPE_CHECKING:
    from borne.demo.measurements import SummaryLine
    from simulator.pki.v2g_pki import TestPki

_SUBSCRIBED_VA = 9000
_SUBSCRIBED_A = _SUBSCRIBED_VA / NOMINAL_VOLTAGE_V
_POLL_INTERVAL_S = 0.5
_DRAW_INTERVAL_S = 0.125
_VARIABLES = {
    ("SampledDataCtrlr", "TxUpdatedInterval"): "3",
    ("OCPPCommCtrlr", "RetryBackOffWaitMinimum"): "1",
    ("OCPPCommCtrlr", "RetryBackOffRandomRange"): "1",
    ("OCPPCommCtrlr", "RetryBackOffRepeatTimes"): "0",
}
"""shorter intervals than the defaults, for viewers"""
_SECC: Final = {"secc": {"type": "simulated"}}


class DemoOptions(Frozen):
    """The options of `borne demo`."""

    once: bool = False
    """play one charge and compare all figures, then end; False: play until Ctrl-C"""
    speed: float = 1.0
    """virtual seconds per second"""
    http_port: int = 0
    """port of page and API; 0: any free port"""
    plug_and_charge: bool = False
    """play a charge with a contract, of a vehicle that communicates"""


@dataclass(slots=True)
class _Outcome:
    checks: list[SummaryLine]
    missed: str | None = None
    """the expected event that did not happen"""


@dataclass(slots=True)
class _Play:
    """What a script plays with."""

    stage: DemoScenario
    csms: DemoCsms
    options: DemoOptions
    pki: TestPki | None


def run(options: DemoOptions) -> bool:
    """Run `borne demo` until Ctrl-C or its end; returns whether everything went as expected. Blocks.

    Raises:
        StartError: the station cannot be started here.
    """
    gc.enable()
    with tempfile.TemporaryDirectory(prefix="borne-demo-") as storage:
        return asyncio.run(_run_demonstration(options, Path(storage)))


def _configuration(storage: Path, csms_url: str, options: DemoOptions) -> Configuration:
    return Configuration.from_tree(
        {
            "station": {"identity": "BORNE-DEMO", "storage": str(storage)},
            "csms": {"url": csms_url},
            "evse": [{"id": 1, "phases": 1, "max_current_a": 32, **(_SECC if options.plug_and_charge else {})}],
            "grid": {"phases": 1, "safe_current_a": 6, "source": {"type": "linky", "mode": "historique"}},
            "simulation": {
                "rate": options.speed,
                "meter_transport": "modbus-tcp",
                "linky": {"mode": "historique", "phases": 1, "subscribed_va": _SUBSCRIBED_VA},
            },
            "variable": [
                {"component": component, "variable": variable, "value": value}
                for (component, variable), value in _VARIABLES.items()
            ],
        }
    )


async def _run_demonstration(options: DemoOptions, folder: Path) -> bool:
    console = Console()
    pki = await asyncio.to_thread(_create_pki, folder / "pki") if options.plug_and_charge else None
    # `now` is called only once `program` is assigned
    csms = DemoCsms(lambda: program.clock.now(), settings=CsmsSettings(pki=pki))
    async with csms.listening():
        process = host_process(_configuration(folder / "station", csms.url, options), http_port=options.http_port)
        program = process.station
        world = world_of(program.hardware)
        house, board = world.house, world.boards[1]
        watch = GridCurrentMonitor(
            program.clock, lambda: house.currents_a.l1, lambda: board.currents_a.l1, _SUBSCRIBED_A
        )
        stage = DemoScenario(program, world, csms, lambda sentence: demo.show_scene(sentence))
        demo = Demonstration(
            process,
            world,
            watch,
            bill=lambda: csms.transactions.get(stage.transaction_id or ""),
            network_cut=lambda: csms.is_cut,
            begin_wh=lambda: stage.begin_wh,
        )
        outcome = await _run_tasks(demo, _Play(stage, csms, options, pki), console)
    return _print_outcome(console, outcome, options)


def _create_pki(folder: Path) -> TestPki:
    from simulator.pki.v2g_pki import TestPki  # late: cryptography

    return TestPki.create(folder)


async def _run_tasks(demo: Demonstration, play: _Play, console: Console) -> _Outcome | None:
    """Run the station, its monitors and the view; None if interrupted."""
    process = demo.process
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, process.stop)
    _show_warnings(demo)
    if not console.is_terminal:
        _write_lines(demo, console)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(process.run_with_gc_control(), name="station")
            background = [
                group.create_task(_publish_remarks(demo), name="feed"),
                group.create_task(demo.grid_monitor.run(), name="grid-watch"),
                group.create_task(_poll_values(demo), name="queue"),
                group.create_task(_draw(demo, console), name="view"),
            ]
            playing = group.create_task(_play_script(demo, play), name="script")
            await asyncio.wait([running, playing], return_when=asyncio.FIRST_COMPLETED)
            outcome = playing.result() if playing.done() and not process.stopping else None
            playing.cancel()
            process.stop()
            await running
            for task in background:
                task.cancel()
    except* StartError as errors:
        raise single_errors(errors)[0] from None
    return outcome


async def _play_script(demo: Demonstration, play: _Play) -> _Outcome:
    await demo.runtime.wait_until_started()
    try:
        if play.pki is not None:
            await play_plug_and_charge(play.stage, play.pki)
        else:
            await (play_once(play.stage) if play.options.once else play_in_loop(play.stage))
    except (SceneFailedError, NotConnectedError) as error:
        return _Outcome([], str(error))
    return _Outcome(summarize(await _measure(demo, play.stage, play.csms)))


async def _measure(demo: Demonstration, stage: DemoScenario, csms: DemoCsms) -> DemoMeasurements:
    outbox = stage.parts.get(Outbox)
    identity = stage.transaction_id or ""
    recorded = await outbox.events(identity)
    billed = csms.transactions.get(identity)
    return DemoMeasurements(
        register_wh=stage.register_wh - stage.begin_wh,
        billed_wh=billed.energy_wh if billed is not None else None,
        recorded=[event.seq_no for event in recorded if event.seq_no is not None],
        delivered=billed.sequence_numbers if billed is not None else [],
        ended=billed is not None and billed.ended,
        offline=billed.offline if billed is not None else 0,
        queued=await outbox.count_waiting(),
        largest_a=demo.grid_monitor.largest_a,
        limit_a=demo.grid_monitor.limit_a,
        longest_above_s=demo.grid_monitor.longest_s,
    )


async def _publish_remarks(demo: Demonstration) -> None:
    """Publish a remark for each OCPP request, and for each change of the line that describes the EVSE."""
    last = ""
    with demo.runtime.feed.subscribe(lambda _: True) as feed_events:
        while True:
            feed_event = await feed_events.get()
            if feed_event.event_type == "frame":
                direction, text = str(feed_event.data["direction"]), str(feed_event.data["text"])
                frame_summary = demo.frames.add(demo.time_of_day, direction, text)
                if frame_summary is not None and not frame_summary.answer:
                    demo.remarks.publish(
                        Remark(frame_summary.arrow, f"{frame_summary.action} {frame_summary.summary}".rstrip())
                    )
            elif demo.runtime.running and (state := describe(demo)) != last:
                last = state
                demo.remarks.publish(Remark(" ", state))


async def _poll_values(demo: Demonstration) -> None:
    """Poll the values that are not published as events."""
    while True:
        if (outbox := demo.runtime.parts.find(Outbox)) is not None:
            demo.queued = await outbox.count_waiting()
        await demo.runtime.clock.sleep(_POLL_INTERVAL_S)


async def _draw(demo: Demonstration, console: Console) -> None:
    """Draw the screen repeatedly on a terminal; without one, write lines."""
    await demo.runtime.wait_until_started()
    if not console.is_terminal:
        demo.show_scene(f"The station is running; its page and API are at {demo.api}")
        return

    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(picture(demo, console.size.height), refresh=True)
            await asyncio.sleep(_DRAW_INTERVAL_S)  # in real time, for viewers


def _write_lines(demo: Demonstration, console: Console) -> None:
    demo.remarks.subscribe(
        lambda remark: console.out(f"{demo.elapsed_s:5.1f} s  {remark.mark} {remark.sentence}", highlight=False)
    )


def _show_warnings(demo: Demonstration) -> None:
    """Show log warnings in the demonstration instead of on the terminal that it draws on."""

    class WarningHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(contained_call(lambda: demo.warn(record.getMessage())), Exception):
                self.handleError(record)

    logging.basicConfig(level=logging.WARNING, handlers=[WarningHandler()], force=True)


def _print_outcome(console: Console, outcome: _Outcome | None, options: DemoOptions) -> bool:
    """Print the outcome; returns whether everything went as expected."""
    if outcome is None:
        console.print("Stopped." if not options.once else "Interrupted before the charge ended.")
        return not options.once
    if outcome.missed is not None:
        console.print(f"Failed: {outcome.missed}", highlight=False)
        return False
    console.print(summary(outcome.checks))
    wrong = [check.title for check in outcome.checks if check.trouble is not None]
    if wrong:
        console.print(f"Not as expected: {', '.join(wrong)}.", highlight=False)
    else:
        console.print(
            "Meter, station and CSMS agree, and the current stayed within the limit of the house.", highlight=False
        )
    return not wrong
