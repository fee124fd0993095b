"""`SendingMeter`: the base class of simulated meters that send by themselves, on a line of their own."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from simulator.meter_output import MeterOutput


class SendingMeter(ABC):
    """A simulated meter that sends in a task of its own, from `start` to `stop`. Faults: `silent`, `flips_per_byte`.

    A subclass opens the wire and sends on it. `name`: of the meter in errors; `seed` makes bit flips repeatable.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.silent = False
        """whether nothing is sent, while the time of what is not sent passes"""
        self.flips_per_byte = 0.0
        """probability that one bit of a sent byte is flipped, 0 to 1"""
        self._name = name
        self._random = random.Random(seed)
        self._wire: MeterOutput | None = None
        self._send_task: asyncio.Task[None] | None = None

    @property
    def device(self) -> str:
        """The path of the pseudo-terminal, a new one after each start, or the `socket://` address, for a reader.

        Raises:
            RuntimeError: the meter is not started.
        """
        if self._wire is None:
            raise RuntimeError(f"{self._name} has not been started")
        return self._wire.device

    async def start(self) -> None:
        """Open the wire and start sending; does nothing if started."""
        if self._wire is None:
            self._wire = await self._open()
            self._send_task = asyncio.get_running_loop().create_task(self._send(self._wire))

    async def stop(self) -> None:
        """Stop sending and close the wire; does nothing if stopped.

        Raises:
            Exception: the sending task had failed, such as by an error of the simulated house.
        """
        wire, self._wire = self._wire, None
        sending, self._send_task = self._send_task, None
        if wire is None or sending is None:
            return
        sending.cancel()
        try:
            await asyncio.wait([sending])
        finally:
            wire.close()
        if not sending.cancelled():
            sending.result()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @abstractmethod
    async def _open(self) -> MeterOutput:
        """Open the wire."""

    @abstractmethod
    async def _send(self, wire: MeterOutput) -> None:
        """Send on the wire until cancelled."""

    def _with_flipped_bits(self, data: bytes) -> bytes:
        """The bytes as they arrive: some with a flipped bit, by `flips_per_byte`."""
        return bytes(byte ^ self._bytes_until_flip() for byte in data) if self.flips_per_byte else data

    def _bytes_until_flip(self) -> int:
        return 1 << self._random.randrange(7) if self._random.random() < self.flips_per_byte else 0
