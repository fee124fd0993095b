"""A wired Linux board whose installation file the commands of `borne board` read, in this process or on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest

from station.configuration.example_values import toml_text
from tests.command_line import Outcome, invoke
from tests.linux_double import CONTACTOR, Bench
from tests.patience import until
from tests.terminal import Terminal, in_terminal

_FILE = """
[station]
identity = "B-1"
storage = "{storage}"
[firmware]
type = "command"
install_command = ["/bin/true"]
[[evse]]
[evse.meter]
type = "modbus-tcp"
model = "eastron-sdm630"
host = "127.0.0.1"
port = 1
"""
_CHILD = """
import gpiod
from pathlib import Path
from tests.linux_double import Bench
bench = Bench(Path({folder!r}) / "child")
follow = bench.chips.on_output
def record(line, active):
    with open({written!r}, "a") as file:
        file.write(f"{{line}} {{active}}\\n")
    follow(line, active)
bench.chips.on_output = record
gpiod.request_lines = bench.chips.request_lines
gpiod.Chip = bench.chips.open
"""


def toml_table(name: str, table: Mapping[str, object]) -> str:
    """A table of an installation file."""
    return "\n".join([f"[{name}]", *(f"{key} = {toml_text(value)}" for key, value in table.items()), ""])


class BoardBench:
    """A bench with an installation file; commands see its chips instead of the kernel's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.bench = Bench(folder / "bench")
        self.storage = folder / "records"
        self.file = folder / "station.toml"
        self._written = folder / "written"
        self.more = ""
        monkeypatch.setattr("gpiod.request_lines", self.bench.chips.request_lines)
        monkeypatch.setattr("gpiod.Chip", self.bench.chips.open)

    def _write_file(self) -> None:
        tables = _FILE.format(storage=self.storage) + toml_table("board", self.bench.table())
        self.file.write_text(tables + self.more, encoding="utf-8")

    def invoke(self, command: str, *arguments: str) -> Outcome:
        """Run a command of `borne board` in this process, without a terminal."""
        self._write_file()
        return invoke(["board", command, *arguments, "--config", str(self.file)])

    @contextlib.asynccontextmanager
    async def in_terminal(self, command: str, *arguments: str, lines: str = "50") -> AsyncGenerator[Terminal]:
        """Run a command of `borne board` on a terminal; GPIO lines are those of a double in its process."""
        self._write_file()
        first = _CHILD.format(folder=str(self.folder), written=str(self._written))
        words = ["board", command, *arguments, "--config", str(self.file)]
        async with in_terminal(*words, cwd=self.folder, first=first, LINES=lines) as terminal:
            yield terminal

    @property
    def written(self) -> list[tuple[int, bool]]:
        """What a command on a terminal has written to its lines, in order."""
        if not self._written.exists():
            return []
        rows = (row.split() for row in self._written.read_text(encoding="utf-8").splitlines())
        return [(int(line), active == "True") for line, active in rows]

    async def until_closed(self) -> None:
        """Wait until a command on a terminal has closed the contactor."""
        await until(lambda: (CONTACTOR, True) in self.written)

    @property
    def safe(self) -> bool:
        """Whether a command on a terminal has left every line inactive, and the pilot steady at +12 V."""
        last = dict(self.written)
        return bool(last) and not any(last.values()) and self.bench.duty == 1.0
