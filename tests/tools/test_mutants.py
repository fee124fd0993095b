"""Mutants are small faults of functions: reproducible, the same in two checkouts, and the rest of a file stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rows import each_row
from tools import mutants
from tools.mutant_changes import Mutant, choose, edited, mutants_of
from tools.mutants import near_tests

SHARING = '''
LIMIT_A = 6

class Sharing:
    def share(self, granted: "Share[3]", phases=3) -> "Share[3]":
        """The share of 1 EVSE."""
        if granted is None:  # é: 1 of 3
            return f"{1 + 1}"
        return granted
'''
HOURS = """
def is_morning(hour):
    return hour < 12

def is_night(hour):
    return hour >= 22

def is_noon(hour):
    return hour == 12
"""
NEAR_TESTS = """
from station.hours import is_morning

def test_noon_is_no_morning():
    assert not is_morning(12)
"""
WALKS = """
def test_night_begins_at_22():
    from station.hours import is_night
    assert is_night(22)

def test_nothing():
    pass
"""


def all_mutants(source: str) -> list[Mutant]:
    return [mutant for of_function in mutants_of("f.py", source.encode()).values() for mutant in of_function]


def write(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")


@each_row(
    ("body", "changed"),
    [
        ("return a < b", "return a <= b"),
        ("return a >= b", "return a > b"),
        ("return a == b", "return a != b"),
        ("return (a) is not (b)", "return (a) is (b)"),
        ("return a not in b", "return a in b"),
        ("return in_a in in_b", "return in_a not in in_b"),
        ("return a - b", "return a + b"),
        ("return é * b", "return é / b"),
        ("return a and (b) and c", "return a or (b) or c"),
        ("return a or b", "return a and b"),
        ("return b if a else c", "return b if (not (a)) else c"),
        ("return True", "return False"),
        ("return 0.5", "return 1.5"),
    ],
)
def test_a_mutant_changes_one_operator_condition_or_constant(body: str, changed: str) -> None:
    source = f"def f(a, b, c):\n    {body}"
    [mutant] = all_mutants(source)
    assert edited(source.encode(), mutant.edits).decode() == f"def f(a, b, c):\n    {changed}"


def test_comments_annotations_and_texts_are_not_changed() -> None:
    found = {mutant.change: edited(SHARING.encode(), mutant.edits).decode() for mutant in all_mutants(SHARING)}
    assert found == {
        "3 becomes 4": SHARING.replace("phases=3", "phases=4"),
        "the condition is negated": SHARING.replace("granted is None", "(not (granted is None))"),
        "is becomes is not": SHARING.replace("granted is None", "granted is not None"),
    }


def test_a_mutant_states_its_place() -> None:
    mutant = all_mutants(SHARING)[-1]
    assert (mutant.file, mutant.line, mutant.function) == ("f.py", 7, "Sharing.share")


def test_a_function_is_marked_after_its_docstring() -> None:
    [mark] = {mutant.marked("record()") for mutant in all_mutants(SHARING)}
    assert edited(SHARING.encode(), [mark]).decode() == SHARING.replace(
        "        if granted", "        record()\n        if granted"
    )


def test_two_checkouts_have_the_same_mutants_wherever_the_functions_are(tmp_path: Path) -> None:
    functions = [f"def f{number}(a, b):\n    return a + b < {number}\n" for number in range(9)]
    write(tmp_path / "before", {"station/load.py": "\n".join(functions)})
    changed = [*functions[:4], functions[4].replace("4", "5"), "# moved\n", *functions[5:]]
    write(tmp_path / "after", {"station/a.py": "\n".join(changed[:3]), "station/b.py": "\n".join(changed[3:])})
    before = choose(tmp_path / "before", ["station"], 20, 7, tmp_path / "after")
    after = choose(tmp_path / "after", ["station"], 20, 7, tmp_path / "before")
    assert [(mutant.function, mutant.change) for mutant in before] == [
        (mutant.function, mutant.change) for mutant in after
    ]
    assert {mutant.function for mutant in before} == {f"f{number}" for number in range(9)} - {"f4"}
    assert [mutant.file for mutant in before] != [mutant.file for mutant in after]


def test_the_seed_decides_which_mutants_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"energy/rows.py": "\n".join(f"def f{number}(a): return a + 1\n" for number in range(30))})
    listed: list[str] = []
    for seed in ("1", "1", "2"):
        assert mutants.main(["--seed", seed, "--count", "5", "--list", "--tree", str(tmp_path)]) == 0
        listed.append(capsys.readouterr().out)
    assert listed[0] == listed[1] != listed[2]
    assert len(listed[0].splitlines()) == 5


def test_tests_that_import_the_module_come_before_the_others_of_its_room(tmp_path: Path) -> None:
    files = {
        "tests/station/load/test_a.py": "",
        "tests/station/load/test_z.py": "from station.load.sharing import Sharing",
        "tests/energy/test_b.py": "from station.load import grants, sharing",
        "tests/energy/test_c.py": "from station.load import grants",
        "tests/walks/test_d.py": "from station.load import sharing",
    }
    write(tmp_path, files)
    assert near_tests(tmp_path, "station/load/sharing.py") == [
        "tests/station/load/test_z.py",
        "tests/energy/test_b.py",
        "tests/station/load/test_a.py",
    ]
    assert near_tests(tmp_path, "station/load/deeper/grants.py")[0] == "tests/station/load/test_a.py"


def test_a_mutant_is_caught_near_its_module_or_by_a_walk_that_executes_its_function(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "pytest.ini": "[pytest]",
        "station/__init__.py": "",
        "station/hours.py": HOURS,
        "tests/station/test_hours.py": NEAR_TESTS,
        "tests/walks/test_night.py": WALKS,
        "tests/conformance/README.md": "",
        "tests/borne/README.md": "",
    }
    write(tmp_path, files)
    assert mutants.main(["--seed", "1", "--tree", str(tmp_path), "--workers", "0"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["function"]: line["caught_by"] for line in lines} == {
        "is_morning": "tests/station/test_hours.py::test_noon_is_no_morning",
        "is_night": "tests/walks/test_night.py::test_night_begins_at_22",
        "is_noon": None,
    }
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in files} == files
