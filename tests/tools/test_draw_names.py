"""The draw of names is reproducible and shows what a reader needs."""

from __future__ import annotations

import pytest

from tools import draw_names
from tools.draw_names import draw, helper_names, private_names, public_names
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


def test_private_names_and_locals_have_the_source_around_them() -> None:
    source = "LIMIT_A = 6\n\n\n_held: set[int] = set()\n\n\ndef _hold(number):\n    place = number\n    return place\n"
    texts = private_names([Module.parse("energy/limit.py", source)])
    assert [text.splitlines()[0] for text in texts] == [
        "energy/limit.py:4: `_held`",
        "energy/limit.py:7: `_hold`",
        "energy/limit.py:7: `number`",
        "energy/limit.py:8: `place`",
    ]
    assert "        place = number" in texts[2].splitlines()
    assert "    LIMIT_A = 6" not in texts[2].splitlines()


def test_helpers_of_tests_are_the_functions_that_prove_nothing_themselves() -> None:
    source = "class Recorder:\n    def add(self): ...\n\ndef run(): ...\n\ndef test_it(): ...\n"
    texts = helper_names([Module.parse("tests/test_run.py", source)])
    assert sorted(text.splitlines()[0] for text in texts) == [
        "tests/test_run.py:1: `Recorder`",
        "tests/test_run.py:2: `add`",
        "tests/test_run.py:4: `run`",
    ]


def test_the_seed_decides_what_is_drawn() -> None:
    names = [f"name {number}" for number in range(100)]
    first, again, other = (draw(names, seed, 5) for seed in ("cafe", "cafe", "babe"))
    assert first == again != other
    assert len({*first} & {*names}) == 5
    assert sorted(draw(names[:3], "cafe", 5)) == names[:3]


def test_what_is_drawn_from_the_product_is_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_names.main(["cafe", "5"]) == 0
    drawn = capsys.readouterr().out
    assert drawn.startswith("1. ")
    assert "\n5. " in drawn
    assert "\n6. " not in drawn


def test_without_a_seed_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        draw_names.main([])
    assert ended.value.code == 2
    assert "SEED" in capsys.readouterr().err
