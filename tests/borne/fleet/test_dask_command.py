"""Options of `borne fleet` for the engine `dask`: what is refused, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simulator.fleet.example import PLAN_EXAMPLE, TEMPLATE_EXAMPLE
from tests.command_line import invoke


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """The path of the example plan."""
    (tmp_path / "plan.toml").write_text(PLAN_EXAMPLE, encoding="utf-8")
    (tmp_path / "station.toml").write_text(TEMPLATE_EXAMPLE, encoding="utf-8")
    return str(tmp_path / "plan.toml")


@pytest.mark.parametrize("option", ["--scheduler=tcp://127.0.0.1:8786", "--shared-storage"])
def test_options_of_a_cluster_need_its_engine(plan: str, option: str) -> None:
    outcome = invoke(("fleet", plan, option))
    assert (outcome.exit_code, outcome.stderr) == (2, "--scheduler and --shared-storage need --engine dask\n")


def test_without_dask_the_error_names_the_command_to_install_it(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ("borne.fleet.dask_engine", "borne.fleet.dask_session", "borne.fleet.dask_worker")
    for name in [module for module in sys.modules if module.startswith("distributed") or module in engine]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    outcome = invoke(("fleet", plan, "--engine", "dask"))
    assert outcome.exit_code == 2
    assert outcome.stderr.endswith("install Dask with: pip install 'borne[fleet]'\n")


def test_workers_elsewhere_cannot_use_the_bundled_csms(plan: str) -> None:
    pytest.importorskip("distributed", reason="the extra borne[fleet] is not installed")
    outcome = invoke(("fleet", plan, "--engine", "dask", "--scheduler", "tcp://192.0.2.1:8786"))
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith('fleet.csms: "bundled" is only reached from this machine')


@pytest.mark.parametrize("number", ["0", "1025"])
def test_the_number_of_workers_is_bounded(plan: str, number: str) -> None:
    outcome = invoke(("fleet", plan, "--engine", "dask", "--workers", number))
    assert outcome.exit_code == 2
    assert f"must be 1 to 1024 (is {number})" in outcome.stderr
