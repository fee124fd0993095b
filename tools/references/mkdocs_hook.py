"""Adds to the documentation what is not written in docs/: the references, the changelog, and the decisions in its menu."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tools.references.pages import PAGES

_ROOT: Final = Path(__file__).parents[2]
_DECISIONS: Final = "Decisions"
"""the entry of the menu that lists docs/adr/"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List each decision in the menu."""
    decisions = sorted(file.name for file in (_ROOT / "docs" / "adr").glob("*.md"))
    for entry in config.nav or []:
        if isinstance(entry, dict) and _DECISIONS in entry:
            entry[_DECISIONS] = [f"adr/{name}" for name in decisions]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for place, page in PAGES.items():
        files.append(File.generated(config, place, content=page()))
    files.append(File.generated(config, "changelog.md", content=(_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    return files
