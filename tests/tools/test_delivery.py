"""What packages are made of: manual pages, completion, the source tree, and the texts of licences."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from borne.cli import COMMANDS
from station.configuration.installation_choices import STATION_IMAGE
from station.configuration.short_installation_example import short_installation_example
from station.maintenance.software_components import program_component
from tests.machine.signing import create_bundle_keys
from tests.patience import PATIENCE_S
from tests.project import ROOT
from tools.delivery.debian_package import licence_texts
from tools.delivery.disk_image import ImageOptions, build_bundle, build_images
from tools.delivery.source_tree import DeliveryError, run, source_tree
from tools.references.bash_completion import script
from tools.references.command_parsers import commands
from tools.references.installation_file import sections
from tools.references.manual_pages import MANUAL_PAGES


def complete(*words: str, folder: Path = ROOT) -> list[str]:
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    command = (
        f'{script()}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _borne; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    completed = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, cwd=folder, timeout=PATIENCE_S
    )
    assert completed.stderr == ""
    return completed.stdout.split()


def test_bash_completes_commands_options_values_and_files(tmp_path: Path) -> None:
    (tmp_path / "station.toml").touch()
    assert complete("borne", "ch") == ["check"]
    assert complete("borne", "journal", "v", folder=tmp_path) == ["verify"]
    assert complete("borne", "run", "--co") == ["--config"]
    assert complete("borne", "fleet", "--engine", "") == ["process", "dask"]
    assert complete("borne", "pki", "revoke", "--h") == ["--help"]
    assert complete("borne", "check", "sta", folder=tmp_path) == ["station.toml"]


def test_every_command_and_argument_is_in_the_manual_page() -> None:
    page = MANUAL_PAGES["borne.1"]("1.2.3", "2026-01-31")
    assert '"2026-01-31" "borne 1.2.3"' in page
    found = commands()
    assert {command.words[0] for command in found} == COMMANDS.keys()
    for command in found:
        assert f'.SS "borne {command.name}"'.replace("-", "\\-") in page
        for argument in command.arguments:
            assert all(option.replace("-", "\\-") in page for option in argument.options)


def test_every_table_and_key_of_the_installation_file_is_in_the_manual_page() -> None:
    page = MANUAL_PAGES["borne-station.toml.5"]("1.2.3", "2026-01-31")
    for section in sections():
        for place in filter(None, section.places):
            assert place.replace("[]", "") in page
    assert "\nmax_current_a = number" in page
    assert "](" not in page
    assert "`" not in page


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("name", MANUAL_PAGES)
def test_man_shows_a_manual_page_without_a_warning(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(MANUAL_PAGES[name]("1.2.3", "2026-01-31"), encoding="utf-8")
    completed = subprocess.run(
        ["man", "--warnings", "--local-file", tmp_path / name], capture_output=True, text=True, check=False, timeout=60
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    assert "borne" in completed.stdout


def test_an_exported_source_tree_has_its_version_and_equal_permissions(tmp_path: Path) -> None:
    source = source_tree().with_version("9.8.7")
    source.export(tmp_path / "tree")
    assert 'version = "9.8.7"' in (tmp_path / "tree" / "pyproject.toml").read_text(encoding="utf-8")
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "tree").rglob("*") if file.is_file()} == {0o644, 0o755}
    assert len(source.commit) == 40
    assert not (tmp_path / "tree" / ".git").exists()


def test_a_tool_that_fails_or_is_absent_is_an_error_with_its_output() -> None:
    with pytest.raises(DeliveryError, match="exit code 3\nthe reason"):
        run("sh", "-c", "echo the reason; exit 3")
    with pytest.raises(DeliveryError, match="absent-tool is not installed"):
        run("absent-tool")


def test_a_folder_without_a_repository_has_no_version_to_build(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.0"\n', encoding="utf-8")
    with pytest.raises(DeliveryError, match="git"):
        source_tree(tmp_path)


def test_the_licence_texts_name_each_component() -> None:
    text = licence_texts([program_component(), program_component()])
    assert text.count("borne ") >= 2
    assert "Apache License" in text


@pytest.fixture
def image_options(tmp_path: Path) -> ImageOptions:
    files = [tmp_path / name for name in ("maker.pem", "maker.key", "model.toml")]
    for file in files:
        file.touch()
    files[2].write_text(short_installation_example(STATION_IMAGE), encoding="utf-8")
    return ImageOptions(files[0], files[1], files[0], installation_file=files[2])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[station", "model.toml:1"),
        ('[station]\nidentity = "X"\npaint = 1\n[[evse]]\n', "station.paint"),
        ('[station]\nidentity = "X"\n[[evse]]\n', 'firmware.type: must be "rauc"'),
        (
            '[station]\nidentity = "X"\n[[evse]]\n[firmware]\ntype = "rauc"\n[[variable]]\n'
            'component = "FirmwareCtrlr"\nvariable = "MostBytes"\nvalue = "many"\n',
            "FirmwareCtrlr.MostBytes",
        ),
    ],
)
def test_an_installation_file_with_which_no_station_starts_makes_no_image(
    text: str, reason: str, image_options: ImageOptions, tmp_path: Path
) -> None:
    (tmp_path / "model.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DeliveryError, match=re.escape(reason)):
        build_images(source_tree(), image_options, tmp_path / "output", tmp_path / "no-package.deb")
    assert not (tmp_path / "output").exists()


def test_a_missing_key_and_a_name_that_rauc_cannot_read_make_no_image(
    image_options: ImageOptions, tmp_path: Path
) -> None:
    named = replace(image_options, compatible="two\nlines")
    with pytest.raises(DeliveryError, match="--compatible"):
        build_images(source_tree(), named, tmp_path / "output", tmp_path / "no-package.deb")
    image_options.key.unlink()
    with pytest.raises(DeliveryError, match=r"--key: there is no file .*maker\.key"):
        build_images(source_tree(), image_options, tmp_path / "output", tmp_path / "no-package.deb")


@pytest.mark.skipif(shutil.which("rauc") is None or shutil.which("mksquashfs") is None, reason="rauc is not installed")
def test_a_bundle_is_of_its_model_and_not_larger_than_its_stations_download(
    image_options: ImageOptions, tmp_path: Path
) -> None:
    create_bundle_keys(image_options.certificate, image_options.key)
    root = tmp_path / "root.squashfs"
    root.write_bytes(os.urandom(1 << 16))
    options = replace(image_options, compatible="wallbox-32")
    bundle = build_bundle(source_tree(), options, root, tmp_path)
    info = run("rauc", "info", f"--keyring={options.keyring}", bundle)
    assert "wallbox-32" in info
    model = tmp_path / "model.toml"
    small = '[[variable]]\ncomponent = "FirmwareCtrlr"\nvariable = "MostBytes"\nvalue = "60000"\n'
    model.write_text(f"{model.read_text(encoding='utf-8')}\n{small}", encoding="utf-8")
    with pytest.raises(DeliveryError, match="download at most 60000"):
        build_bundle(source_tree(), options, root, tmp_path)
