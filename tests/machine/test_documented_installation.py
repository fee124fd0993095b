"""Every command of docs/deploy.md, run where it belongs: on the machine that builds, or on a station."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.csms import Csms, running_csms
from tests.machine.bench import Bench, resumed
from tests.machine.packaged_station import MEDIUM, PackagedStation
from tests.machine.virtual_machine import HOST_ADDRESS, Hardware, VirtualMachine, free_port, overlay
from tests.markdown_blocks import Block, blocks
from tests.project import ROOT

_PAGE: Final = "docs/deploy.md"
_WHERE: Final = ("on the build machine", "on the station")


def _blocks(where: str) -> list[str]:
    return [block.text for block in blocks(_PAGE) if _place(block) == where]


def _place(block: Block) -> str | None:
    return next((where for where in _WHERE if (block.reason or "").endswith(f"run it {where}")), None)


def _checkout(folder: Path) -> Path:
    """A clean checkout, with the environment and the downloaded wheels of this one."""
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "-q", ROOT, checkout], check=True)
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    (checkout / "build").mkdir()
    if (ROOT / "build" / "wheels").exists():
        shutil.copytree(ROOT / "build" / "wheels", checkout / "build" / "wheels")
    return checkout


def test_each_block_says_where_it_is_run() -> None:
    assert [block.place for block in blocks(_PAGE) if _place(block) is None] == []


async def test_the_package_is_installed_configured_and_removed(packaged: PackagedStation, tmp_path: Path) -> None:
    install, secrets, remove = _blocks("on the station")
    async with resumed(packaged.saved, tmp_path) as bench:
        await bench.run(
            "echo borne borne/remove-records boolean true | debconf-set-selections && rm -f /data/station.env"
        )
        await bench.run("DEBIAN_FRONTEND=noninteractive dpkg --purge borne")
        folder = f"mkdir /run/here && cd /run/here && cp {MEDIUM}/current.deb borne_{packaged.version}_amd64.deb"
        await bench.run(folder)
        commands, status = install.rsplit("\n", 1)
        await bench.run(f"(cd /run/here; set -e\n{commands}\n)")
        await asyncio.to_thread(bench.station.status)  # loads the API, which takes an emulated machine half a minute
        # It does not exit with 0: the CSMS that the example names does not exist.
        _, output = await asyncio.to_thread(bench.machine.try_run, status)
        assert f"borne {packaged.version}" in output
        assert "active (running), enabled" in output
        assert "does not answer" not in output
        assert await bench.run("systemctl is-enabled borne; systemctl is-active borne") == "enabled\nactive\n"
        await bench.run(f"(set -e\n{secrets}\n)")
        assert await bench.run("stat --format='%a %U %G' /etc/borne/environment") == "640 root borne\n"
        assert await bench.run("systemctl is-active borne") == "active\n"
        await bench.run(f"(export DEBIAN_FRONTEND=noninteractive; set -e\n{remove}\n)")
        left = await bench.run("ls -d /opt/borne /usr/bin/borne /var/lib/borne/borne.sqlite 2>/dev/null; true")
        assert left == "/var/lib/borne/borne.sqlite\n"  # nobody has answered whether the records shall go


async def test_the_image_is_built_written_and_started(tmp_path: Path) -> None:
    disk, port = tmp_path / "disk.img", free_port()
    checkout = await asyncio.to_thread(_checkout, tmp_path)
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    variables = {"DISK": str(disk), "CSMS": f"ws://{HOST_ADDRESS}:{port}/ocpp", "PATH": path}
    for block in _blocks("on the build machine"):
        command = ["bash", "-ec", block.replace("make ", "make --assume-old=.venv/.ready-dev ")]
        await asyncio.to_thread(subprocess.run, command, cwd=checkout, env={**os.environ, **variables}, check=True)
    (package,) = (checkout / "build").glob("borne_*_amd64.deb")
    assert package.stat().st_size > 1 << 20
    with VirtualMachine(tmp_path / "vm", overlay(disk, tmp_path / "disk.qcow2"), Hardware()) as machine:
        async with running_csms(Csms(port=port)) as csms:
            machine.start()
            bench = Bench(machine, csms)
            await bench.until_booted()
            await bench.until_status("Available")
            assert csms.paths[-1].endswith("/DEV-0001")
            assert len(await bench.request("GET", "/api/status")) > 0
