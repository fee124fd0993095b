"""Rules about hardware in the installation file: no simulated part with a real board, complete wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from station.core.installation_file.document import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from station.configuration.installation_tables import InstallationTables


def simulated_part_errors(configuration: InstallationTables) -> Iterator[RuleError]:
    """Yield an error for each simulated part configured beside a real board; none with a simulated board."""
    board = configuration.board
    if board.simulated_key is not None:
        return
    around = f'board.type is "{board.type}"'
    if configuration.given_simulation is not UNSET:
        yield RuleError(("simulation",), f"must be left out: {around}, and nothing is simulated")
    if (updater_key := configuration.firmware.simulated_key) is not None:
        yield RuleError(("firmware", *updater_key), f'must be "command", or "rauc" on a station image: {around}')
    for table, device in configuration.devices:
        if device.simulated_key is not None:
            must = "must be a real meter" if table[-1] == "meter" else "must not be simulated"
            yield RuleError((*table, *device.simulated_key), f"{must}: {around}")


def board_errors(configuration: InstallationTables) -> Iterator[RuleError]:
    """Yield an error if the board is wired to another number of EVSEs, or to no shunt trip that is configured."""
    board = configuration.board
    required, wired = len(configuration.evse), board.wired_evses
    if wired is not None and wired != required:
        yield RuleError(("board", "evse"), f"must have {required} entries, one for each [[evse]] (has {wired})")
    if configuration.protection.shunt_trip != "none" and not board.has_shunt_trip:
        yield RuleError(("protection", "shunt_trip"), "needs board.shunt_trip, which is missing")


def secc_errors(configuration: InstallationTables) -> Iterator[RuleError]:
    """Yield an error for each SECC at a board whose pilot cannot ask vehicles to communicate."""
    if configuration.board.digital_pilot:
        return
    for position, evse in enumerate(configuration.evse):
        if evse.secc is not None:
            why = f'the pilot of a board of type "{configuration.board.type}" has no duty cycle of 5 %'
            yield RuleError(("evse", position, "secc"), f"must be left out: {why}")


def socket_errors(configuration: InstallationTables) -> Iterator[RuleError]:
    """Yield an error for a socket without proximity contact or lock, or an attached cable with one."""
    for position, (evse, parts) in enumerate(zip(configuration.evse, configuration.board.socket_parts, strict=False)):
        for key, wired in parts.items():
            if wired is evse.attached_cable:
                must = "must be left out with attached_cable = true" if wired else "is missing: a socket needs it"
                yield RuleError(("board", "evse", position, key), must)
