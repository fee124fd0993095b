"""The repository keeps its own promises: files say what they are for, locks name no address, examples are valid."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from borne.cli import COMMANDS
from station.configuration.installation_file import load_configuration
from tests.command_line import invoke

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "foundation",
    "metering",
    "energy",
    "station",
    "ocpp_handlers",
    "simulator",
    "borne",
    "tests",
    "bench",
    "tools",
)


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


def test_only_pictures_fonts_and_samples_are_no_text() -> None:
    """No package, archive or database that was left behind."""
    others = [path for path in _tracked() if path.suffix not in {".png", ".ttf", ".register"}]
    binary = [str(path.relative_to(ROOT)) for path in others if not _is_text(path)]
    assert [path for path in binary if not re.fullmatch(r"tests/stored/[\d.]+/files/firmware/image-1", path)] == []


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_no_file_names_an_absolute_path_of_a_machine_or_a_registry() -> None:
    pattern = re.compile(r"/(?:work|root)/|pypi\.org|pythonhosted|registry\.npmjs")
    guilty = [
        str(path.relative_to(ROOT))
        for path in _tracked()
        if path != Path(__file__) and pattern.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert guilty == []


LOCKS = ("requirements.lock", "requirements-board.lock", "requirements-dev.lock", "requirements-lowest.lock")


def _locked_versions(name: str) -> dict[str, Version]:
    """The version of each package in a lock; each must be pinned, with the hashes of its files."""
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = re.sub(r" \\\n +", " ", "".join(line for line in text.splitlines(True) if not line.strip().startswith("#")))
    pinned = re.compile(r"([\w.-]+)==([\w.+!-]+)( ; [^\\]+?)?((?: --hash=sha256:[0-9a-f]{64})+)")
    found = [pinned.fullmatch(line) for line in lines.splitlines()]
    assert found, name
    assert all(found), [line for line in lines.splitlines() if not pinned.fullmatch(line)]
    return {match[1]: Version(match[2]) for match in found if match is not None}


def _project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_by_its_hashes_and_names_no_address(name: str) -> None:
    assert _locked_versions(name)
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_the_locks_fit_what_the_project_asks_for() -> None:
    """Each package is locked in a version that is allowed; the lowest lock has the very lowest."""
    project = _project()["project"]
    extras = project["optional-dependencies"]
    every = [*project["dependencies"], *extras["build"]]
    requirements_of = {
        "requirements.lock": every,
        "requirements-board.lock": [*every, *extras["board"]],
        "requirements-dev.lock": [*every, *extras["board"], *extras["test"], *extras["dev"]],
        "requirements-lowest.lock": [*every, *extras["board"], *extras["test"]],
    }
    for name, lines in requirements_of.items():
        locked = _locked_versions(name)
        for requirement in map(Requirement, lines):
            version = locked[requirement.name]
            assert version in requirement.specifier, (name, requirement)
            if name == "requirements-lowest.lock":
                (lowest,) = [specifier.version for specifier in requirement.specifier if specifier.operator == ">="]
                assert version == Version(lowest), f"{requirement}: a bound that no test has run with"


def test_a_station_on_hardware_has_the_packages_of_a_simulated_one_and_those_of_the_board() -> None:
    plain, board = _locked_versions("requirements.lock"), _locked_versions("requirements-board.lock")
    extra = {Requirement(requirement).name for requirement in _project()["project"]["optional-dependencies"]["board"]}
    assert extra == {"gpiod", "rplcd", "smbus2"}
    assert board.keys() - plain.keys() == extra
    assert {name: board[name] for name in plain} == plain


def test_the_locks_pin_what_builds_the_project_too() -> None:
    project = _project()
    assert project["build-system"]["requires"] == project["project"]["optional-dependencies"]["build"]


def _github(name: str) -> dict[str, Any]:
    """A file of .github, parsed. A key `on` is True in YAML 1.1."""
    document = yaml.safe_load((ROOT / ".github" / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return cast("dict[str, Any]", document)


def test_each_push_and_pull_request_runs_the_checks_with_no_more_than_the_right_to_read() -> None:
    workflow = _github("workflows/ci.yml")
    assert set(cast("dict[object, Any]", workflow)[True]) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    (job,) = workflow["jobs"].values()
    assert 0 < job["timeout-minutes"] <= 45
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert [action for action in actions if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)] == []


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_form_asks_for_the_version_with_a_command_that_exists(name: str) -> None:
    form = _github(f"ISSUE_TEMPLATE/{name}.yml")
    assert form["name"]
    assert form["description"]
    fields = {field["id"]: field for field in form["body"] if field["type"] != "markdown"}
    assert all(
        version_text["type"] in {"input", "textarea"} and version_text["attributes"]["label"]
        for version_text in fields.values()
    )
    assert fields["version"]["validations"]["required"]
    assert "`borne --version`" in fields["version"]["attributes"]["description"]
    assert fields["version"]["attributes"]["placeholder"] == invoke(["--version"]).stdout.strip()


def test_a_bug_report_asks_for_the_check_of_the_installation_file_and_for_a_log_without_secrets() -> None:
    fields = {field.get("id"): field for field in _github("ISSUE_TEMPLATE/bug.yml")["body"]}
    assert fields["check"]["validations"]["required"]
    assert "`borne check`" in fields["check"]["attributes"]["label"]
    assert "log" in fields
    assert "leave out passwords" in fields[None]["attributes"]["value"]
    assert "SECURITY.md" in fields[None]["attributes"]["value"]
    assert _github("ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}


def test_the_security_policy_supports_the_present_version_alone() -> None:
    rows = re.findall(
        r"^\| (\d+\.\d+)\.x .*\| (yes|no)", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    present = Version(_project()["project"]["version"])
    assert rows == [
        (f"{present.major}.{present.minor}", "yes"),
        (f"{present.major}.{present.minor - 1}", "no"),  # and older
    ]


def _compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return cast("dict[str, Any]", document)


def test_the_compose_file_starts_station_csms_and_meter_with_commands_that_exist() -> None:
    services = _compose()["services"]
    assert set(services) == {"station", "csms", "meter"}
    for service in services.values():
        assert service["image"] == "borne"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        name, *arguments = service["command"]
        assert name in COMMANDS
        help_text = invoke([name, "--help"]).stdout
        for argument in arguments:
            if argument.startswith("--"):
                assert argument.split("=")[0] in help_text, (name, argument)


def test_the_compose_station_points_at_the_other_services() -> None:
    services = _compose()["services"]
    (mount,) = [volume for volume in services["station"]["volumes"] if volume.startswith("./")]
    configuration = load_configuration(ROOT / mount.split(":")[0], {})
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
    assert used
    assert used <= COMMANDS.keys()
