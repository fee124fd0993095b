"""A Dask cluster that the tests of this folder share: its workers take seconds to start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import pytest

from tests.borne.fleet.leased_hosts import Cluster


class LocalCluster(Protocol):
    """What the tests use of `distributed.LocalCluster`."""

    scheduler_address: str

    def close(self) -> None:
        """End scheduler and workers."""
        ...


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with two workers, which are started again when they are killed."""
    distributed = pytest.importorskip("distributed", reason="the extra borne[fleet] is not installed")
    folder: Path = tmp_path_factory.mktemp("dask")
    local = cast(
        "LocalCluster",
        distributed.LocalCluster(
            host="127.0.0.1",
            n_workers=2,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            local_directory=str(folder),
            silence_logs=logging.CRITICAL,
        ),
    )
    try:
        yield Cluster(local.scheduler_address, folder)
    finally:
        local.close()
