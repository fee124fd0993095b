"""Plays scenarios in this process, as `borne scenario run` does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from borne.composition.station_assembly import event_loop_at
from borne.scenarios.scenario_run import RunOptions, ScenarioRun
from simulator.scenarios.scenario_file import load_scenario
from simulator.scenarios.verdicts import ScenarioVerdict


def played(files: Sequence[Path], options: RunOptions | None = None) -> list[ScenarioVerdict]:
    """Play scenario files; returns their verdicts, in order."""
    ended: list[ScenarioVerdict] = []
    run = ScenarioRun([load_scenario(file) for file in files], options or RunOptions())
    with asyncio.Runner(loop_factory=event_loop_at(0.0)) as runner:
        assert runner.run(run.run(ended.append))
    assert sorted(verdict.identity for verdict in ended) == sorted(verdict.identity for verdict in run.verdicts)
    return run.verdicts
