"""Wires that break and are dialled again, as often as in years: nothing of them stays behind."""

from __future__ import annotations

import asyncio
import gc
import os
import pty
import tty
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from energy.grid import SourceError
from foundation.clock import SystemClock
from metering.drivers.bus_registry import BusRegistry
from metering.drivers.modbus import ModbusRtuMeterConfig, ModbusTcpMeterConfig
from metering.meter import Meter, MeterError
from station.core.hardware.token_reader import ReaderError
from station.devices.serial_reader import SerialReaderConfig
from tests.energy.listening import configured

_OFTEN = 2000
_SOON_S = 0.0005
_ENDING = 20
"""the last few connections may not have come to their end yet"""


@dataclass(frozen=True, slots=True)
class OpenResources:
    """Counts of resources that a broken connection could leak."""

    descriptors: int
    tasks: int

    @classmethod
    def now(cls) -> OpenResources:
        gc.collect()
        return cls(len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()))


async def assert_nothing_leaks(attempt: Callable[[], Awaitable[object]]) -> None:
    """Check that attempts to read a peer that breaks off leave no descriptor or task open."""
    await attempt()
    before = OpenResources.now()
    for _ in range(_OFTEN):
        await attempt()
    after = OpenResources.now()
    assert after.descriptors - before.descriptors < _ENDING
    assert after.tasks - before.tasks < _ENDING


async def send_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A few bytes, and the end of the connection."""
    del reader
    writer.write(b"/KFM5")
    writer.close()


async def check_silent_meter(meter: Meter) -> None:
    """Check that readings without an answer leak nothing."""

    async def attempt() -> None:
        with pytest.raises(MeterError):
            await meter.read()

    await assert_nothing_leaks(attempt)
    await meter.close()


async def test_a_meter_on_modbus_tcp_that_breaks_off() -> None:
    async with await asyncio.start_server(send_and_close, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = {"model": "eastron-sdm630", "host": "127.0.0.1", "port": port, "timeout_s": _SOON_S}
        await check_silent_meter(ModbusTcpMeterConfig.from_tree(settings).open(SystemClock(), BusRegistry()))


async def test_a_meter_on_a_serial_line_that_is_silent() -> None:
    controlling_end, device_end = pty.openpty()
    tty.setraw(device_end)
    settings = {"model": "eastron-sdm630", "device": os.ttyname(device_end), "baud": 115200, "timeout_s": _SOON_S}
    await check_silent_meter(ModbusRtuMeterConfig.from_tree(settings).open(SystemClock(), BusRegistry()))
    os.close(controlling_end)
    os.close(device_end)


@pytest.mark.parametrize("kind", ["p1", "linky"])
async def test_a_grid_meter_behind_tcp_that_breaks_off(kind: str) -> None:
    async with await asyncio.start_server(send_and_close, "127.0.0.1", 0) as server:
        device = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        source = configured({"type": kind, "device": device}).open(SystemClock())

        async def attempt() -> None:
            with pytest.raises(SourceError):
                await anext(source.samples())

        await assert_nothing_leaks(attempt)


async def test_a_card_reader_behind_tcp_that_breaks_off() -> None:
    async with await asyncio.start_server(send_and_close, "127.0.0.1", 0) as server:
        device = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reader = SerialReaderConfig(device=device).open(SystemClock())

        async def attempt() -> None:
            with pytest.raises(ReaderError):
                async for _ in reader.reads():
                    pass

        await assert_nothing_leaks(attempt)
