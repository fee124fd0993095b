"""The data partition of a machine that is off: its file system, and the records of the station in it."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from borne.journal_file import check_journal_file
from tests.walks.station_process import records, register_wh


@dataclass(frozen=True)
class StoredData:
    """What the disk of a station holds."""

    storage: Path
    """a copy of its storage folder"""

    @property
    def register_wh(self) -> float:
        """The register of the simulated meter of the first EVSE, in Wh."""
        return register_wh(self.storage)

    @property
    def events(self) -> dict[str, int]:
        """The number of stored events of each transaction, by its id."""
        return dict(Counter(record.key[0] for record in records(self.storage)))

    @property
    def unsettled(self) -> int:
        """The number of stored events that the CSMS has not acknowledged."""
        return sum(not record.settled for record in records(self.storage))

    def check_journal(self) -> None:
        """The register journal is whole, and nothing in it was changed."""
        report = check_journal_file(self.storage)
        assert report.intact, report.lines


def read_data_partition(disk: Path, folder: Path) -> StoredData:
    """Copy the data partition of a disk, check its file system, and read the storage of the station in it.

    The file system needs no repair beside the replay of its journal.
    """
    folder.mkdir(parents=True)
    raw, partition = folder / "disk.img", folder / "data.img"
    _run("qemu-img", "convert", "-O", "raw", disk, raw)
    (line,) = [line for line in _run("sfdisk", "--dump", raw).splitlines() if 'name="data"' in line]
    start, size = (int(part.split("=")[1].strip(" ,")) for part in line.split(":", 1)[1].split(",")[:2])
    _run("dd", f"if={raw}", f"of={partition}", "bs=512", f"skip={start}", f"count={size}", "status=none", "conv=sparse")
    raw.unlink()
    replayed = subprocess.run(["e2fsck", "-p", partition], check=False, capture_output=True, text=True)
    assert replayed.returncode in (0, 1), replayed.stdout
    _run("e2fsck", "-f", "-n", partition)
    storage = folder / "borne"
    _run("debugfs", "-R", f"rdump /borne {folder}", partition)
    return StoredData(storage)


def _run(*command: str | Path) -> str:
    completed = subprocess.run([*command], check=False, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout
