"""`BoardTable`: the base class of the [board] tables."""

from __future__ import annotations

from collections.abc import Mapping

from foundation.device_table import DeviceTable


class BoardTable(DeviceTable):
    """Base class of the [board] tables: what a board has. Each states what differs from these defaults."""

    @property
    def wired_evses(self) -> int | None:
        """The number of EVSEs that the board is wired to; None: any number."""
        return None

    @property
    def has_shunt_trip(self) -> bool:
        """Whether the board can trip the breaker upstream."""
        return False

    @property
    def digital_pilot(self) -> bool:
        """Whether its pilots can ask vehicles to communicate (ISO 15118): a duty cycle of 5 %, and state F."""
        return True

    @property
    def socket_parts(self) -> tuple[Mapping[str, bool], ...]:
        """For each entry of `evse`, by key, whether a part that only a socket has is wired.

        Empty if the station does not wire these parts.
        """
        return ()
