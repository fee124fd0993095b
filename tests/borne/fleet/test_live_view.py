"""The live view of a fleet on a terminal."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console

from borne.fleet.live_view import PlainView, picture
from tests.borne.fleet.test_fleet_page import running_fleet


def test_the_screen_shows_a_line_for_each_figure(tmp_path: Path) -> None:
    run = running_fleet(tmp_path)
    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        console = Console(file=terminal, width=100, force_terminal=True, color_system="standard", record=True)
        console.print(picture(run, run.record.samples[-1], ["1.0 s  the plan begins"], width=80))
    lines = [line.strip("│ \n") for line in console.export_text(clear=False).splitlines()]
    assert {len(line) for line in console.export_text(clear=False).splitlines()} == {80}
    assert lines[0].strip("╭─╮ ") == "3 stations, process engine; Ctrl-C stops them in order"
    figures = [line.split("   ", 1)[0] for line in lines[3:-2]]
    assert figures == [
        "progress",
        "stations",
        "boots",
        "requests",
        "CSMS responds",
        "transactions",
        "charging",
        "waiting events",
    ]
    assert lines[3].endswith("2 of 600 s, plan")
    assert lines[4].endswith("2 online, 1 offline")
    assert lines[-2] == "1.0 s  the plan begins"


def test_a_problem_is_written_at_once_and_then_with_every_line(tmp_path: Path) -> None:
    run = running_fleet(tmp_path)
    fine = run.record.samples[-1]
    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        PlainView(run, Console(file=terminal, width=200))
        for at_s, problem in ((1.0, None), (2.0, "3 stations: refused"), (3.0, "2 stations: refused"), (7.0, None)):
            run.sampled.publish(replace(fine, at_s=at_s, problem=problem))
    lines = (tmp_path / "terminal").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines] == ["1.0", "2.0", "7.0"]
    assert [line.partition("kW")[2] for line in lines] == ["", "; 3 stations: refused", ""]


def test_the_screen_shows_a_problem(tmp_path: Path) -> None:
    run = running_fleet(tmp_path)
    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        console = Console(file=terminal, width=100, record=True)
        sample = replace(run.record.samples[-1], problem="3 stations: refused")
        console.print(picture(run, sample, [], width=80))
    assert re.search(r"problem +3 stations: refused", console.export_text())
