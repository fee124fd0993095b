"""The draw of public names is reproducible and shows what a reader needs."""

from __future__ import annotations

import pytest

from tools import draw_names
from tools.draw_names import public_names
from tools.wiring_syntax import Module

SOURCE = '''
class Meter(Protocol):
    """Reads a meter."""

    @property
    def last(self) -> float:
        """The last reading in Wh."""

    def _poll(self) -> None: ...

async def read(meter: Meter, *, retries: int = 2) -> float: ...
'''


def test_each_public_name_has_its_place_signature_and_docstring() -> None:
    assert public_names([Module.parse("energy/meter.py", SOURCE)]) == [
        "energy/meter.py: class Meter(Protocol)\n    Reads a meter.",
        "energy/meter.py: Meter.@property last(self) -> float\n    The last reading in Wh.",
        "energy/meter.py: async read(meter: Meter, *, retries: int=2) -> float\n    (no docstring)",
    ]


def test_the_seed_decides_what_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    drawn: list[str] = []
    for seed in ("cafe", "cafe", "babe"):
        assert draw_names.main([seed, "5"]) == 0
        drawn.append(capsys.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].startswith("1. ")
    assert "\n5. " in drawn[0]


def test_without_a_seed_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_names.main([]) == 2
    assert "SEED" in capsys.readouterr().err
