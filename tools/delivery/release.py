"""Makes a release (`python -m tools.delivery.release`): checks, packages and images, checksums and their signature.

It runs on a clean checkout of the commit to be released, and stops at the first step that fails. docs/releasing.md
explains what comes before and after it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.delivery.source_tree import ROOT, DeliveryError, SourceTree, source_tree

_KEYS: Final = {
    "RELEASE_BUNDLE_CERTIFICATE": "PEM certificate that signs update bundles",
    "RELEASE_BUNDLE_KEY": "its PEM key",
    "RELEASE_SIGNING_KEY": "secret key of minisign that signs the checksums",
}
"""what the environment must name: files"""
_SIMULATED_DAYS: Final = 30


@dataclass(frozen=True)
class Step:
    """One step of a release: a command that has to succeed."""

    name: str
    command: Sequence[str]


def check_steps(output: Path, logs: Path) -> list[Step]:
    """The checks, the quick ones first; the conformance report is released, the plan of the fleet is not."""
    python, plan, report = sys.executable, str(logs / "plan.toml"), str(output / "conformance.md")
    results = [python, "-m", "tools.delivery.conformance_results", "docs/conformance.md", report]
    return [
        Step("check", ["make", "check"]),
        Step("lowest", ["make", "lowest"]),
        Step("test", ["make", "test", "ARGS=--no-skips"]),
        Step("conformance", ["make", "conformance-report", f"REPORT={report}"]),
        Step("conformance-results", results),
        Step("days", [python, "-m", "borne", "life", "--days", str(_SIMULATED_DAYS)]),
        Step("fleet-plan", [python, "-m", "borne", "fleet", "init", plan]),
        Step("fleet", [python, "-m", "borne", "fleet", plan, "--out", str(logs / "fleet")]),
        Step("machine", ["make", "test-machine", "ARGS=-n auto -v --no-skips"]),
    ]


def build_steps(keys: Mapping[str, str], output: Path, version: str) -> list[Step]:
    """The steps that build what is released as this version, into the folder `output`."""
    python, folder = sys.executable, ["--output", str(output)]
    image = ["--certificate", keys["RELEASE_BUNDLE_CERTIFICATE"], "--key", keys["RELEASE_BUNDLE_KEY"]]
    package = [python, "-m", "tools.delivery.debian_package", *folder, "--architecture"]
    container = [python, "-m", "tools.delivery.oci_image", *folder, "--architecture"]
    bill = str(output / f"borne-{version}.cdx.json")
    built = ["--package", str(output / f"borne_{version}_amd64.deb")]
    addon, archive = output / "home-assistant", output / "borne-home-assistant.tar.gz"
    return [
        Step("package-amd64", [*package, "amd64"]),
        Step("package-arm64", [*package, "arm64"]),
        Step("bill-of-materials", [python, "-m", "tools.delivery.bill_of_materials", bill]),
        Step("image-oci-amd64", [*container, "amd64"]),
        Step("image-oci-arm64", [*container, "arm64"]),
        Step("home-assistant-addon", [python, "-m", "tools.delivery.home_assistant_addon", "--output", str(addon)]),
        Step("addon-archive", ["tar", "-czf", str(archive), "--remove-files", "-C", str(addon), "borne"]),
        Step("addon-folder", ["rmdir", str(addon)]),
        Step("image-disk", [python, "-m", "tools.delivery.disk_image", *folder, *image, *built]),
    ]


def release_problems(source: SourceTree, changelog: str, environment: Mapping[str, str]) -> list[str]:
    """What keeps a checkout from being released; empty: nothing."""
    problems: list[str] = []
    if source.modified:
        problems.append("the checkout differs from its commit: commit or remove the changes")
    if re.search(rf"(?m)^## \[{re.escape(source.version)}\] - \d{{4}}-\d\d-\d\d$", changelog) is None:
        problems.append(f"CHANGELOG.md has no section `## [{source.version}] - DATE`")
    unreleased = re.search(r"(?ms)^## \[Unreleased\]\n(.*?)(?=^## \[|\Z)", changelog)
    if unreleased is not None and unreleased[1].strip():
        problems.append("CHANGELOG.md lists changes as unreleased")
    for name, meaning in _KEYS.items():
        if not environment.get(name):
            problems.append(f"{name} is not set: {meaning}")
        elif not Path(environment[name]).is_file():
            problems.append(f"{name}: there is no file {environment[name]}")
    if shutil.which("minisign") is None:
        problems.append("minisign is not installed")
    return problems


def write_checksums(folder: Path) -> Path:
    """Write SHA256SUMS of all files in a folder, as `sha256sum --check` reads it, and return its path."""
    sums = folder / "SHA256SUMS"
    lines: list[str] = []
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith(sums.name):
            with file.open("rb") as opened:
                lines.append(f"{hashlib.file_digest(opened, 'sha256').hexdigest()}  {file.name}\n")
    sums.write_text("".join(lines), encoding="utf-8")
    return sums


def run_steps(steps: Sequence[Step], logs: Path, say: Callable[[str], object]) -> None:
    """Run steps one after another, each with its output in a file of the folder `logs`.

    Raises:
        DeliveryError: a step has failed; the text has the last lines of its output.
    """
    logs.mkdir(parents=True, exist_ok=True)
    for step in steps:
        log = logs / f"{step.name}.log"
        began_s = time.monotonic()
        with log.open("wb") as file:
            completed = subprocess.run(step.command, cwd=ROOT, stdout=file, stderr=file, check=False)
        if completed.returncode != 0:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
            raise DeliveryError(f"{step.name} failed (exit code {completed.returncode}), see {log}\n{tail}")
        say(f"{step.name}: {time.monotonic() - began_s:.0f} s\n")


def main(arguments: Sequence[str]) -> int:
    """Make a release; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make a release: check, build, sign.")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="Default: build/release-VERSION/.")
    parser.add_argument(
        "--without-checks", action="store_true", help="Only build, of a commit that was checked before."
    )
    given = parser.parse_args(arguments)
    source = source_tree()
    problems = release_problems(source, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), os.environ)
    if problems:
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 2
    output: Path = given.output or ROOT / "build" / f"release-{source.version}"
    logs = output / "logs"
    shutil.rmtree(logs, ignore_errors=True)  # of an attempt before
    try:
        if not given.without_checks:
            run_steps(check_steps(output, logs), logs, sys.stdout.write)
        if source_tree().modified:
            raise DeliveryError("the checks have changed a file of the checkout: `git status` names it")
        run_steps(build_steps(os.environ, output, source.version), logs, sys.stdout.write)
        sums = write_checksums(output)
        sign = [
            "minisign",
            "-S",
            "-s",
            os.environ["RELEASE_SIGNING_KEY"],
            "-m",
            str(sums),
            "-t",
            f"borne {source.version}",
        ]
        subprocess.run(sign, check=True)  # asks for the password of the key, if it has one
    except (DeliveryError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{output}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
