"""The source tree that a package or an image is built from: its files, version, commit and date."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""the folder of this checkout"""


class DeliveryError(Exception):
    """A package or an image cannot be built; the text says what to do. Trying again without a change does not help."""


@dataclass(frozen=True)
class SourceTree:
    """The files that a build uses, and what identifies them.

    Two builds with equal values yield the same bytes: the only time in a build is `timestamp`.
    """

    root: Path
    """the folder of the checkout"""
    version: str
    commit: str
    """hexadecimal"""
    modified: bool
    """whether the files differ from those of the commit"""
    timestamp: int
    """time of the commit, in seconds since 1970: the date of all files of a build (SOURCE_DATE_EPOCH)"""

    @property
    def date(self) -> str:
        """The date of the commit in UTC, as in ISO 8601."""
        return datetime.fromtimestamp(self.timestamp, UTC).date().isoformat()

    def with_version(self, version: str) -> SourceTree:
        """The same files under another version, for tests of updates."""
        return replace(self, version=version)

    def environment(self) -> dict[str, str]:
        """Environment variables with which tools build the same bytes each time."""
        return {
            "SOURCE_DATE_EPOCH": str(self.timestamp),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }

    def export(self, folder: Path) -> None:
        """Copy the tracked files to a new folder, with this version in pyproject.toml and equal permissions."""
        for name in _git(self.root, "ls-files", "-z").split("\0"):
            source = self.root / name
            if not name or not source.is_file():  # tracked, but deleted since
                continue
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
        project = folder / "pyproject.toml"
        text = re.sub(
            r'(?m)^version = ".*"$', f'version = "{self.version}"', project.read_text(encoding="utf-8"), count=1
        )
        project.write_text(text, encoding="utf-8")


def source_tree(root: Path = ROOT) -> SourceTree:
    """Read version, commit and date of a checkout.

    Raises:
        DeliveryError: it is not a git checkout.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    commit, timestamp = _git(root, "log", "-1", "--format=%H %ct").split()
    modified = bool(_git(root, "status", "--porcelain", "--untracked-files=no").strip())
    return SourceTree(root, project["project"]["version"], commit, modified, int(timestamp))


def run(*command: str | Path, folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Run a command, and return what it wrote to standard output.

    Raises:
        DeliveryError: the command is missing or fails; with the last lines that it wrote.
    """
    words = [str(word) for word in command]
    try:
        completed = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DeliveryError(f"{words[0]} is not installed") from error
    if completed.returncode != 0:
        lines = (completed.stdout + completed.stderr).splitlines()[-30:]
        raise DeliveryError("\n".join([f"{' '.join(words)}: exit code {completed.returncode}", *lines]))
    return completed.stdout


def _git(root: Path, *arguments: str) -> str:
    return run("git", "-c", f"safe.directory={root}", *arguments, folder=root)
