"""The examples for Kubernetes: valid YAML whose commands, plan and references fit together."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from borne.commands import bundled_csms, fleet
from simulator.fleet.plan import load_plan
from tests.command_line import invoke

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
FLEETS = ["fleet-statefulset.yaml", "fleet-dask-operator.yaml"]
Resource = dict[str, Any]


def resources(*names: str) -> list[Resource]:
    """All resources of some files."""
    return [document for name in names for document in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))]


def pods(resource: Resource) -> Iterator[Resource]:
    """The specifications of all pods that a resource creates."""
    spec = resource.get("spec", {})
    match resource["kind"]:
        case "DaskJob":
            cluster = spec["cluster"]["spec"]
            yield from (spec["job"]["spec"], cluster["worker"]["spec"], cluster["scheduler"]["spec"])
        case "Deployment" | "StatefulSet" | "Job":
            yield spec["template"]["spec"]
        case _:
            pass


def containers(*names: str) -> list[Resource]:
    """The containers of some files."""
    return [container for resource in resources(*names) for pod in pods(resource) for container in pod["containers"]]


def test_there_is_an_example_with_and_without_the_operator() -> None:
    kinds = {name: {resource["kind"] for resource in resources(name)} for name in FLEETS}
    assert kinds["fleet-statefulset.yaml"] >= {"StatefulSet", "Deployment", "Job", "Service"}
    assert kinds["fleet-dask-operator.yaml"] >= {"DaskJob", "PersistentVolumeClaim"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_resource_has_a_version_a_kind_and_a_name_of_its_own(file: Path) -> None:
    found = resources(file.name)
    assert all(isinstance(resource["apiVersion"], str) and resource["metadata"]["name"] for resource in found)
    names = [(resource["kind"], resource["metadata"]["name"]) for resource in found]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_every_container_requests_and_limits_its_memory_and_none_its_processor(name: str) -> None:
    """Throttling would show as latency of the CSMS."""
    for container in containers(name):
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), container["name"]
        assert container["resources"]["limits"].keys() == {"memory"}, container["name"]


def test_all_containers_have_the_same_image() -> None:
    """Dask sends code by its name: scheduler, workers and engine need the same versions."""
    assert {container["image"] for container in containers(*(file.name for file in FILES))} == {"borne-fleet:1"}
    assert "borne-fleet:1" in (FOLDER / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_every_mount_has_its_volume_and_every_service_its_port(name: str) -> None:
    for resource in resources(name):
        templates = {
            template["metadata"]["name"] for template in resource.get("spec", {}).get("volumeClaimTemplates", [])
        }
        for pod in pods(resource):
            volumes = {volume["name"] for volume in pod.get("volumes", [])} | templates
            for container in pod["containers"]:
                assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
                probe = container.get("readinessProbe", {})
                port = {**probe.get("tcpSocket", {}), **probe.get("httpGet", {})}.get("port")
                assert port is None or port in {named_port["name"] for named_port in container["ports"]}
    claims = {claim["metadata"]["name"] for claim in resources(name) if claim["kind"] == "PersistentVolumeClaim"}
    referenced_claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for resource in resources(name)
        for pod in pods(resource)
        for volume in pod.get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    assert referenced_claims == claims


def test_the_commands_are_those_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is parsed as it stands; nothing is started."""
    parsed: list[str] = []

    def parse_only(parser: argparse.ArgumentParser, words: Any) -> argparse.Namespace:
        _, rest = parser.parse_known_args(words)
        assert not rest, rest
        parsed.append(parser.prog)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_intermixed_args", parse_only)
    for container in containers(*(file.name for file in FILES)):
        program, *words = container["command"]
        if program == "borne":
            assert invoke(words).exit_code == 0, container["command"]
    assert sorted(parsed) == ["borne csms", "borne fleet", "borne fleet"]
    assert bundled_csms.COMMANDS.keys() | fleet.COMMANDS.keys() >= {"csms", "fleet"}


def test_the_commands_of_dask_are_known_to_it() -> None:
    pytest.importorskip("distributed", reason="the extra borne[fleet] is not installed")
    from distributed.cli import dask_scheduler, dask_worker

    known = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    checked = [container["command"] for container in containers(*FLEETS) if container["command"][0] == "dask"]
    assert len(checked) == 4
    for _, name, *words in checked:
        options = {
            option for parameter in known[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options, given - options


def test_the_plan_is_valid_and_its_csms_is_the_service_of_the_example(tmp_path: Path) -> None:
    files = resources("fleet-plan.yaml")[0]["data"]
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    plan = load_plan(tmp_path / "plan.toml").plan
    service = resources("borne-csms.yaml")[0]
    assert plan.fleet.csms == f"ws://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}/ocpp"
    workers = [resource["spec"]["replicas"] for resource in resources(FLEETS[0]) if resource["kind"] == "StatefulSet"]
    workers += [
        resource["spec"]["cluster"]["spec"]["worker"]["replicas"]
        for resource in resources(FLEETS[1])
        if resource["kind"] == "DaskJob"
    ]
    assert workers == [plan.fleet.hosts] * 2
