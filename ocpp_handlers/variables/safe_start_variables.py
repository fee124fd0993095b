"""Variables that report a safe start to the CSMS and let it end the safe start; not in the standard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocpp_handlers.variables.variable import (
    Component,
    DataType,
    Mutability,
    Variable,
    create_variable,
    read_only_variable,
)

if TYPE_CHECKING:
    from station.maintenance.safe_start import SafeStart

_SAFE_START = Component("SafeStart")


def safe_start_variables(safe_start: SafeStart) -> Iterator[Variable]:
    """Yield SafeStart.Active and SafeStart.Problem while rows are set aside after failed starts; else nothing.

    Writing "false" to Active puts all rows back at the next start, which the CSMS requests (RebootRequired).
    """
    if not safe_start.active:
        return

    async def write(text: str) -> None:
        if text != "false":
            raise ValueError("a safe start can only be ended: false")
        await safe_start.end(delete=False)

    yield create_variable(
        _SAFE_START,
        "Active",
        DataType.BOOLEAN,
        Mutability.READ_WRITE,
        lambda: str(safe_start.active).lower(),
        write,
        reboot_required=True,
    )
    yield read_only_variable(_SAFE_START, "Problem", DataType.STRING, lambda: safe_start.sentence)
