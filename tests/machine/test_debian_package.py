"""The Debian package: the same bytes each time, accepted by Debian's own checks, with everything that it promises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from station.core.version import package_version
from tests.project import ROOT
from tools.delivery.debian_package import build_package
from tools.delivery.root_file_system import SUITE, debian_sources
from tools.delivery.source_tree import SourceTree, source_tree

_BUILDERS = ("dpkg-buildpackage", "dh", "lintian")

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in _BUILDERS),
    reason="the tools that build Debian packages are not installed",
)


def _copy_of_checkout(folder: Path) -> SourceTree:
    """The present files in a clone of their own, which must not make a difference."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, folder], check=True)
    source = source_tree()
    shutil.rmtree(folder / "deploy")
    source.export(folder)
    return SourceTree(folder, source.version, source.commit, source.modified, source.timestamp)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for amd64, compressed only a little: the test throws it away."""
    os.environ["DPKG_DEB_COMPRESSOR_LEVEL"] = "1"
    return build_package(source_tree(), "amd64", tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def content(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the package."""
    folder = tmp_path_factory.mktemp("content")
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "package"], check=True)
    return folder / "package"


def test_two_builds_in_two_folders_give_the_same_bytes(package: Path, tmp_path: Path) -> None:
    again = build_package(_copy_of_checkout(tmp_path / "another" / "place"), "amd64", tmp_path / "again")
    assert again.read_bytes() == package.read_bytes()


def test_lintian_finds_no_error_and_no_warning(package: Path) -> None:
    found = subprocess.run(["lintian", "--allow-root", package], check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("piuparts", "mmdebstrap")), reason="piuparts or mmdebstrap is missing"
)
def test_piuparts_installs_and_purges_it_and_finds_nothing_left(package: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.tar"
    system = ("mmdebstrap", "--variant=apt", "--mode=root", "--include=systemd,udev")  # which leave files of their own
    subprocess.run([*system, SUITE, base, *debian_sources()], check=True)
    options = (f"--basetgz={base}", f"--distribution={SUITE}", "--keep-sources-list", "--no-upgrade-test")
    found = subprocess.run(["piuparts", *options, package], check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "PASS: All tests." in found.stdout


def test_every_override_of_lintian_is_explained() -> None:
    lines = (ROOT / "deploy/debian/borne.lintian-overrides").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert all(line.startswith(("# ", "borne: ")) for line in lines)


def test_the_program_in_it_runs_and_names_what_it_was_built_from(content: Path) -> None:
    """By the Python of Debian, in an environment that contains nothing of this one."""
    version = package_version()
    program = content / f"opt/borne/{version}"
    packages = program / "lib/python3.13/site-packages"
    assert len(list(packages.rglob("*.pyc"))) > 1000
    python = shutil.which("python3.13", path="/usr/bin")
    if python is None:
        pytest.skip("the Python of Debian 13 is not installed")
    script = f"import sys; sys.path = [p for p in sys.path if 'site-packages' not in p] + [{str(packages)!r}]"
    command = f"{script}; sys.argv = ['borne', 'version']; from borne.__main__ import main; main()"
    printed = subprocess.run([python, "-I", "-S", "-c", command], check=True, capture_output=True, text=True).stdout
    source = source_tree()
    changes = " with changes" if source.modified else ""
    assert printed == f"borne {version} (commit {source.commit[:12]}{changes}, {source.date})\n"


def test_the_bill_of_materials_names_every_package_with_licence_and_hash(content: Path) -> None:
    bill = json.loads((content / "usr/share/doc/borne/bill-of-materials.cdx.json").read_text(encoding="utf-8"))
    components = {component["name"]: component for component in bill["components"]}
    packages = content / f"opt/borne/{package_version()}/lib/python3.13/site-packages"
    installed = {folder.name.split("-")[0].replace("_", "-").lower() for folder in packages.glob("*.dist-info")}
    assert installed - {"borne"} <= components.keys()
    assert {"dejavu-fonts", "swagger-ui-dist", "uplot"} <= components.keys()
    lock = (ROOT / "requirements-board.lock").read_text(encoding="utf-8")
    for component in components.values():
        assert component["licenses"][0]["expression"]
        if component.get("purl", "").startswith("pkg:pypi/"):
            assert f"--hash=sha256:{component['hashes'][0]['content']}" in lock
    assert "FreeType" in {inner["name"] for inner in components["pillow"]["components"]}


def test_the_installation_file_is_a_conffile_that_the_program_accepts(content: Path) -> None:
    assert "/etc/borne/station.toml" in (content / "DEBIAN/conffiles").read_text(encoding="utf-8").split()
    assert 'storage = "/var/lib/borne"' in (content / "etc/borne/station.toml").read_text(encoding="utf-8")


def test_the_unit_starts_the_version_that_it_came_with(content: Path) -> None:
    """Also while the next one is unpacked and not accepted yet."""
    unit = (content / "usr/lib/systemd/system/borne.service").read_text(encoding="utf-8")
    assert f"ExecStart=/opt/borne/{package_version()}/bin/borne run " in unit
    assert "/usr/bin/borne" not in unit


def test_the_package_for_arm_contains_programs_for_arm_only(tmp_path: Path) -> None:
    package = build_package(source_tree(), "arm64", tmp_path)
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path / "content"], check=True)
    libraries = list((tmp_path / "content/opt").rglob("*.so"))
    assert len(libraries) > 40
    machine_of = {library: library.read_bytes()[18:20] for library in libraries}
    assert {library for library, machine in machine_of.items() if machine != b"\xb7\x00"} == set()  # EM_AARCH64
