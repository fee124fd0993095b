"""The files of others in this package: complete, unchanged, with their licences."""

from __future__ import annotations

import hashlib

import pytest

from station.maintenance.software_components import VendoredComponent, vendored_components
from tests.project import ROOT

_FOLDER = ROOT / "station"
_PACKAGES = vendored_components()


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda package: package.name)
def test_a_vendored_file_is_as_its_authors_publish_it(package: VendoredComponent) -> None:
    for path, expected in package.sha256.items():
        assert hashlib.sha256((_FOLDER / path).read_bytes()).hexdigest() == expected, path


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda package: package.name)
def test_a_vendored_package_has_its_licence_beside_it_and_a_pinned_version(package: VendoredComponent) -> None:
    assert package.licence_file in package.sha256
    assert package.licence
    assert "." in package.version


def test_every_vendored_file_is_listed() -> None:
    listed = {path for package in _PACKAGES for path in package.sha256}
    folders = (_FOLDER / "interfaces/page/static/vendor").glob("*/*"), (_FOLDER / "billing/documents/fonts").glob("*")
    assert {str(file.relative_to(_FOLDER)) for files in folders for file in files} == listed


def test_every_font_script_and_picture_of_the_program_is_ours_or_listed() -> None:
    """Pictures and scripts outside the folders of vendored files are this project's own work."""
    listed = {path for package in _PACKAGES for path in package.sha256}
    binary = {
        str(file.relative_to(_FOLDER))
        for file in _FOLDER.rglob("*")
        if file.suffix in {".ttf", ".woff2", ".png", ".jpg"}
    }
    assert binary <= listed
    minified = {str(file.relative_to(_FOLDER)) for file in _FOLDER.rglob("*.min.*")}
    assert minified <= listed
