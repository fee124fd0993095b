"""Which EVSEs of the station have a transaction."""

from __future__ import annotations

from station.charging.recording import RunningTransactions


def test_a_transaction_runs_at_the_station_until_the_last_evse_has_none() -> None:
    transactions = RunningTransactions()
    assert not transactions.any
    transactions.update(1, "tx")
    transactions.update(2, "tx")
    transactions.update(1, None)
    assert transactions.any
    transactions.update(2, None)
    transactions.update(2, None)
    assert not transactions.any
