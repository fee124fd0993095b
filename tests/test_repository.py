"""The repository keeps its own promises: files say what they are for, locks name no address, examples are valid."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from typer.testing import CliRunner

from station.cli import commands
from station.configuration.installation_file import load

ROOT = Path(__file__).parent.parent
PACKAGES = ("metering", "energy", "station", "ocpp_handlers", "tests", "bench", "tools")


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def test_every_python_file_begins_with_a_sentence() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 80
    silent = [
        str(path.relative_to(ROOT))
        for path in sources
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_file_names_an_absolute_path_of_a_machine_or_a_registry() -> None:
    pattern = re.compile(r"/(?:work|root)/|pypi\.org|pythonhosted|registry\.npmjs")
    guilty = [
        str(path.relative_to(ROOT))
        for path in _tracked()
        if path != Path(__file__) and pattern.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert guilty == []


def test_the_locks_pin_every_package_and_name_no_address() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        packages = [line for line in lines if line and not line.lstrip().startswith("#")]
        assert packages
        assert all(re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.+!-]+", package) for package in packages), packages
        assert not any("://" in line for line in lines)


def _compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return cast("dict[str, Any]", document)


def test_the_compose_file_starts_station_csms_and_meter_with_commands_that_exist() -> None:
    services = _compose()["services"]
    assert set(services) == {"station", "csms", "meter"}
    known = {command.name or command.callback.__name__ for command in commands.registered_commands if command.callback}
    for service in services.values():
        assert service["build"] == "."
        name, *arguments = service["command"]
        assert name in known
        told = CliRunner().invoke(commands, [name, "--help"]).output
        for argument in arguments:
            if argument.startswith("--"):
                assert argument.split("=")[0] in told, (name, argument)


def test_the_compose_station_points_at_the_other_services() -> None:
    services = _compose()["services"]
    (mount,) = [volume for volume in services["station"]["volumes"] if volume.startswith("./")]
    configuration = load(ROOT / mount.split(":")[0], {})
    assert configuration.csms is not None
    assert configuration.csms.url.startswith("ws://csms:9000/")
    meter = configuration.evse[0].meter
    assert meter.type == "modbus-tcp"
    assert f"--port={meter.port}" in services[meter.host]["command"]
    assert f"--model={meter.model}" in services[meter.host]["command"]
    assert set(services["station"]["depends_on"]) == {"csms", "meter"}


def test_the_volumes_of_the_compose_file_are_declared() -> None:
    document = _compose()
    named = {
        volume.split(":")[0]
        for service in document["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert named == set(document["volumes"])


def test_every_borne_command_of_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    used = {
        words[1]
        for line in readme.splitlines()
        if (words := shlex.split(line, comments=True, posix=False))[:1] == ["borne"]
    }
    known = {command.name or command.callback.__name__ for command in commands.registered_commands if command.callback}
    known |= {group.name for group in commands.registered_groups if group.name}
    assert used
    assert used <= known
