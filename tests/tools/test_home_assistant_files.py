"""The files of the add-on are what Home Assistant's supervisor accepts, and its options are keys of the station."""

from __future__ import annotations

import copy
import json
import re
import struct
from typing import Any

import pytest
import yaml

from tests.project import ROOT
from tests.tools.home_assistant_rules import description_errors, option_errors, translation_errors
from tools.delivery.container_root import USER

ADDON = ROOT / "deploy/home-assistant/borne"
LANGUAGES = ("en", "de", "fr", "nl")


def _description() -> dict[str, Any]:
    return yaml.safe_load((ADDON / "config.yaml").read_text(encoding="utf-8"))


def test_the_supervisor_accepts_the_description() -> None:
    assert description_errors(_description()) == []


def test_the_supervisor_accepts_the_options_of_a_new_installation() -> None:
    description = _description()
    assert option_errors(description["schema"], description["options"]) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slug", "a b"),
        ("arch", ["i386"]),
        ("timeout", 5),
        ("map", ["config:rw"]),
        ("webui", "http://[HOST]:8080"),
        ("services", ["mqtt"]),
        ("schema", {"station": "text"}),
        ("schema", {"evse": [["str"]]}),
        ("ingres", True),
    ],
)
def test_the_rules_reject_what_the_supervisor_rejects(key: str, value: object) -> None:
    assert len(description_errors({**_description(), key: value})) == 1


def test_the_rules_reject_options_that_the_supervisor_rejects() -> None:
    description = _description()
    options = copy.deepcopy(description["options"])
    options["evse"][0]["max_current_a"] = 81
    options["board"]["type"] = "linux"
    del options["grid"]["source"]
    assert option_errors(description["schema"], options) == [
        "options.evse[].max_current_a: 81 is not float(6,80)",
        "options.board.type: linux is not list(simulated|modbus)",
        "options.grid.source: is missing",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_has_a_name_and_a_description_in_each_language(language: str) -> None:
    translation = yaml.safe_load((ADDON / "translations" / f"{language}.yaml").read_text(encoding="utf-8"))
    assert translation.keys() == {"configuration", "network"}
    assert translation_errors(_description()["schema"], translation["configuration"]) == []
    assert translation["network"].keys() == _description()["ports"].keys()


@pytest.mark.parametrize(("name", "size"), [("icon.png", (128, 128)), ("logo.png", (250, 100))])
def test_the_pictures_have_the_sizes_that_home_assistant_shows(name: str, size: tuple[int, int]) -> None:
    data = (ADDON / name).read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == size


def test_the_container_starts_the_module_that_reads_the_options() -> None:
    text = (ADDON / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
    assert found is not None
    command = json.loads(found[1])
    assert command[-2:] == ["-m", "borne.home_assistant_addon"]
    assert (ROOT / f"{command[-1].replace('.', '/')}.py").exists()
    assert _description()["backup_pre"].split()[:-1] == command
    assert f"{USER}" in (ADDON / "DOCS.md").read_text(encoding="utf-8")
