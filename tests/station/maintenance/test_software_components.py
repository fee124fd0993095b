"""The list of software of others: the licence of a package from each form of its metadata, and their texts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from station.maintenance.software_components import UNKNOWN_LICENCE, program_component, software_components
from tests.project import ROOT


def install(folder: Path, name: str, *headers: str) -> None:
    """Write the metadata of a package, with a licence file and a file of the same name that is none of the metadata."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *headers]
    (metadata / "METADATA").write_text("\n".join(lines), encoding="utf-8")
    (metadata / "LICENSE").write_text(f"text of {name}", encoding="utf-8")
    (folder / name).mkdir()
    (folder / name / "licenses.py").write_text("", encoding="utf-8")
    record = f"{metadata.name}/LICENSE,,\n{metadata.name}/METADATA,,\n{name}/licenses.py,,\n"
    (metadata / "RECORD").write_text(record, encoding="utf-8")


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        (["License-Expression: MIT OR Apache-2.0", "License: whatever"], "MIT OR Apache-2.0"),
        (["License: EPL-2.0 OR GPL-2.0-or-later"], "EPL-2.0 OR GPL-2.0-or-later"),
        (["License: MIT License", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
        (["License: see the file", "Classifier: License :: OSI Approved :: BSD License"], UNKNOWN_LICENCE),
        ([], UNKNOWN_LICENCE),
    ],
)
def test_the_licence_of_a_package_is_read_from_its_metadata(tmp_path: Path, headers: list[str], licence: str) -> None:
    install(tmp_path, "Some_Package", *headers)
    found = {component.name: component for component in software_components([str(tmp_path)])}
    assert found["some-package"].licence == licence
    assert found["some-package"].version == "1.0"
    assert found["some-package"].licence_text() == "text of Some_Package"


def test_files_of_others_are_in_the_list_and_the_program_itself_is_not() -> None:
    found = {component.name: component for component in software_components()}
    assert {name for name, component in found.items() if component.kind != "library"} == {
        *("dejavu-fonts", "swagger-ui-dist", "uplot")
    }
    assert "Bitstream" in found["dejavu-fonts"].licence_text()
    assert "borne" not in found
    assert "Apache License" in program_component().licence_text()


def test_every_package_of_the_lock_has_a_known_licence() -> None:
    """Those that are installed here: some are for other systems only."""
    lock = (ROOT / "requirements-board.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    found = {component.name: component for component in software_components()}
    assert len(locked & found.keys()) >= 50
    assert [name for name in locked & found.keys() if found[name].licence == UNKNOWN_LICENCE] == []
