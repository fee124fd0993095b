"""`borne fleet` and `borne fleet init`: files, errors, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.fleet.example import PLAN_EXAMPLE, TEMPLATE_EXAMPLE
from tests.command_line import invoke
from tests.simulator.fleet.plans import write_plan


def test_init_writes_a_plan_and_its_template_which_are_valid(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    assert invoke(["fleet", "init", str(plan)]).exit_code == 0
    assert plan.read_text(encoding="utf-8") == PLAN_EXAMPLE
    assert (tmp_path / "station.toml").read_text(encoding="utf-8") == TEMPLATE_EXAMPLE
    checked = invoke(["fleet", "--check", str(plan)])
    assert (checked.exit_code, checked.stdout) == (0, f"{plan}: ok: 20 stations for 600 s at rate 5\n")


def test_init_overwrites_nothing_unless_forced(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("mine", encoding="utf-8")
    refused = invoke(["fleet", "init", str(plan)])
    assert (refused.exit_code, refused.stderr) == (2, f"{plan}: already exists; use --force to overwrite it\n")
    assert plan.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "station.toml").exists()
    assert invoke(["fleet", "init", str(plan), "--force"]).exit_code == 0
    assert plan.read_text(encoding="utf-8") == PLAN_EXAMPLE


def test_init_refuses_to_overwrite_a_template_and_then_writes_no_plan(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("mine", encoding="utf-8")
    assert invoke(["fleet", "init", str(tmp_path / "plan.toml")]).exit_code == 2
    assert (tmp_path / "station.toml").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "plan.toml").exists()


def test_init_prints_the_plan_without_a_file() -> None:
    assert invoke(["fleet", "init"]).stdout == PLAN_EXAMPLE


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_wrong_plan_ends_with_2_and_one_line_for_each_error(tmp_path: Path, arguments: list[str]) -> None:
    plan = write_plan(tmp_path, '[fleet]\nstations = 0\ntemplate = "station.toml"\nratio = 2\n')
    result = invoke(["fleet", str(plan), *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"{plan}:2: fleet.stations: must be at least 1 (is 0)",
        f"{plan}:4: fleet.ratio: is not a known key (did you mean rate?)",
    ]


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, '[fleet]\nstations = 1\ntemplate = "station.toml"\n')
    result = invoke(["fleet", str(plan), "--out", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (2, f"{tmp_path}: is not empty; every run needs its own folder\n")
