"""Single outputs of a board for its bring-up: each is set for some seconds, and all are then in the safe state again.

This holds whatever ends the command: its time, an error, a signal, the loss of the terminal. Only a kill that no
program can handle leaves the outputs to the hardware, as it does with a station.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Final

from borne.bring_up.background_lines import background_lines
from borne.bring_up.board_inputs import first_observation, read_converters
from borne.bring_up.interruption import say_if_possible
from foundation.expected_error import ExpectedError
from foundation.supervision import run_to_end
from metering.drivers.bus_registry import BusRegistry
from station.core.hardware.board import SAFE_OUTPUTS, BoardError, Outputs

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.hardware.board import Board
    from station.core.installation_file.charging_tables import EvseConfig
    from station.devices.device_config import RealBoardConfig
    from station.devices.linux.linux_board_config import LinuxBoardConfig
    from station.devices.linux.single_outputs import SingleOutputs

_POLL_S: Final = 0.1
_LOCK_TIMEOUT_S: Final = 5.0
_SAFE: Final = "all outputs are in the safe state"


class UnsafeOutputError(ExpectedError):
    """An output could not be set to the safe state; the supply must be switched off."""


@contextlib.contextmanager
def single_outputs(config: LinuxBoardConfig) -> Generator[SingleOutputs]:
    """Drive single outputs of a board in the block; all are in the safe state at its begin and at its end.

    Raises:
        BoardError: an output cannot be driven.
        UnsafeOutputError: an output is perhaps not in the safe state at the end.
    """
    from station.devices.linux.single_outputs import SingleOutputs  # late: gpiod

    outputs = SingleOutputs(config)
    try:
        outputs.set_safe()
        yield outputs
    finally:
        try:
            outputs.close()
        except BoardError as error:
            raise _unsafe(error) from error
        say_if_possible(_SAFE)


@contextlib.asynccontextmanager
async def safe_board(config: RealBoardConfig, evse: EvseConfig, clock: Clock) -> AsyncGenerator[Board]:
    """Use the driver of an EVSE's board in the block; its outputs are the safe ones at its begin and at its end.

    Raises:
        BoardError: the board does not answer.
        UnsafeOutputError: an output is perhaps not in the safe state at the end.
    """
    board = config.open(evse, clock, BusRegistry())
    try:
        await board.apply(SAFE_OUTPUTS)
        yield board
    finally:
        # In a task that was cancelled a Modbus exchange ends at once (Bus), and a signal may come during the cleanup.
        await run_to_end(_make_safe(board))


async def _make_safe(board: Board) -> None:
    """Set the safe outputs and release the board; a failure of the first does not skip the second.

    Raises:
        UnsafeOutputError: one of both has failed.
    """
    failure: BoardError | None = None
    for step in (lambda: board.apply(SAFE_OUTPUTS), board.close):
        try:
            await step()
        except BoardError as error:
            failure = failure or error
    if failure is not None:
        raise _unsafe(failure) from failure
    say_if_possible(_SAFE)


def _unsafe(error: BoardError) -> UnsafeOutputError:
    return UnsafeOutputError(f"{error}: an output is perhaps NOT in the safe state; switch off the supply")


async def hold_line(config: LinuxBoardConfig, name: str, seconds: float, clock: Clock) -> int:
    """Set an output active for some seconds; print which inputs change meanwhile. Returns 0."""
    with single_outputs(config) as outputs:
        active = outputs.active_inputs()
        outputs.set_line(name, True)
        background_lines.say(f"{name}: active for {seconds:g} s")
        ends_s = clock.monotonic() + seconds
        ended = False
        while not ended:
            await clock.sleep(min(_POLL_S, seconds))
            ended = clock.monotonic() >= ends_s
            before, active = active, outputs.active_inputs()
            for changed in sorted(before ^ active):
                background_lines.say(f"  {changed}: {'active' if changed in active else 'inactive'}")
        outputs.set_line(name, False)
        background_lines.say(f"{name}: inactive")
        await clock.sleep(_POLL_S)
        for changed in sorted(active ^ outputs.active_inputs()):
            background_lines.say(f"  {changed}: {'inactive' if changed in active else 'active'}")
    return 0


async def hold_duty_cycle(config: LinuxBoardConfig, evse_id: int, duty: float, seconds: float, clock: Clock) -> int:
    """Set the pilot of an EVSE for some seconds; print its voltage and the other readings as they change. Returns 0."""
    with single_outputs(config) as outputs:
        outputs.set_duty_cycle(evse_id, duty)
        background_lines.say(
            f"evse{evse_id}: pilot at a duty cycle of {duty:.1%} for {seconds:g} s; the contactor stays open"
        )
        ends_s = clock.monotonic() + seconds
        printed: dict[str, str] = {}
        ended = False
        while not ended:
            await clock.sleep(min(_POLL_S, seconds))
            ended = clock.monotonic() >= ends_s
            try:
                read = dict(await read_converters(evse_id, config.evse[evse_id - 1]))
            except OSError as error:
                raise BoardError(f"{error}") from error
            for name, text in read.items():
                if printed.get(name) != text:
                    background_lines.say(f"  {name}: {text}")
            printed = read
    return 0


async def hold_current(
    config: RealBoardConfig, evse: EvseConfig, current_a: float, seconds: float, clock: Clock
) -> int:
    """Let a controller offer a current for some seconds; print what it observes. Returns 0."""
    async with safe_board(config, evse, clock) as board:
        await board.apply(Outputs(pilot_a=current_a))
        background_lines.say(f"evse{evse.id}: {current_a:g} A offered for {seconds:g} s")
        ends_s, printed, ended = clock.monotonic() + seconds, "", False
        while not ended:
            await clock.sleep(min(_POLL_S, seconds))
            ended = clock.monotonic() >= ends_s
            observed = await first_observation(board)
            text = f"state {observed.pilot}, contactor {'closed' if observed.contactor_closed else 'open'}"
            if text != printed:
                background_lines.say(f"  evse{evse.id}.pilot: {text}")
            printed = text
    return 0


async def move_lock(config: RealBoardConfig, evse: EvseConfig, clock: Clock) -> int:
    """Lock the connector and unlock it again; returns 0 if its contact has followed both times, else 1."""
    async with safe_board(config, evse, clock) as board:
        locked = await _set_lock(board, evse.id, clock, shut=True)
        unlocked = await _set_lock(board, evse.id, clock, shut=False)
    return 0 if locked and unlocked else 1


async def _set_lock(board: Board, evse_id: int, clock: Clock, *, shut: bool) -> bool:
    """Move the lock, and wait until its contact shows it."""
    word = "locked" if shut else "unlocked"
    began_s = clock.monotonic()
    await board.apply(Outputs(lock=shut))
    try:
        async with clock.timeout(_LOCK_TIMEOUT_S):
            async for observed in board.observations():
                if observed.locked is shut:
                    break
    except TimeoutError:
        background_lines.say(f"evse{evse_id}.lock: NOT {word} within {_LOCK_TIMEOUT_S:g} s")
        return False
    background_lines.say(f"evse{evse_id}.lock: {word} after {clock.monotonic() - began_s:.1f} s")
    return True
