"""The rules between the tables of the installation file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from station.configuration.hardware_rules import board_errors, secc_errors, simulated_part_errors, socket_errors
from station.configuration.related_settings import RELATED_SETTINGS
from station.core.installation_file.document import RuleError, RuleErrors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from station.configuration.installation_tables import InstallationTables


def check(tables: InstallationTables) -> None:
    """Raise if tables of the installation file contradict each other.

    Raises:
        RuleErrors: the keys and the reasons.
    """
    if broken := [error for rule in _RULES for error in rule(tables)]:
        raise RuleErrors(broken)


def _identity_can_be_a_user_name(tables: InstallationTables) -> Iterator[RuleError]:
    if ":" in tables.station.identity and tables.csms is not None and tables.csms.password is not None:
        # A00.FR.204: the text before the first colon is the user name of HTTP basic authentication.
        yield RuleError(("station", "identity"), "must not contain a colon if csms.password is set")


def _evses_count_from_one(tables: InstallationTables) -> Iterator[RuleError]:
    if not tables.evse:
        yield RuleError(("evse",), "must have at least one entry")
    for position, evse in enumerate(tables.evse):
        if evse.id != position + 1:
            key = ("evse", position, "id")
            yield RuleError(key, f"must be {position + 1}: EVSEs are numbered 1, 2, … in order (is {evse.id})")


def _leds_fit_the_evses(tables: InstallationTables) -> Iterator[RuleError]:
    led_count = tables.light.led_count
    if led_count not in {None, 1, len(tables.evse)}:
        yield RuleError(
            ("light", "paths"), f"must have 1 entry, or {len(tables.evse)}: one for each EVSE (has {led_count})"
        )


def _evses_fit_the_grid(tables: InstallationTables) -> Iterator[RuleError]:
    if tables.grid is not None and tables.grid.phases == 1:
        for position, evse in enumerate(tables.evse):
            if evse.phases != 1:
                key = ("evse", position, "phases")
                yield RuleError(key, f"must be 1, because grid.phases is 1 (is {evse.phases})")


def _simulated_linky_is_the_grid_source(tables: InstallationTables) -> Iterator[RuleError]:
    simulated = tables.simulation.linky
    if simulated is None:
        return
    if tables.grid is None or tables.grid.source.simulation_table != "linky":
        yield RuleError(("simulation", "linky"), 'needs a [grid] with a source of type "linky"')
        return
    if tables.grid.source.simulated_key is None:
        key = ("grid", "source", "device")
        yield RuleError(key, "must be left out, because [simulation.linky] provides the device")
    if simulated.phases != tables.grid.phases:
        key = ("simulation", "linky", "phases")
        yield RuleError(key, f"must be {tables.grid.phases}, like grid.phases (is {simulated.phases})")


def _a_broken_wire_ends_no_order(tables: InstallationTables) -> Iterator[RuleError]:
    contact = tables.grid_order
    if contact is not None and not contact.supervised and not contact.unsupervised:
        reason = 'is missing: with polarity = "closed-dims" a broken wire would end an order'
        yield RuleError(("grid_order", "opposite_line"), f"{reason} (or set unsupervised = true)")


def _only_evses_share_the_grid_order(tables: InstallationTables) -> Iterator[RuleError]:
    """BK6-22-300, annex 1: a common limit for several devices requires an energy manager that controls them all."""
    contact = tables.grid_order
    if contact is not None and contact.devices > len(tables.evse):
        most = f"must be at most {len(tables.evse)}, the number of EVSEs: other devices do not count"
        yield RuleError(("grid_order", "devices"), f"{most} (is {contact.devices})")


def _readers_have_an_evse(tables: InstallationTables) -> Iterator[RuleError]:
    for position, reader in enumerate(tables.reader):
        if reader.evse is not None and reader.evse > len(tables.evse):
            yield RuleError(("reader", position, "evse"), f"must be the id of an [[evse]] (is {reader.evse})")


def _displays_have_an_evse(tables: InstallationTables) -> Iterator[RuleError]:
    evses = tables.display.evses
    for position, evse_id in enumerate(evses):
        key = ("display", "evses", position)
        if evse_id > len(tables.evse):
            yield RuleError(key, f"must be the id of an [[evse]] (is {evse_id})")
        elif evse_id in evses[:position]:
            yield RuleError(key, f"must not contain {evse_id} twice")
    for position, output in enumerate(tables.display.output):
        if output.evse is not None and output.evse not in evses:
            key = ("display", "output", position, "evse")
            yield RuleError(key, f"must be one of display.evses (is {output.evse})")


def _screens_have_a_broker(tables: InstallationTables) -> Iterator[RuleError]:
    for position, output in enumerate(tables.display.output):
        if output.needs_broker and tables.mqtt is None:
            yield RuleError(("display", "output", position, "type"), 'must not be "mqtt" without [mqtt]')


def _variables_have_a_place(tables: InstallationTables) -> Iterator[RuleError]:
    configured: set[tuple[object, ...]] = set()
    for position, row in enumerate(tables.variable):
        if row.evse is not None and row.evse > len(tables.evse):
            yield RuleError(("variable", position, "evse"), f"must be the id of an [[evse]] (is {row.evse})")
        if row.connector is not None and (row.evse is None or row.connector != 1):
            yield RuleError(("variable", position, "connector"), "must be 1, together with evse")
        # names are case-insensitive (part 2, identifierString)
        names = (row.component.casefold(), row.variable.casefold(), (row.instance or "").casefold())
        instance = (row.component_instance or "").casefold()
        address = (*names, instance, row.evse, row.connector, row.attribute)
        if address in configured:
            yield RuleError(("variable", position), f"{row.component}.{row.variable} is configured twice")
        configured.add(address)


def _the_time_zone_is_given_once(tables: InstallationTables) -> Iterator[RuleError]:
    if tables.station.time_zone is None:
        return
    for position, row in enumerate(tables.variable):
        variable_name = (row.component.casefold(), row.variable.casefold())
        if variable_name == ("clockctrlr", "timezone") and row.value is not None:
            yield RuleError(("variable", position), "ClockCtrlr.TimeZone is already set by station.time_zone")


_RULES: Final[tuple[Callable[[InstallationTables], Iterator[RuleError]], ...]] = (
    _identity_can_be_a_user_name,
    _evses_count_from_one,
    _leds_fit_the_evses,
    _evses_fit_the_grid,
    _simulated_linky_is_the_grid_source,
    _a_broken_wire_ends_no_order,
    _only_evses_share_the_grid_order,
    _readers_have_an_evse,
    _displays_have_an_evse,
    _screens_have_a_broker,
    simulated_part_errors,
    board_errors,
    secc_errors,
    socket_errors,
    _variables_have_a_place,
    _the_time_zone_is_given_once,
    *(row.errors for row in RELATED_SETTINGS),
)
