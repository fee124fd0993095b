"""The add-on of Home Assistant as a container: built from its folder, started with options, charging, backed up."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from station.core.version import package_version
from tests.machine.containers import CONTAINER_PATIENCE_S, Podman, StationContainer
from tests.patience import wait_until
from tests.tools.home_assistant_rules import description_errors, option_errors
from tools.delivery.container_root import USER
from tools.delivery.home_assistant_addon import build_addon
from tools.delivery.source_tree import source_tree

_LEAST_WH = 20.0


@pytest.fixture(scope="module")
def addon(container_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a user copies to Home Assistant."""
    return build_addon(source_tree(), {"amd64": container_image}, tmp_path_factory.mktemp("addon"))


@pytest.fixture(scope="module")
def engine(addon: Path, container_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Podman]:
    """An engine in which the add-on is built as the supervisor builds it."""
    with Podman(tmp_path_factory.mktemp("engine")) as podman:
        podman.load(container_image)
        podman.command("buildah", "build", "--format=docker", "--build-arg=BUILD_ARCH=amd64", "--tag=addon", addon)
        yield podman


class Supervisor:
    """Starts the add-on with options, as Home Assistant's supervisor does."""

    def __init__(self, podman: Podman, description: dict[str, Any], folder: Path) -> None:
        """`folder`: for the data of the add-on and the files of the user."""
        self._podman, self._description, self._folder = podman, description, folder
        self.data = folder / "data"
        for created in (self.data, folder / "config"):
            created.mkdir()

    def start(self, options: dict[str, Any]) -> StationContainer:
        """Store the options, which only root can read, and start a new container."""
        assert option_errors(self._description["schema"], options) == []
        file = self.data / "options.json"
        file.write_text(json.dumps(options), encoding="utf-8")
        file.chmod(0o600)
        self._podman.run("rm", "--force", "--ignore", "addon")
        assert self._description["init"] is False
        self._podman.run(
            *("run", "--detach", "--name=addon", "--tmpfs=/tmp", "--env=TZ=Europe/Paris"),
            *(
                "--env=SUPERVISOR_TOKEN=key",
                f"--volume={self.data}:/data",
                f"--volume={self._folder}/config:/config:ro",
            ),
            "addon",
        )
        return StationContainer(self._podman, "addon")

    def back_up(self, container: StationContainer) -> None:
        """Make a backup as the supervisor does, remove all data, and restore it."""
        self._podman.run("exec", container.name, *self._description["backup_pre"].split())
        saved = self._folder / "saved"
        (pattern,) = self._description["backup_exclude"]
        shutil.copytree(self.data, saved, ignore=shutil.ignore_patterns(pattern))
        self._podman.run("rm", "--force", container.name)
        shutil.rmtree(self.data)
        saved.rename(self.data)


@pytest.fixture
def supervisor(engine: Podman, addon: Path, tmp_path: Path) -> Supervisor:
    """A supervisor that has installed the add-on."""
    description = yaml.safe_load((addon / "config.yaml").read_text(encoding="utf-8"))
    assert description_errors(description) == []
    assert (description["version"], description["arch"]) == (package_version(), ["amd64"])
    return Supervisor(engine, description, tmp_path)


@pytest.fixture
def options(addon: Path) -> dict[str, Any]:
    """The options of a new installation."""
    return yaml.safe_load((addon / "config.yaml").read_text(encoding="utf-8"))["options"]


def _transactions(station: StationContainer) -> list[dict[str, Any]]:
    return json.loads(station.borne("sim", "/api/transactions", "--method", "GET"))["transactions"]


def test_a_charge_in_the_addon_survives_restart_and_a_restored_backup(
    supervisor: Supervisor, options: dict[str, Any]
) -> None:
    station = supervisor.start(options)
    station.wait_until_healthy()
    assert "offers no MQTT broker" in station.logs()
    assert station.status()["time_zone"] == "Europe/Paris"
    station.charge(_LEAST_WH, card=False)
    process = station.inside()["processes"]["1"]
    assert process["Name"] == "borne"
    assert process["Uid"].split() == [str(USER)] * 4
    assert process["CapEff"].strip("0") == ""
    read = "print(open('/proc/1/environ').read())"
    environment = station.podman.run("exec", f"--user={USER}", "addon", "python3", "-c", read)
    assert "PATH=" in environment
    assert "key" not in environment
    station.stop()

    station.podman.run("start", "addon")
    station.wait_until_healthy()
    register_wh = station.register_wh()
    assert register_wh > _LEAST_WH
    (transaction,) = _transactions(station)

    supervisor.back_up(station)
    assert not (supervisor.data / "borne/borne.sqlite").exists()
    station = supervisor.start(options)
    station.wait_until_healthy()
    assert _transactions(station) == [transaction]
    assert station.register_wh() == pytest.approx(register_wh)
    assert os.stat(supervisor.data / "borne/borne.sqlite").st_uid == USER
    assert "intact" in station.borne("journal", "verify", "/data/borne")


def test_an_option_that_is_wrong_is_named_in_the_log(supervisor: Supervisor, options: dict[str, Any]) -> None:
    options["csms"] = {"url": "ws://homeassistant:9000", "password": "short"}
    station = supervisor.start(options)
    wait_until(lambda: not station.state()["Running"], within_s=CONTAINER_PATIENCE_S)
    assert station.state()["ExitCode"] == 2
    assert "option csms.password: " in station.logs()
    assert "short" not in station.logs()
