"""The owner's charge plans: which hours each EVSE waits for, and how much energy by when; stored."""

from __future__ import annotations

import json
import logging
from datetime import time
from typing import TYPE_CHECKING, Final, cast

from energy.tariff import ChargePlan, TariffMode
from station.load.charge_plan_settings import ChargePlanSettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

MOST_ENERGY_WH: Final = 200_000


class ChargePlans:
    """The charge plan of each EVSE, on disk: its own, else the one for all EVSEs."""

    def __init__(self, evse_ids: Collection[int], settings: ChargePlanSettings, facts: FactStore) -> None:
        """`settings`: the plan for all EVSEs; `facts`: those of single EVSEs."""
        self._evse_ids = evse_ids
        self._settings = settings
        self._facts = facts
        self._own: dict[int, ChargePlan] = {}

    async def load(self) -> None:
        """Load the plans of single EVSEs; one that cannot be read is logged, and does not apply.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            plan = self._facts.read(name, _parse, text)
            if plan is not None and name.isdecimal() and int(name) in self._evse_ids:
                self._own[int(name)] = plan
            else:
                _log.error("the stored charge plan of EVSE %s cannot be read and is ignored: %s", name, text)

    @property
    def of_all(self) -> ChargePlan:
        """The plan of EVSEs that have none of their own; its departure is local time."""
        departure = self._settings.tariff_departure
        return ChargePlan(
            TariffMode(self._settings.tariff_mode),
            time.fromisoformat(departure) if departure else None,
            float(self._settings.tariff_energy_wh),
        )

    def of(self, evse_id: int) -> ChargePlan:
        """The plan of an EVSE."""
        own = self._own.get(evse_id)
        return own if own is not None else self.of_all

    async def change(self, evse_id: int | None, plan: ChargePlan) -> None:
        """Set and store the plan of an EVSE, or (None) of all EVSEs, whose own plans then end.

        It applies from the next decision of load management on, which the caller requests.

        Raises:
            StorageError: not saved; it applies until a restart.
        """
        if evse_id is not None:
            self._own[evse_id] = plan
            await self._facts.save(str(evse_id), _text(plan))
            return
        settings = self._settings
        await settings.change(ChargePlanSettings.tariff_departure, _departure(plan))
        await settings.change(ChargePlanSettings.tariff_energy_wh, str(round(plan.energy_wh)))
        await settings.change(ChargePlanSettings.tariff_mode, plan.mode.value)
        await self.forget_own()

    async def forget_own(self) -> None:
        """Delete the plans of single EVSEs, also for a factory reset, which resets the settings itself.

        Raises:
            StorageError: they return with a restart.
        """
        former = list(self._own)
        self._own.clear()
        for evse_id in former:
            await self._facts.remove(str(evse_id))


def _departure(plan: ChargePlan) -> str:
    """The departure as text, such as 07:30; empty: none."""
    return f"{plan.departure:%H:%M}" if plan.departure is not None else ""


def _text(plan: ChargePlan) -> str:
    """The stored form of a plan."""
    return json.dumps({"mode": plan.mode, "departure": _departure(plan), "energy_wh": plan.energy_wh})


def _parse(text: str) -> ChargePlan:
    """The plan of a stored text.

    Raises:
        ValueError: the text is no plan.
    """
    values: object = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("must be a table")
    fields = cast("dict[str, object]", values)  # JSON objects have text keys
    departure, energy_wh = str(fields.get("departure", "")), fields.get("energy_wh", 0)
    if not isinstance(energy_wh, int | float) or not 0 <= energy_wh <= MOST_ENERGY_WH:
        raise ValueError(f"energy_wh: must be from 0 to {MOST_ENERGY_WH}")
    return ChargePlan(
        TariffMode(fields.get("mode")), time.fromisoformat(departure) if departure else None, float(energy_wh)
    )
