"""Plans of fleets for tests, made from a few keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.fleet.plan_tables import FleetPlan

TEMPLATE = """\
[station]
identity = "{identity}"
serial_number = "{n}"

[log]
level = "warning"

[[evse]]
id = 1
phases = 3
max_current_a = 16
"""


def plan(fleet: dict[str, Any] | None = None, **tables: Any) -> FleetPlan:
    """A valid plan of ten stations with these keys and tables."""
    return FleetPlan.from_tree({"fleet": {"stations": 10, "template": "station.toml", **(fleet or {})}, **tables})


def write_plan(folder: Path, text: str, template: str = TEMPLATE) -> Path:
    """Write a plan and its template; returns the path of the plan."""
    (folder / "station.toml").write_text(template, encoding="utf-8")
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path
