"""What the wiretap keeps of the meters' wires."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from foundation.byte_tap import ByteTap

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.lists(st.binary(max_size=300), max_size=60), st.integers(0, 70))
def test_it_keeps_the_newest_bytes_within_its_bound(chunks: list[bytes], known: int) -> None:
    """In order, numbered without a gap; the newest always."""
    tap = ByteTap(most_bytes=2_000)
    for data in chunks:
        tap.record("wire", NOW, data)
    retained = tap.chunks_after(0)
    assert [chunk.data for chunk in retained] == chunks[len(chunks) - len(retained) :]
    assert [chunk.number for chunk in retained] == list(range(len(chunks) - len(retained) + 1, len(chunks) + 1))
    assert sum(len(chunk.data) for chunk in retained) <= 2_000
    assert bool(retained) is bool(chunks)
    assert tap.chunks_after(known) == [chunk for chunk in retained if chunk.number > known]
