"""Reports answers that pymodbus cannot decode, such as ones that are too short."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from pymodbus.exceptions import ModbusException

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

    _Client = AsyncModbusTcpClient | AsyncModbusSerialClient

_Decode = Callable[[bytes, "tuple[object, ...] | None"], int]


def catch_decode_errors(client: _Client, on_error: Callable[[str], None]) -> None:
    """Call `on_error` with the reason whenever the client cannot decode received bytes.

    pymodbus itself raises into asyncio, which logs a traceback each time and drops the connection.
    """
    # pymodbus leaves the items of an address untyped
    decode = cast("_Decode", client.ctx.callback_data)  # pyright: ignore[reportUnknownMemberType]

    def decode_or_report(data: bytes, addr: tuple[object, ...] | None = None) -> int:
        try:
            return decode(data, addr)
        except ModbusException as failure:
            on_error(str(failure))
            return len(data)

    client.ctx.callback_data = decode_or_report
