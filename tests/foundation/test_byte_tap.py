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
    kept = tap.chunks_after(0)
    assert [one.data for one in kept] == chunks[len(chunks) - len(kept) :]
    assert [one.number for one in kept] == list(range(len(chunks) - len(kept) + 1, len(chunks) + 1))
    assert sum(len(one.data) for one in kept) <= 2_000
    assert bool(kept) is bool(chunks)
    assert tap.chunks_after(known) == [one for one in kept if one.number > known]
