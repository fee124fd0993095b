"""Each shipped scenario passes against the bundled CSMS."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.scenarios.shipped_scenarios import shipped_files
from simulator.scenarios.verdicts import Verdict
from tests.borne.scenarios.played import played


@pytest.mark.parametrize("file", shipped_files(), ids=lambda file: file.stem)
def test_a_shipped_scenario_passes(file: Path) -> None:
    (verdict,) = played([file])
    assert verdict.verdict is Verdict.PASSED, (verdict.failed_step, verdict.reason)
    assert verdict.time == "simulated"
    assert all(step.verdict is Verdict.PASSED for step in verdict.steps)
