"""Builds the add-on of Home Assistant: `python -m tools.delivery.home_assistant_addon [--architecture ARCH]`.

The folder deploy/home-assistant/borne is completed with the version, the release notes, and the content of the image
for containers of each processor. Home Assistant builds the container from the folder, without anything from elsewhere.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.delivery.oci_image import build_image, extract_content
from tools.delivery.source_tree import DeliveryError, SourceTree, source_tree

ARCHITECTURES: Final = {"amd64": "amd64", "arm64": "aarch64"}
"""Home Assistant's name of a processor architecture, by Debian's"""


def build_addon(source: SourceTree, images: Mapping[str, Path], output: Path) -> Path:
    """Complete the add-on with images that `build_image` has built, and return its new folder in the folder `output`.

    `images`: the archive for each processor architecture, by Debian's name.
    """
    target = output / "borne"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source.root / "deploy/home-assistant/borne", target)
    description = target / "config.yaml"
    named = ", ".join(ARCHITECTURES[architecture] for architecture in images)
    text = description.read_text(encoding="utf-8").replace("@VERSION@", source.version)
    description.write_text(text.replace("[amd64, aarch64]", f"[{named}]"), encoding="utf-8")
    shutil.copyfile(source.root / "CHANGELOG.md", target / "CHANGELOG.md")
    for architecture, image in images.items():
        extract_content(image, target / f"root-{ARCHITECTURES[architecture]}.tar.gz")
    return target


def main(arguments: Sequence[str]) -> int:
    """Build the add-on; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument(
        "--architecture", choices=ARCHITECTURES, action="append", help="Processor; several times for several."
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="Default: build/home-assistant.")
    given = parser.parse_args(arguments)
    source = source_tree()
    output: Path = given.output or source.root / "build" / "home-assistant"
    try:
        with tempfile.TemporaryDirectory() as name:
            chosen: Sequence[str] = given.architecture or list(ARCHITECTURES)
            images = {architecture: build_image(source, architecture, Path(name)) for architecture in chosen}
            folder = build_addon(source, images, output)
    except DeliveryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
