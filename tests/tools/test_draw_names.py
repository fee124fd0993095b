"""The draw of names is reproducible and shows what a reader needs."""

from __future__ import annotations

import pytest

from tools import draw_names
from tools.draw_names import draw, helper_names, private_names, public_names, script_names
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


SCRIPT = """\
// function nobody(declares) is a comment
import { get } from "./api.js";

const LIMIT_A = 6; /* let it = 1
const other = 2; */
let { phases, limit_a: limit = LIMIT_A, meter: { power_w: power } } = await get("/api/limit");

/** Draw the rows. */
export async function draw(rows, { first = 0, ...rest } = {}) {
  for (const [index, row] of rows.entries()) rows.filter((_, at) => at > index).map(cell => cell + row);
  try {
    await get("https://example.org/");
  } catch (error) {
    throw new Refusal(error.status);
  }
}

class Refusal extends Error {
  constructor(status) {
    super();
  }
}
"""


def test_names_of_scripts_are_all_that_is_declared_but_no_keys_and_no_default_values() -> None:
    texts = script_names({"js/limit.js": SCRIPT})
    names = [text.splitlines()[0].removeprefix("js/limit.js:") for text in texts]
    assert sorted(names, key=lambda name: (int(name.split(":")[0]), name)) == [
        "4: `LIMIT_A`",
        "6: `limit`",
        "6: `phases`",
        "6: `power`",
        "9: `draw`",
        "9: `first`",
        "9: `rest`",
        "9: `rows`",
        "10: `at`",
        "10: `cell`",
        "10: `index`",
        "10: `row`",
        "13: `error`",
        "18: `Refusal`",
        "19: `status`",
    ]
    assert "    const LIMIT_A = 6; /* let it = 1" in texts[0].splitlines()


def test_the_seed_decides_what_is_drawn() -> None:
    names = [f"name {number}" for number in range(100)]
    first, again, other = (draw(names, seed, 5) for seed in ("cafe", "cafe", "babe"))
    assert first == again != other
    assert len({*first} & {*names}) == 5
    assert sorted(draw(names[:3], "cafe", 5)) == names[:3]


@pytest.mark.parametrize("kind", [[], ["--scripts"]])
def test_what_is_drawn_from_the_product_is_numbered(kind: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_names.main(["cafe", "5", *kind]) == 0
    drawn = capsys.readouterr().out
    assert drawn.startswith("1. ")
    assert "\n5. " in drawn
    assert "\n6. " not in drawn


def test_without_a_seed_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        draw_names.main([])
    assert ended.value.code == 2
    assert "SEED" in capsys.readouterr().err
