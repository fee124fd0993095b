"""Every command and every fenced block of the README and the documentation works as it is written."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, cast

import pytest

from borne.cli import ACTIONS, COMMANDS, GROUPS
from metering.reading import Phases
from simulator.house import HouseReading
from simulator.linky import historique_frame
from station.configuration.installation_file import load_configuration
from tests.command_line import invoke
from tests.markdown_blocks import Block, blocks, blocks_of, code_spans, pages
from tests.patience import until
from tests.project import ROOT
from tests.shell_session import ShellSession, shell_session
from tools.references.api_document import api

_SHELL: Final = ("", "sh")
_AROUND: Final = {
    "station": '[station]\nidentity = "BORNE-1"\n',
    "mqtt": '[mqtt]\nhost = "h"\n',
    "display": "[display]\nevses = [2]\n",
}
"""tables that a part of an installation file may need beside it"""
_CARD: Final = 'borne sim /api/token \'{"id_token": "04A3B2C1D5E680"}\''
_HOUSE: Final = """
[grid]
phases = 3
safe_current_a = 6
source = { type = "linky", mode = "standard" }
[simulation.linky]
mode = "standard"
phases = 3
subscribed_va = 18000
"""


def _all_blocks() -> list[Block]:
    return [block for page in pages() for block in blocks(page)]


def _pages_with_commands() -> list[str]:
    return sorted({block.page for block in _all_blocks() if block.language in _SHELL and block.reason is None})


def test_every_block_is_run_or_says_why_not() -> None:
    """Each shell block and each installation file without a mark is run below; nobody runs anything else."""
    run = (*_SHELL, "toml")
    assert [block.place for block in _all_blocks() if block.reason is None and block.language not in run] == []


def test_a_block_without_a_mark_is_found_and_one_with_a_mark_has_its_reason() -> None:
    marked = "  <!-- not run: it needs a board -->\n  ```sh\n  y\n    z\n  ```\n"
    text = f"a\n\n```sh\nborne x\n```\n\n- b\n\n{marked}\n```\nq\n```\n"
    found = list(blocks_of("p.md", text))
    assert [(block.place, block.language, block.text, block.reason) for block in found] == [
        ("p.md:3", "sh", "borne x", None),
        ("p.md:10", "sh", "y\n  z", "it needs a board"),
        ("p.md:15", "", "q", None),
    ]


@pytest.mark.parametrize(
    "block",
    [block for block in _all_blocks() if block.language == "toml" and block.reason is None],
    ids=lambda block: block.place,
)
def test_every_part_of_an_installation_file_is_valid(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    around = [text for table, text in _AROUND.items() if f"[{table}]" not in block.text.splitlines()]
    file.write_text("".join([*around, block.text, "\n[[evse]]\n[[evse]]\n"]), encoding="utf-8")
    load_configuration(file, {})


async def _charge_once(session: ShellSession) -> None:
    """Leave a storage with a charge, its signed record, and a recording of a Linky."""
    await session.run("borne init station.toml\nborne csms --port 9000")
    await session.run("BORNE_CSMS_URL=ws://127.0.0.1:9000/ocpp borne run --config station.toml")
    await session.run(f"borne sim evses/1/plug '{{}}'\n{_CARD}")
    await until(lambda: session.get("/api/status")["evses"][0]["charging_state"] == "Charging")
    await session.run(f"borne sim clock '{{\"advance_s\": 60}}'\n{_CARD}\nborne sim evses/1/unplug")
    (transaction,) = session.get("/api/transactions")["transactions"]
    record = session.get(f"/api/transactions/{transaction['transaction_id']}/record")
    (session.folder / "record.xml").write_bytes(record)
    await session.stop("run")
    reading = HouseReading(Phases(2.0, None, None))
    (session.folder / "capture.bin").write_bytes(b"".join(historique_frame(reading)) * 3)


_PREPARATIONS: Final[Mapping[str, Callable[[ShellSession], Awaitable[None]]]] = {
    "docs/metering.md": _charge_once,
}
"""what a page takes for granted"""
_AFTERWARDS: Final = {
    "docs/first-station.md": f"[ $1 != init ] || cat >> station.toml <<'END'\n{_HOUSE}\nEND\n",
    "docs/fleet.md": (
        '[ "$1 $2" != "fleet init" ] || sed -i "s/^stations = .*/stations = 2/; s/^duration_s = .*/duration_s = 10/;'
        ' /^\\[\\[disturbance/,/^$/d" plan.toml'
    ),
}
"""what the reader does after each `borne` of a page: adds the house that it speaks of; a plan that takes a second"""


@pytest.mark.parametrize("page", _pages_with_commands())
async def test_the_commands_of_a_page_succeed_one_after_the_other(page: str, tmp_path: Path) -> None:
    async with shell_session(tmp_path) as session:
        if (prepare := _PREPARATIONS.get(page)) is not None:
            await prepare(session)
        for block in blocks(page):
            if block.language in _SHELL and block.reason is None:
                await session.run(block.text, afterwards=_AFTERWARDS.get(page, ":"))


def _commands_in_sentences() -> list[tuple[str, str]]:
    return [(page, span) for page in pages() for span in code_spans(page) if page != "docs/conformance.md"]


def test_every_command_of_borne_in_a_sentence_exists_with_its_options() -> None:
    unknown_commands: list[tuple[str, str]] = []
    for page, span in _commands_in_sentences():
        for command in re.findall(r"(?:^|&& )borne ([a-z][^&]*)", span):
            words = command.split()
            has_action = words[0] in ACTIONS and words[1:2] and words[1] in ACTIONS[words[0]]
            names = words[:2] if words[0] in GROUPS or has_action or words[:2] == ["fleet", "init"] else words[:1]
            inner = {**GROUPS.get(names[0], {}), **ACTIONS.get(names[0], {})}
            known = names[0] in COMMANDS and (len(names) == 1 or names[-1] in {*inner, "init"})
            text = invoke([*names, "--help"]).stdout if known else ""
            if not known or any(word.split("=")[0] not in text for word in words if word.startswith("--")):
                unknown_commands.append((page, span))
    assert unknown_commands == []


def test_every_target_and_module_in_a_sentence_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    commands = [span for _, span in _commands_in_sentences()] + [block.text for block in _all_blocks()]
    used_targets = {
        name for text in commands for name in re.findall(r"(?:^|&& )make ([a-z][a-z-]*)", text, re.MULTILINE)
    }
    assert used_targets
    assert used_targets <= targets
    modules = {name for text in commands for name in re.findall(r"python3? -m ([\w.]+)", text)}
    assert modules
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_every_operation_of_the_api_in_a_sentence_exists() -> None:
    paths = cast("dict[str, dict[str, object]]", api().document["paths"])
    routes = [
        (method.upper(), re.sub(r"\{\w+\}", "[^/]+", path))
        for path, operations in paths.items()
        for method in operations
    ]
    named = [
        (page, *found.groups())
        for page, span in _commands_in_sentences()
        if (found := re.match(r"(GET|PUT|POST|DELETE|PATCH) (/api/[^\s?]*)", span))
    ]
    assert named
    assert [
        operation
        for operation in named
        if not any(operation[1] == method and re.fullmatch(path, operation[2]) for method, path in routes)
    ] == []
