"""Builds the virtual environment of the program: what the Debian package and the images install below /opt/borne.

It contains the packages of requirements-board.lock, checked against the hashes there, and the program itself, all with
compiled byte code. Nothing in it depends on the folder or the machine where it was built. It is for the Python of
Debian 13, on the processors of `MACHINES`; building for another processor runs nothing of it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from tools.delivery.source_tree import DeliveryError, SourceTree, run

PYTHON: Final = "3.13"
"""the Python that the environment is for: that of Debian 13"""
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
"""the processor in the names of wheels, by Debian's name of the architecture"""
_GLIBC_MINOR: Final = 28
"""wheels may need the GNU C library 2.28, as published in 2018, or an earlier one"""
_LOCK: Final = "requirements-board.lock"
_NOT_NEEDED: Final = ("setuptools", "_distutils_hack", "distutils-precedence.pth", "RPLCD_Tests", "lcdtests")
"""in the lock or in its packages, but used only to build or test"""
_BUILD_FILE: Final = "build.json"


def build_environment(source: SourceTree, target: Path, prefix: str, architecture: str) -> None:
    """Build the environment in the new folder `target`, for use at the absolute path `prefix`.

    Raises:
        DeliveryError: a tool is missing, or a file has not the hash of the lock.
    """
    packages = packages_of(target)
    packages.mkdir(parents=True)
    _install_dependencies(source, packages, architecture)
    _install_program(source, packages)
    compile_modules(source, packages, f"{prefix}/lib/python{PYTHON}/site-packages")
    (target / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n", encoding="utf-8"
    )
    (target / "bin").mkdir()
    (target / "bin" / "python3").symlink_to(f"/usr/bin/python{PYTHON}")
    script = target / "bin" / "borne"
    script.write_text(f"#!{prefix}/bin/python3 -I\nfrom borne.__main__ import main\n\nmain()\n", encoding="utf-8")
    script.chmod(0o755)


def packages_of(environment: Path) -> Path:
    """The folder of an environment that contains the Python packages."""
    return environment / "lib" / f"python{PYTHON}" / "site-packages"


def wheels(source: SourceTree, architecture: str) -> Path:
    """Download the wheels of the locked packages, and return their folder; those of the same lock are downloaded once.

    Raises:
        DeliveryError: a package has no wheel for the processor, or one whose hash is not in the lock.
    """
    lock = source.root / _LOCK
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = source.root / "build" / "wheels" / f"{architecture}-{digest}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        machine = MACHINES[architecture]
        platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC_MINOR, 4, -1)]
        platforms += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"),
            *("--no-deps", "--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp"),
            *("--abi", f"cp{PYTHON.replace('.', '')}", "--abi", "abi3", "--abi", "none"),
            *(word for platform in platforms for word in ("--platform", platform)),
            *("--dest", name, "-r", lock),
        )
        try:
            Path(name).rename(folder)
        except OSError:  # another build has been faster
            return folder
        Path(name).mkdir()  # for the end of the block, which removes it
    folder.chmod(0o755)
    return folder


def wheel_hashes(source: SourceTree, architecture: str) -> dict[str, str]:
    """SHA-256 of the wheel of each locked package, in hexadecimal, by the name of the package."""
    found = wheels(source, architecture).glob("*.whl")
    return {
        file.name.split("-")[0].replace("_", "-").lower(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in found
    }


def _install_dependencies(source: SourceTree, packages: Path, architecture: str) -> None:
    run(
        *(Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--target", packages, "--offline"),
        *("--python-version", PYTHON, "--python-platform", f"{MACHINES[architecture]}-manylinux_2_{_GLIBC_MINOR}"),
        *("--no-index", "--find-links", wheels(source, architecture), "--require-hashes", "--no-deps"),
        *("--no-compile-bytecode", "--link-mode", "copy", "-r", source.root / _LOCK),
    )
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for name in (".lock", *_NOT_NEEDED):
        _remove(packages / name)
    for folder in packages.glob("setuptools-*.dist-info"):
        _remove(folder)
    for file in packages.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)  # some wheels mark their data as programs
    for installed_by in [*packages.glob("*.dist-info/uv_cache.json"), *packages.glob("*.dist-info/REQUESTED")]:
        installed_by.unlink()
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if _is_kept(line, packages)), encoding="utf-8")


def _is_kept(line: str, packages: Path) -> bool:
    """Whether the file that a line of RECORD names is still there."""
    (row,) = csv.reader([line])
    return (packages / row[0]).exists()


def _install_program(source: SourceTree, packages: Path) -> None:
    """Build the wheel of the program, unpack it, and write commit and date beside its metadata."""
    with tempfile.TemporaryDirectory() as name:
        tree, built = Path(name) / "source", Path(name) / "built"
        source.export(tree)
        run(
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-build-isolation"),
            *("--no-deps", "--wheel-dir", built, tree),
            environment={**os.environ, **source.environment()},
        )
        (wheel,) = built.glob("borne-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
    build = {"commit": source.commit, "modified": source.modified, "date": source.date}
    (packages / f"borne-{source.version}.dist-info" / _BUILD_FILE).write_text(
        f"{json.dumps(build)}\n", encoding="utf-8"
    )


def compile_modules(source: SourceTree, folder: Path, prefix: str) -> None:
    """Compile all modules of a folder, for use at the absolute path `prefix`.

    In order and without the time of their files, so that the result is always the same.

    Raises:
        DeliveryError: the Python that is to load them is missing, or fails.
    """
    python = shutil.which(f"python{PYTHON}", path=f"/usr/bin{os.pathsep}{os.environ.get('PATH', '')}")
    if python is None:
        raise DeliveryError(f"python{PYTHON} is needed: byte code is compiled by the version that loads it")
    run(
        *(python, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"),
        *("-s", folder, "-p", prefix, folder),
        environment={**os.environ, **source.environment()},
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
