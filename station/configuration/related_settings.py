"""The table of settings that depend on each other: one must not exceed another, or two must differ.

`borne check` and the API of the installer reject a setting that breaks a rule, and name its key. Site settings that an
earlier version has stored are lowered by the same rules when they are loaded, so that the station starts with them.
Limits that are known only while the station runs (selector, cable, fuse of the meter) cap each other in `energy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from energy.sources.dry_contact import minimum_w
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.device_table import Resource, ResourceKind, TableKey
from foundation.frozen import Frozen
from station.core.installation_file.document import KeyPath, RuleError, dotted

if TYPE_CHECKING:
    from station.configuration.installation_tables import InstallationTables


class MaximumRule(Frozen):
    """A setting that must not exceed a value that other settings determine."""

    key: KeyPath
    value_and_maximum: Callable[[InstallationTables], tuple[float | None, float | None]]
    """the value of the setting, None if not set, and its maximum, None if unlimited; in the unit of the key"""
    maximum_name: str
    """name of the maximum, for the error"""

    def errors(self, tables: InstallationTables) -> Iterator[RuleError]:
        """Yield an error if the setting is too high."""
        value, maximum = self.value_and_maximum(tables)
        if value is not None and maximum is not None and value > maximum:
            yield RuleError(self.key, f"must be at most {maximum:g}, {self.maximum_name} (is {value:g})")


class UniqueRule(Frozen):
    """A kind of resource that no two devices may use, unless both share it."""

    kind: ResourceKind

    def errors(self, tables: InstallationTables) -> Iterator[RuleError]:
        """Yield an error for each setting that assigns the same resource as an earlier one.

        Those that share it come first, so that the error names a device that needs a serial line of its own.
        """
        first_users: dict[TableKey, tuple[KeyPath, bool]] = {}
        for key, resource in sorted(self._resources(tables), key=lambda pair: not pair[1].shared):
            first_key, shared = first_users.setdefault(resource.name, (key, resource.shared))
            if first_key != key and not (shared and resource.shared):
                yield RuleError(key, f"must not be the same as {dotted(first_key)}")

    def _resources(self, tables: InstallationTables) -> Iterator[tuple[KeyPath, Resource]]:
        for table, device in tables.devices:
            for resource in device.resources:
                if resource.kind is self.kind:
                    yield (*table, *resource.key), resource


def _safe_current_and_maximum(tables: InstallationTables) -> tuple[float | None, float | None]:
    grid = tables.grid
    return (grid.safe_current_a, grid.max_current_a) if grid is not None else (None, None)


def _ordered_power_and_maximum(tables: InstallationTables) -> tuple[float | None, float | None]:
    order = tables.grid_order
    if order is None:
        return None, None
    rated_w = sum(evse.max_current_a * evse.phases for evse in tables.evse) * NOMINAL_VOLTAGE_V
    return order.limit_w, max(rated_w, minimum_w(order.devices))


RELATED_SETTINGS: Final[tuple[MaximumRule | UniqueRule, ...]] = (
    MaximumRule(("grid", "safe_current_a"), _safe_current_and_maximum, "the value of grid.max_current_a"),
    MaximumRule(("grid_order", "limit_w"), _ordered_power_and_maximum, "the power of all EVSEs"),
    *(UniqueRule(kind) for kind in ResourceKind),
)


def settings_above_maximum(tables: InstallationTables) -> list[tuple[RuleError, float]]:
    """The errors of all settings that exceed their maximum, each with that maximum in the unit of the setting."""
    errors: list[tuple[RuleError, float]] = []
    for row in RELATED_SETTINGS:
        if isinstance(row, MaximumRule):
            _, maximum = row.value_and_maximum(tables)
            errors += [(error, maximum) for error in row.errors(tables) if maximum is not None]
    return errors
