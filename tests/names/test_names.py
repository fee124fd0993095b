"""No name by which others know this program changes by accident (`python -m tests.names.snapshots` changes them)."""

from __future__ import annotations

import shutil

import pytest

from tests.names.snapshots import SNAPSHOTS, file_of, lines_of

BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@pytest.mark.parametrize("name", SNAPSHOTS)
async def test_the_names_are_those_that_others_rely_on(name: str) -> None:
    if name == "mqtt_topics" and BROKER is None:
        pytest.skip("the broker mosquitto is not installed")
    before = file_of(name).read_text(encoding="utf-8").splitlines()
    now = await lines_of(name)
    gone, new = sorted(set(before) - set(now)), sorted(set(now) - set(before))
    assert (gone, new) == ([], []), f"{name}: gone or changed {gone}, new {new}"
    assert now == before


def test_no_file_of_names_is_left_over() -> None:
    assert {file.stem for file in file_of("settings").parent.glob("*.txt")} == set(SNAPSHOTS)
