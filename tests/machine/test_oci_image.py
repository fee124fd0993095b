"""The image for containers: the same bytes each time, nothing in it that is not needed, and a charge in it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from station.core.version import package_version
from tests.machine.containers import CONTAINER_PATIENCE_S, Podman, StationContainer
from tests.node_example import play_example
from tests.patience import wait_until
from tests.project import ROOT
from tests.shell_session import shell_session
from tools.delivery.container_root import USER
from tools.delivery.oci_image import HEALTH_CHECK, build_image
from tools.delivery.source_tree import SourceTree, source_tree

_LEAST_WH: Final = 20.0


@pytest.fixture(scope="module")
def layout(container_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the archive."""
    folder = tmp_path_factory.mktemp("layout")
    with tarfile.open(container_image) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _blob(layout: Path, descriptor: dict[str, Any]) -> Path:
    return layout / "blobs" / descriptor["digest"].replace(":", "/")


def _manifest(layout: Path) -> dict[str, Any]:
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    return json.loads(_blob(layout, entry).read_bytes())


@pytest.fixture(scope="module")
def configuration(layout: Path) -> dict[str, Any]:
    """The configuration of the image."""
    return json.loads(_blob(layout, _manifest(layout)["config"]).read_bytes())


@pytest.fixture(scope="module")
def root(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files in the image."""
    folder = tmp_path_factory.mktemp("root")
    (layer,) = _manifest(layout)["layers"]
    subprocess.run(["tar", "-xzpf", _blob(layout, layer), "-C", folder], check=True)
    return folder


def test_two_builds_in_two_folders_give_the_same_bytes(container_image: Path, tmp_path: Path) -> None:
    clone = tmp_path / "another" / "place"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    source = source_tree()
    source.export(clone)
    (clone / "build").mkdir()
    (clone / "build/wheels").symlink_to(ROOT / "build/wheels")  # saves their download; each is checked by its hash
    copy = SourceTree(clone, source.version, source.commit, source.modified, source.timestamp)
    again = build_image(copy, "amd64", tmp_path / "again")
    assert again.read_bytes() == container_image.read_bytes()


def test_skopeo_reads_it_with_labels_user_and_the_command_of_the_station(
    container_image: Path, configuration: dict[str, Any]
) -> None:
    words = ["skopeo", "inspect", "--config", f"oci-archive:{container_image}"]
    read = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)["config"]
    source = source_tree()
    assert read["User"] == f"{USER}:{USER}"
    assert read["Entrypoint"] == ["/usr/bin/borne"]
    assert read["Labels"]["org.opencontainers.image.version"] == package_version()
    assert read["Labels"]["org.opencontainers.image.revision"].removesuffix("-modified") == source.commit
    assert read["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert configuration["config"]["Healthcheck"]["Test"] == ["CMD", *HEALTH_CHECK]


def test_it_contains_no_shell_no_package_manager_and_nothing_that_raises_privileges(root: Path) -> None:
    programs = {file.name for folder in ("bin", "sbin") for file in (root / "usr" / folder).glob("*")}
    assert "borne" in programs
    assert programs & {"sh", "dash", "bash", "apt", "apt-get", "dpkg", "perl", "su", "mount", "tini"} == set()
    assert [file for file in root.rglob("*") if not file.is_symlink() and file.stat().st_mode & 0o6000] == []
    assert not (root / "var/cache").exists()
    assert not (root / "var/lib/apt").exists()
    assert {file.name for file in (root / "usr/share/doc").glob("*/*")} - {"copyright"} <= {
        file.name for file in (root / "usr/share/doc/borne").iterdir()
    }


def test_files_belong_to_root_and_only_the_records_to_the_user(root: Path) -> None:
    owners = {file.stat().st_uid for file in root.rglob("*") if not file.is_symlink()}
    assert owners == {0, USER}
    assert [file for file in root.rglob("*") if file.lstat().st_uid == USER] == [root / "var/lib/borne"]


def test_the_bill_of_materials_in_it_names_debians_packages_with_licence_and_hash(root: Path) -> None:
    bill = json.loads((root / "usr/share/doc/borne/bill-of-materials.cdx.json").read_bytes())
    debian = {entry["name"]: entry for entry in bill["components"] if entry.get("purl", "").startswith("pkg:deb/")}
    assert {"libc6", "libssl3t64", "python3.13", "ca-certificates"} <= debian.keys()
    assert {"dpkg", "debconf"} & debian.keys() == set()
    assert all(entry["hashes"] for entry in debian.values())
    for name in debian:
        assert (root / "usr/share/doc" / name / "copyright").exists()
    assert "websockets" in {entry["name"] for entry in bill["components"]}


def test_the_image_for_arm_contains_programs_for_arm_only(tmp_path: Path) -> None:
    archive = build_image(source_tree(), "arm64", tmp_path)
    words = ["skopeo", "inspect", "--config", "--override-arch=arm64", f"oci-archive:{archive}"]
    assert json.loads(subprocess.run(words, check=True, capture_output=True).stdout)["architecture"] == "arm64"
    machines: dict[bytes, int] = {}
    with tarfile.open(archive) as packed:
        layer = max(packed, key=lambda member: member.size)
        opened = packed.extractfile(layer)
        assert opened is not None
        with tarfile.open(fileobj=opened, mode="r:gz") as files:
            for member in filter(tarfile.TarInfo.isreg, files):
                head = files.extractfile(member)
                assert head is not None
                if (data := head.read(20)).startswith(b"\x7fELF"):
                    machines[data[18:20]] = machines.get(data[18:20], 0) + 1
    assert machines.keys() == {b"\xb7\x00"}  # EM_AARCH64
    assert machines[b"\xb7\x00"] > 80


@dataclass(frozen=True)
class Composition:
    """The containers of docker-compose.yml."""

    podman: Podman
    station: StationContainer


@pytest.fixture(scope="module")
def engine(container_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Podman]:
    """An engine that has loaded the image."""
    with Podman(tmp_path_factory.mktemp("engine")) as podman:
        podman.load(container_image)
        yield podman


@pytest.fixture
def composition(engine: Podman, tmp_path: Path) -> Generator[Composition]:
    """Station, CSMS and meter, each in a container as docker-compose.yml starts them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        more = {"BORNE_PAGE_PORT": str(probe.getsockname()[1])}
    project = tmp_path / "project"
    (project / "deploy").mkdir(parents=True)
    for name in ("docker-compose.yml", "deploy/compose-station.toml"):
        shutil.copyfile(ROOT / name, project / name)
    (project / "deploy/compose-station.toml").chmod(0o644)
    compose = ("podman-compose", "-f", project / "docker-compose.yml", "-p", "borne")
    try:
        engine.command(*compose, "up", "-d", more=more)
        yield Composition(engine, StationContainer(engine, "borne_station_1"))
    finally:
        engine.command(*compose, "down", "--volumes", check=False, more=more)


def _billed(station: StationContainer) -> list[dict[str, Any]]:
    return station.read_url("http://csms:9000/api/transactions?station=BORNE-0001")["transactions"]


def test_a_charge_in_containers_survives_stop_and_restart(composition: Composition) -> None:
    station = composition.station
    station.wait_until_healthy()
    begin_wh = station.register_wh()
    station.charge(_LEAST_WH)
    _check_from_inside(station)
    station.stop()
    assert "ended: reason Reboot" in station.logs()

    station.podman.run("start", station.name)
    station.wait_until_healthy()
    wait_until(lambda: [bill["ended"] for bill in _billed(station)] == [True], within_s=CONTAINER_PATIENCE_S)
    (bill,) = _billed(station)
    evse = station.wait_for_state(contactor_closed=False)
    assert bill["missing"] == 0
    # The simulated meter asks for the currents each second over the network: it counts on for a moment (22 kW: 6 Wh/s).
    assert bill["energy_wh"] == pytest.approx(evse["meter"]["energy_import_wh"] - begin_wh, abs=20.0)
    assert bill["energy_wh"] > _LEAST_WH
    assert "intact" in station.borne("journal", "verify", "/var/lib/borne")


def _check_from_inside(station: StationContainer) -> None:
    """The program is process 1, not root, without capabilities; it writes nowhere but where it may; no zombies."""
    found = station.inside()
    assert found["user"] == USER
    process = found["processes"]["1"]
    assert process["Name"] == "borne"
    assert process["NoNewPrivs"] == "1"
    assert {process[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert [status for status in found["processes"].values() if status["State"].startswith("Z")] == []
    writes = found["writes"]
    assert [file for file, result in writes.items() if result == "written"] == ["/tmp", "/var/lib/borne"]
    assert {result for result in writes.values() if result != "written"} == {"Read-only file system"}


def test_a_station_that_hangs_fails_its_health_check_until_it_goes_on(composition: Composition) -> None:
    station = composition.station
    station.wait_until_healthy()
    station.podman.run("kill", "--signal", "STOP", station.name)
    assert not station.is_healthy()
    station.podman.run("kill", "--signal", "CONT", station.name)
    station.wait_until_healthy()


def test_the_station_reaps_what_other_processes_leave_behind(composition: Composition) -> None:
    station = composition.station
    station.wait_until_healthy()
    orphan = station.python("import os\nif (child := os.fork()): print(child)\nelse: os.closerange(0, 3), os._exit(0)")
    wait_until(lambda: str(orphan) not in station.inside()["processes"], within_s=CONTAINER_PATIENCE_S)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_node_tests_a_csms_with_the_station_in_a_container(engine: Podman, tmp_path: Path) -> None:
    """As docs/http-tests.md says: in the network of the host, by HTTP alone."""
    async with shell_session(tmp_path) as session:
        await session.run("borne csms --port 9000")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        variables = {"BORNE_CSMS_URL": session.csms_url, "BORNE_HTTP_PORT": str(port)}
        options = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        engine.run("run", "--detach", "--name", "borne_node", "--network", "host", *options, "borne")
        try:
            health = ("exec", "borne_node", "borne", "health", "/etc/borne/station.toml")
            wait_until(lambda: "ok" in engine.run(*health, check=False))
            played = await play_example(tmp_path, f"http://127.0.0.1:{port}")
        finally:
            engine.run("rm", "--force", "borne_node")
    assert played.returncode == 0, played.stdout
