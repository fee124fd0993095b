"""[[variable]] tables of the installation file: override values and mutabilities, and add custom variables."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from foundation.frozen import Frozen
from ocpp_handlers.variables.device_model import DeviceModel, VariableNotFound
from ocpp_handlers.variables.variable import AttributeType, Component, DataType, Mutability, Variable, create_variable

_log = logging.getLogger(__name__)

VALUE_SIZE = 1_000
"""characters of a value in SetVariables (schema)"""


class ConfiguredVariable(Frozen):
    """A [[variable]] table of the installation file: another value or mutability, or a custom variable."""

    component: Component
    name: str
    instance: str | None
    attribute: AttributeType
    value: str | None
    """None: not overridden; empty for a custom variable"""
    mutability: Mutability | None
    """None: not overridden; a custom variable needs one"""


class StoredValues(Protocol):
    """The values that the CSMS has written to variables without a setting (`FactStore`)."""

    async def load(self) -> dict[str, str]:
        """Return all values, by name."""
        ...

    async def save(self, name: str, text: str, /) -> object:
        """Store a value."""
        ...


class ConfiguredVariables:
    """Applies the [[variable]] tables of the installation file to the device model.

    What the CSMS writes to a variable without a setting, such as a custom one, is stored on disk, without effect.
    """

    def __init__(self, model: DeviceModel, facts: StoredValues) -> None:
        self._model = model
        self._facts = facts
        self._stored_values: dict[str, str] = {}

    async def apply(self, rows: Iterable[ConfiguredVariable]) -> None:
        """Change the device model by the rows, in order; a row that cannot be applied is logged and skipped.

        Raises:
            StorageError: the stored values cannot be read.
        """
        self._stored_values = await self._facts.load()
        for row in rows:
            try:
                self.apply_row(row)
            except ValueError as error:
                _log.error("variable %s.%s %s", row.component.name, row.name, error)

    def apply_row(self, row: ConfiguredVariable) -> None:
        """Change the device model by one row.

        Raises:
            ValueError: why the row cannot be applied, as the end of a sentence about the variable.
        """
        variable = self._model.find(row.component, row.name, row.instance, row.attribute)
        if isinstance(variable, VariableNotFound):
            if row.mutability is None:  # more often a mistyped name than a custom variable
                raise ValueError(f"is not known ({variable}); a custom variable needs `mutability`")
            self._model.add(self._custom_variable(row, row.mutability))
            return
        if variable.description.fixed:
            raise ValueError("is fixed by the program")
        if row.value is not None:
            _check_constant_switch(variable, row.value)
            variable = self._with_value(variable, row.value)
        if row.mutability is not None:
            variable = variable.with_mutability(row.mutability)
            if variable.access.write is None and row.mutability is not Mutability.READ_ONLY:
                variable = self._with_stored_value(variable)
        self._model.add(variable)

    def _with_value(self, variable: Variable, value: str) -> Variable:
        """The variable with another initial value; a value that the CSMS has saved takes precedence."""
        if (preset := variable.access.preset) is not None:
            preset(value)
            return variable
        if (override := variable.access.override) is not None:
            override(value)
            return variable.with_access(restore=lambda: override(value))
        return variable.with_access(read=lambda: value)

    def _custom_variable(self, row: ConfiguredVariable, mutability: Mutability) -> Variable:
        """A custom variable of the installation file, of type string."""
        variable = create_variable(
            row.component,
            row.name,
            DataType.STRING,
            mutability,
            lambda: row.value or "",
            instance=row.instance,
            maximum=float(VALUE_SIZE),
            attribute=row.attribute,
            constant=mutability is Mutability.READ_ONLY,
        )
        return variable if mutability is Mutability.READ_ONLY else self._with_stored_value(variable)

    def _with_stored_value(self, variable: Variable) -> Variable:
        """The variable with a stored value that the CSMS may write; it only appears in reports, without effect."""
        name = _fact_name(variable)

        async def write(text: str) -> None:
            if len(text) > VALUE_SIZE:
                raise ValueError(f"must have at most {VALUE_SIZE} characters")
            await self._facts.save(name, text)
            self._stored_values[name] = text

        return variable.with_access(
            read=lambda: self._stored_values[name] if name in self._stored_values else variable.read(), write=write
        )


def refused_rows(model: DeviceModel, rows: Sequence[ConfiguredVariable]) -> Iterator[tuple[int, str]]:
    """Yield the position of each row that `ConfiguredVariables` would not apply to a device model, and the reason.

    It applies the others, and stores nothing.
    """
    configured = ConfiguredVariables(model, _EmptyFactStore())
    for position, row in enumerate(rows):
        try:
            configured.apply_row(row)
        except ValueError as error:
            yield position, str(error)


class _EmptyFactStore:
    """The stored values of a station that no CSMS has written to."""

    async def load(self) -> dict[str, str]:
        return {}

    async def save(self, name: str, text: str, /) -> None:
        del name, text


def _check_constant_switch(variable: Variable, value: str) -> None:
    """Refuse another value of a constant switch, such as Available: it would be reported, and change nothing.

    Raises:
        ValueError: the value differs from what the station can do.
    """
    description = variable.description
    if not description.constant or description.data_type is not DataType.BOOLEAN:
        return
    if value.casefold() != (present := variable.read()):
        raise ValueError(f'must be "{present}": it reports what the station can do, and switches nothing')


def _fact_name(variable: Variable) -> str:
    place = variable.component
    parts = (*place.key, *variable.key, variable.attribute.value)
    return "/".join("" if part is None else str(part) for part in parts)
