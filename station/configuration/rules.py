"""The rules between the tables of the installation file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from station.configuration.document import RuleError
from station.configuration.hardware_rules import check_hardware
from station.hardware.leds import SysfsLightConfig

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration

SIMULATED_DEVICE: Final = "simulated"
"""stands for the device of a grid source whose meter is simulated: its wire exists only once that runs"""


def check(whole: Configuration) -> None:
    """Refuse an installation file whose tables do not go together.

    Raises:
        RuleError: which key, and why.
    """
    _identity_can_be_a_user_name(whole)
    _evses_count_from_one(whole)
    _lamps_fit_the_evses(whole)
    _evses_fit_the_grid(whole)
    _simulated_linky_is_the_grid_source(whole)
    _a_broken_wire_ends_no_order(whole)
    _the_share_of_other_devices_is_theirs(whole)
    _readers_have_an_evse(whole)
    check_hardware(whole)
    _variables_have_a_place(whole)
    _the_time_zone_is_given_once(whole)


def _identity_can_be_a_user_name(whole: Configuration) -> None:
    if ":" in whole.station.identity and whole.csms is not None and whole.csms.password is not None:
        # A00.FR.204: what precedes the first colon is the user of HTTP basic authentication.
        raise RuleError(("station", "identity"), "must not have a colon when csms.password is given")


def _evses_count_from_one(whole: Configuration) -> None:
    if not whole.evse:
        raise RuleError(("evse",), "must have at least one entry")
    for position, evse in enumerate(whole.evse):
        if evse.id != position + 1:
            key = ("evse", position, "id")
            raise RuleError(key, f"must be {position + 1}: EVSEs count 1, 2, … in order (is {evse.id})")


def _lamps_fit_the_evses(whole: Configuration) -> None:
    if isinstance(whole.light, SysfsLightConfig) and len(whole.light.paths) not in {1, len(whole.evse)}:
        given = len(whole.light.paths)
        raise RuleError(("light", "paths"), f"must be 1, or {len(whole.evse)}: one for each EVSE (is {given})")


def _evses_fit_the_grid(whole: Configuration) -> None:
    if whole.grid is not None and whole.grid.phases == 1:
        for position, evse in enumerate(whole.evse):
            if evse.phases != 1:
                key = ("evse", position, "phases")
                raise RuleError(key, f"must be 1, as grid.phases is 1 (is {evse.phases})")


def _simulated_linky_is_the_grid_source(whole: Configuration) -> None:
    simulated = whole.simulation.linky
    if simulated is None:
        return
    if whole.grid is None or whole.grid.source.type != "linky":
        raise RuleError(("simulation", "linky"), 'needs a [grid] with a source of type "linky"')
    if whole.grid.source.device != SIMULATED_DEVICE:
        key = ("grid", "source", "device")
        raise RuleError(key, "must be left out, as [simulation.linky] brings its own")
    if simulated.phases != whole.grid.phases:
        key = ("simulation", "linky", "phases")
        raise RuleError(key, f"must be {whole.grid.phases}, as grid.phases is (is {simulated.phases})")


def _a_broken_wire_ends_no_order(whole: Configuration) -> None:
    contact = whole.grid_order
    if contact is not None and not contact.supervised and not contact.unsupervised:
        why = 'is missing: with polarity = "closed-dims" a broken wire would look like no order'
        raise RuleError(("grid_order", "opposite_line"), f"{why} (or set unsupervised = true)")


def _the_share_of_other_devices_is_theirs(whole: Configuration) -> None:
    """BK6-22-300, annex 1: what n devices keep together is for an energy manager that steers all of them."""
    contact = whole.grid_order
    if contact is not None and contact.devices > len(whole.evse):
        most = f"must be at most {len(whole.evse)}, the EVSEs: others keep what is theirs"
        raise RuleError(("grid_order", "devices"), f"{most} (is {contact.devices})")


def _readers_have_an_evse(whole: Configuration) -> None:
    for position, reader in enumerate(whole.reader):
        if reader.evse is not None and reader.evse > len(whole.evse):
            raise RuleError(("reader", position, "evse"), f"there is no EVSE {reader.evse}")


def _variables_have_a_place(whole: Configuration) -> None:
    taken: set[tuple[object, ...]] = set()
    for position, row in enumerate(whole.variable):
        if row.evse is not None and row.evse > len(whole.evse):
            raise RuleError(("variable", position, "evse"), f"there is no EVSE {row.evse}")
        if row.connector is not None and (row.evse is None or row.connector != 1):
            raise RuleError(("variable", position, "connector"), "must be 1, beside an evse")
        # names are case-insensitive (part 2, identifierString)
        names = (row.component.casefold(), row.variable.casefold(), (row.instance or "").casefold())
        instance = (row.component_instance or "").casefold()
        place = (*names, instance, row.evse, row.connector, row.attribute)
        if place in taken:
            raise RuleError(("variable", position), f"{row.component}.{row.variable} is given twice")
        taken.add(place)


def _the_time_zone_is_given_once(whole: Configuration) -> None:
    if whole.station.time_zone is None:
        return
    for position, row in enumerate(whole.variable):
        named = (row.component.casefold(), row.variable.casefold())
        if named == ("clockctrlr", "timezone") and row.value is not None:
            raise RuleError(("variable", position), "ClockCtrlr.TimeZone is given already, by station.time_zone")
