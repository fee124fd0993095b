"""What is synced to disk, for tests of the storage."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest


class SyncRecorder:
    """Records each sync of a file or folder, and what a test observes before it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        """the synced files and folders, in order"""
        self.observe: Callable[[], object] = lambda: None
        self.observations: list[object] = []
        """the results of `observe`, one for each path"""
        self._fsync = os.fsync

    def fsync(self, descriptor: int) -> None:
        """Takes the place of `os.fsync`, which it calls."""
        self.paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        self.observations.append(self.observe())
        self._fsync(descriptor)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> SyncRecorder:
    """The recorder of all syncs of this test."""
    recorder = SyncRecorder()
    monkeypatch.setattr(os, "fsync", recorder.fsync)
    return recorder
