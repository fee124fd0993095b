"""The files of others that the page loads: complete, unchanged, with their licences."""

from __future__ import annotations

import hashlib
import tomllib
from typing import Any

import pytest

from tests.project import ROOT

_FOLDER = ROOT / "station" / "interfaces" / "page" / "static" / "vendor"
_PACKAGES: list[dict[str, Any]] = tomllib.loads((_FOLDER / "packages.toml").read_text(encoding="utf-8"))["package"]


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda package: package["name"])
def test_a_vendored_file_is_as_its_authors_publish_it(package: dict[str, Any]) -> None:
    for path, expected in package["sha256"].items():
        assert hashlib.sha256((_FOLDER / path).read_bytes()).hexdigest() == expected, path


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda package: package["name"])
def test_a_vendored_package_has_its_licence_beside_it_and_a_pinned_version(package: dict[str, Any]) -> None:
    assert any(path.endswith("/LICENSE") for path in package["sha256"])
    assert package["licence"]
    assert package["version"].count(".") == 2


def test_every_vendored_file_is_listed() -> None:
    listed = {path for package in _PACKAGES for path in package["sha256"]}
    assert {str(file.relative_to(_FOLDER)) for file in _FOLDER.glob("*/*")} == listed
