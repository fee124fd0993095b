"""Adds the references, the changelog and the decisions to the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias, cast

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tools.references.pages import PAGES

_Entry: TypeAlias = "str | Mapping[str, str | Sequence[_Entry]]"
"""an entry of `nav` in mkdocs.yml"""
_ROOT: Final = Path(__file__).parents[2]
_DECISIONS: Final = "Decisions"
"""the entry of the menu that lists docs/adr/"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List each decision in the menu."""
    decisions = sorted(f"adr/{file.name}" for file in (_ROOT / "docs" / "adr").glob("*.md"))
    config["nav"] = _with_decisions(decisions, cast("Sequence[_Entry]", config["nav"]))
    return config


def _with_decisions(decisions: Sequence[_Entry], menu: Sequence[_Entry]) -> Sequence[_Entry]:
    """A copy of the menu with the decisions inserted."""
    return [
        entry
        if isinstance(entry, str)
        else {title: _menu_content(decisions, title, content) for title, content in entry.items()}
        for entry in menu
    ]


def _menu_content(decisions: Sequence[_Entry], title: str, content: str | Sequence[_Entry]) -> str | Sequence[_Entry]:
    if title == _DECISIONS:
        return decisions
    return content if isinstance(content, str) else _with_decisions(decisions, content)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for place, page in PAGES.items():
        files.append(File.generated(config, place, content=page()))
    files.append(File.generated(config, "changelog.md", content=(_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    return files
