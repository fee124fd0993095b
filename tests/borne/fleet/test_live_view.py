"""The live view of a fleet on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from borne.fleet.live_view import picture
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
