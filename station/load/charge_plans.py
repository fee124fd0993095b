"""The owner's charge plans: which hours each EVSE waits for, and how much energy by when; stored."""

from __future__ import annotations

import json
from datetime import time
from typing import TYPE_CHECKING

from energy.tariff import ChargePlan, TariffMode
from foundation.json_values import is_object
from station.load.charge_plan_settings import MOST_ENERGY_WH, ChargePlanSettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from station.storage.fact_store import FactStore


class ChargePlans:
    """The charge plan of each EVSE, on disk: its own, else the one for all EVSEs."""

    def __init__(self, evse_ids: Collection[int], settings: ChargePlanSettings, facts: FactStore) -> None:
        """`settings`: the plan for all EVSEs; `facts`: those of single EVSEs."""
        self._evse_ids = evse_ids
        self._settings = settings
        self._facts = facts
        self._own: dict[int, ChargePlan] = {}

    async def load(self) -> None:
        """Load the plans of single EVSEs; one that cannot be read does not apply, and is listed as unreadable.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            if name.isdecimal() and int(name) in self._evse_ids and (plan := self._facts.read(name, _parse, text)):
                self._own[int(name)] = plan

    @property
    def of_all(self) -> ChargePlan:
        """The plan of EVSEs that have none of their own; its departure is local time."""
        settings = self._settings
        departure = _departure_of(settings.tariff_departure)
        return ChargePlan(TariffMode(settings.tariff_mode), departure, float(settings.tariff_energy_wh))

    def of(self, evse_id: int) -> ChargePlan:
        """The plan of an EVSE."""
        own = self._own.get(evse_id)
        return own if own is not None else self.of_all

    async def change(self, evse_id: int | None, plan: ChargePlan) -> None:
        """Set and store the plan of an EVSE, or (None) of all EVSEs, whose own plans then end.

        It applies from the next decision of load management on, which the caller requests.

        Raises:
            StorageError: not all of it is stored; what is not stored does not apply.
        """
        if evse_id is not None:
            await self._facts.save(str(evse_id), _plan_text(plan))
            self._own[evse_id] = plan
            return
        settings = self._settings
        await settings.change(ChargePlanSettings.tariff_departure, departure_text(plan))
        await settings.change(ChargePlanSettings.tariff_energy_wh, str(round(plan.energy_wh)))
        await settings.change(ChargePlanSettings.tariff_mode, plan.mode.value)
        await self.forget_own()

    async def forget_own(self) -> None:
        """Delete the plans of single EVSEs, also of EVSEs that are not installed now; for a factory reset too.

        The settings of the plan for all EVSEs are not touched.

        Raises:
            StorageError: not all are deleted; may be called again.
        """
        for name in await self._facts.load():
            await self._facts.remove(name)
            if name.isdecimal():
                self._own.pop(int(name), None)


def departure_text(plan: ChargePlan) -> str:
    """Return the departure of a plan as text, such as 07:30; empty: none."""
    return f"{plan.departure:%H:%M}" if plan.departure is not None else ""


def _plan_text(plan: ChargePlan) -> str:
    """The stored form of a plan."""
    return json.dumps({"mode": plan.mode, "departure": departure_text(plan), "energy_wh": plan.energy_wh})


def _parse(text: str) -> ChargePlan:
    """The plan of a stored text.

    Raises:
        ValueError: the text is no plan.
    """
    fields: object = json.loads(text)
    if not is_object(fields):
        raise ValueError("must be a table")
    departure, energy_wh = str(fields.get("departure", "")), fields.get("energy_wh", 0)
    if isinstance(energy_wh, bool) or not isinstance(energy_wh, int | float) or not 0 <= energy_wh <= MOST_ENERGY_WH:
        raise ValueError(f"energy_wh: must be from 0 to {MOST_ENERGY_WH}")
    return ChargePlan(TariffMode(fields.get("mode")), _departure_of(departure), float(energy_wh))


def _departure_of(text: str) -> time | None:
    """The departure of a text such as 07:30; None: it is empty.

    Raises:
        ValueError: the text is another one.
    """
    if not text:
        return None
    departure = time.fromisoformat(text)
    if departure.tzinfo is not None or f"{departure:%H:%M}" != text:
        raise ValueError("departure: must be a local time such as 07:30")
    return departure
