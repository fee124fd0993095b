"""Checks that the tests notice faults: tries mutants of the product, each a small change of one function.

`python -m tools.mutants --seed SEED` chooses functions at random and prints one JSON line for each mutant, with the
test that caught it. First run the tests that import its module and those of its room, the folder that mirrors its own;
then the walks and the tests of conformance and of the program that execute the function, as one run of them recorded.
`--same-as FOLDER` compares two states of the tests: it chooses only functions that are the same in another checkout,
and with the same seed the other checkout gets the same mutants.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from tools.mutant_changes import Edit, Mutant, choose, edited
from tools.wiring import patterns

_ROOT: Final = Path(__file__).parents[1]
_LEFT_OUT: Final = {
    "borne": "composition: most faults in it end every walk",
    "simulator": "the other side of the tests",
}
"""packages that are not changed, each with the reason"""
_WIDE: Final = ("tests/walks", "tests/conformance", "tests/borne")
_RECORDER: Final = "recorded_tests"
_TIMEOUT_S: Final = 300


def _packages() -> list[str]:
    """The packages of the product whose functions are changed."""
    names = [name.rstrip("*") for name in patterns((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))]
    return [name for name in names if name not in _LEFT_OUT]


@dataclass(frozen=True, slots=True)
class MutantRunner:
    """Runs tests in a copy of a tree, which it may change."""

    copy: Path
    launcher: Sequence[str]
    """the command before that of pytest, such as `nice`"""

    def caught_by(self, mutant: Mutant, tests: Sequence[str], workers: int) -> str | None:
        """Run tests of a mutant until one fails; returns its name, None if all pass."""
        source = (self.copy / mutant.file).read_bytes()
        with self._changed({mutant.file: edited(source, mutant.edits)}):
            return self._first_failure(["-x", *tests], workers) if tests else None

    def recorded_tests(self, mutants: Sequence[Mutant], tests: Sequence[str], workers: int) -> dict[Mutant, list[str]]:
        """Run tests without a mutant; returns those that execute the function of each mutant.

        Raises:
            RuntimeError: a test fails.
        """
        shutil.copy(_ROOT / "tools" / f"{_RECORDER}.py", self.copy)
        marks: dict[str, list[Edit]] = defaultdict(list)
        for number, mutant in enumerate(mutants):
            marks[mutant.file].append(mutant.marked(f"__import__({_RECORDER!r}).record({number})"))
        with self._changed({file: edited((self.copy / file).read_bytes(), edits) for file, edits in marks.items()}):
            failure = self._first_failure(["-p", _RECORDER, *tests], workers)
        if failure is not None:
            raise RuntimeError(f"without a mutant fails {failure}")
        return dict(zip(mutants, _recorded(self.copy, len(mutants)), strict=True))

    @contextmanager
    def _changed(self, changed: Mapping[str, bytes]) -> Generator[None]:
        """Other contents of some files, for a while."""
        usual = {file: (self.copy / file).read_bytes() for file in changed}
        self._write(changed)
        try:
            yield
        finally:
            self._write(usual)

    def _write(self, contents: Mapping[str, bytes]) -> None:
        for file, content in contents.items():
            (self.copy / file).write_bytes(content)
            # Byte code is valid for a source of the same size and second.
            Path(cache_from_source(str(self.copy / file))).unlink(missing_ok=True)

    def _first_failure(self, arguments: Sequence[str], workers: int) -> str | None:
        """Run pytest; returns the name of a test that fails, None if none does."""
        options = ["-q", "-n", str(workers), "-p", "no:cacheprovider", "--timeout", str(_TIMEOUT_S)]
        command = [*self.launcher, sys.executable, "-m", "pytest", *options, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(self.copy)}
        done = subprocess.run(command, cwd=self.copy, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return None
        failures = re.findall(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
        return failures[0] if failures else f"pytest itself, with exit code {done.returncode}: {done.stdout[-500:]}"


def _recorded(copy: Path, count: int) -> list[list[str]]:
    """The tests that were recorded for each number."""
    tests: list[set[str]] = [set() for _ in range(count)]
    for file in (copy / "recorded").glob("*.tests"):
        for line in file.read_text(encoding="utf-8").splitlines():
            number, _, test = line.partition(" ")
            tests[int(number)].add(test)
    return [sorted(each) for each in tests]


def near_tests(tree: Path, file: str) -> list[str]:
    """The test files that import the module of a file, then the others of its room; without walks."""
    room = (tree / "tests" / file).parent
    while not room.is_dir():
        room = room.parent
    module = file.removesuffix(".py").replace("/", ".")
    package, _, name = module.rpartition(".")
    imports = re.compile(rf"\b{re.escape(module)}\b|\bfrom {re.escape(package)} import\b.*\b{name}\b")
    near: list[tuple[bool, bool, str]] = []
    for test in (tree / "tests").rglob("test_*.py"):
        path = test.relative_to(tree).as_posix()
        importing, in_room = bool(imports.search(test.read_text(encoding="utf-8"))), test.is_relative_to(room)
        if (importing or in_room) and not path.startswith(_WIDE):
            near.append((not importing, not in_room, path))
    return [path for _, _, path in sorted(near)]


def main(arguments: Sequence[str]) -> int:
    """Try the mutants; the exit code is 1 if one survives."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=60, help="of mutants")
    parser.add_argument("--tree", type=Path, default=_ROOT, help="the checkout whose tests run")
    parser.add_argument("--same-as", metavar="FOLDER", type=Path, help="another checkout that gets the same mutants")
    parser.add_argument("--list", action="store_true", help="only print the mutants")
    parser.add_argument("--workers", type=int, default=2, help="of pytest, for the walks and what follows them")
    parser.add_argument("--launcher", type=shlex.split, default=[], help="command that starts pytest, such as `nice`")
    options = parser.parse_args(arguments)
    mutants = choose(options.tree, _packages(), options.count, options.seed, options.same_as)
    if options.list:
        for mutant in mutants:
            _print(mutant)
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(options.tree, copy, ignore=shutil.ignore_patterns(".git", ".venv", "build"))
        survivors = _try_all(mutants, MutantRunner(copy, options.launcher), options.workers)
    return 1 if survivors else 0


def _try_all(mutants: Sequence[Mutant], runner: MutantRunner, workers: int) -> list[Mutant]:
    """Print a line for each mutant; returns those that survive."""
    pending: list[Mutant] = []
    for mutant in mutants:
        if caught_by := runner.caught_by(mutant, near_tests(runner.copy, mutant.file), workers=0):
            _print(mutant, caught_by=caught_by)
        else:
            pending.append(mutant)
    survivors: list[Mutant] = []
    for mutant, tests in runner.recorded_tests(pending, _WIDE, workers).items() if pending else ():
        caught_by = runner.caught_by(mutant, tests, workers)
        _print(mutant, caught_by=caught_by)
        if caught_by is None:
            survivors.append(mutant)
    return survivors


def _print(mutant: Mutant, **result: str | None) -> None:
    place = f"{mutant.file}:{mutant.line}"
    line = {"place": place, "function": mutant.function, "change": mutant.change, **result}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
