"""The tool that makes a release: what keeps a checkout from it, steps, checksums."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.project import ROOT
from tools.delivery import conformance_results, release
from tools.delivery.conformance_results import different_results
from tools.delivery.release import Step, build_steps, check_steps, release_problems, run_steps, write_checksums
from tools.delivery.source_tree import DeliveryError, source_tree

_SOURCE: Final = dataclasses.replace(source_tree(), version="1.2.3", modified=False)
_RELEASED: Final = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n### Added\n\n- Something.\n"


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """The environment with all keys, in files."""
    names = ("RELEASE_BUNDLE_CERTIFICATE", "RELEASE_BUNDLE_KEY", "RELEASE_SIGNING_KEY")
    for name in names:
        (tmp_path / name).write_text("key", encoding="utf-8")
    return {name: str(tmp_path / name) for name in names}


@pytest.fixture(autouse=True)
def minisign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tool seems to be installed."""

    def which(name: str) -> str:
        return f"/usr/bin/{name}"

    monkeypatch.setattr(release.shutil, "which", which)


def test_a_clean_checkout_with_its_changes_and_keys_can_be_released(keys: dict[str, str]) -> None:
    assert release_problems(_SOURCE, _RELEASED, keys) == []


@pytest.mark.parametrize(
    ("changelog", "problem"),
    [
        (_RELEASED.replace("1.2.3", "1.2.2"), "no section"),
        (_RELEASED.replace(" - 2026-12-01", ""), "no section"),
        (_RELEASED.replace("[Unreleased]\n", "[Unreleased]\n\n- Another thing.\n"), "as unreleased"),
    ],
)
def test_a_changelog_that_does_not_fit_is_named(changelog: str, problem: str, keys: dict[str, str]) -> None:
    (found,) = release_problems(_SOURCE, changelog, keys)
    assert problem in found


def test_changes_and_missing_keys_are_named(keys: dict[str, str]) -> None:
    modified = dataclasses.replace(_SOURCE, modified=True)
    environment = {**keys, "RELEASE_BUNDLE_KEY": "/nowhere/key"}
    del environment["RELEASE_SIGNING_KEY"]
    found = "\n".join(release_problems(modified, _RELEASED, environment))
    assert "differs from its commit" in found
    assert "RELEASE_BUNDLE_KEY: there is no file /nowhere/key" in found
    assert "RELEASE_SIGNING_KEY is not set" in found


def test_every_check_is_a_target_of_make_or_a_module_that_runs(tmp_path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for step in check_steps(tmp_path, tmp_path / "logs"):
        if step.command[0] == "make":
            assert step.command[1] in targets
        else:
            helped = subprocess.run([*step.command[:3], "--help"], cwd=ROOT, capture_output=True, check=False)
            assert helped.returncode == 0


def test_what_is_given_to_make_is_for_its_target_only(tmp_path: Path) -> None:
    """`make release ARGS=…` runs `make check`, and tests run documented commands such as `make deb`."""
    (tmp_path / "inner").write_text('shown:\n\t@echo "[$(ARGS)] [$(REPORT)] $$ARGS $(MAKEFLAGS)"\n', encoding="utf-8")
    outer = f"include {ROOT / 'Makefile'}\nouter:\n\t@make -s --no-print-directory -f {tmp_path / 'inner'}\n"
    (tmp_path / "outer").write_text(outer, encoding="utf-8")
    command = ["make", "-s", "-f", str(tmp_path / "outer"), "outer", "ARGS=-n auto", "REPORT=x"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("[] [] ")
    assert "auto" not in printed


def test_results_of_a_run_are_compared_but_not_how_long_it_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
    slower = re.sub(r"\d+\.\d s \|$", "99.9 s |", published, flags=re.MULTILINE)
    assert slower != published
    assert different_results(published, slower) == []
    failed = re.sub(r"(\| TC_E_01_CS \|.*\|) passed \|", r"\1 not run |", slower)
    different = different_results(published, failed)
    assert [line[:13] for line in different if not line.startswith("@@")] == ["-| TC_E_01_CS", "+| TC_E_01_CS"]
    (tmp_path / "report.md").write_text(failed, encoding="utf-8")
    assert conformance_results.main([str(ROOT / "docs/conformance.md"), str(tmp_path / "report.md")]) == 1
    assert "not run" in capsys.readouterr().out


def test_every_module_that_builds_knows_the_options_that_it_is_given(tmp_path: Path) -> None:
    keys: dict[str, str] = dict.fromkeys(
        ("RELEASE_BUNDLE_CERTIFICATE", "RELEASE_BUNDLE_KEY", "RELEASE_SIGNING_KEY"), "key"
    )
    modules = [step.command for step in build_steps(keys, tmp_path, "1.2.3") if "-m" in step.command]
    assert len(modules) > 5
    for command in modules:
        shown = subprocess.run([*command[:3], "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        words = shown.replace("[", " ").replace("]", " ").split()
        assert [word for word in command[3:] if word.startswith("--") and word not in words] == []


def test_a_release_stops_at_the_first_step_that_fails_and_shows_its_output(tmp_path: Path) -> None:
    said: list[str] = []
    steps = [
        Step("good", [sys.executable, "-c", "print('fine')"]),
        Step("bad", [sys.executable, "-c", "raise SystemExit('the reason')"]),
        Step("never", [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]),
    ]
    with pytest.raises(DeliveryError, match=r"(?s)bad failed \(exit code 1\).*the reason"):
        run_steps(steps, tmp_path / "logs", said.append)
    assert (tmp_path / "logs/good.log").read_text(encoding="utf-8") == "fine\n"
    assert [line.split(":")[0] for line in said] == ["good"]
    assert not (tmp_path / "ran").exists()


def test_the_checksums_are_those_that_sha256sum_verifies(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "a.deb").write_bytes(b"package")
    (tmp_path / "b.img").write_bytes(b"image")
    sums = write_checksums(tmp_path)
    assert write_checksums(tmp_path).read_text(encoding="utf-8").count("\n") == 2
    subprocess.run(["sha256sum", "--check", "--strict", sums.name], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "a.deb").write_bytes(b"another")
    assert subprocess.run(
        ["sha256sum", "--check", sums.name], cwd=tmp_path, check=False, capture_output=True
    ).returncode
