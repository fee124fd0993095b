"""Which EVSEs of the station have a transaction."""

from __future__ import annotations

from station.charging.recording import RunningTransactions


def test_a_transaction_runs_at_the_station_until_the_last_evse_has_none() -> None:
    transactions = RunningTransactions()
    assert not transactions.any
    transactions.update(1, running=True)
    transactions.update(2, running=True)
    transactions.update(1, running=False)
    assert transactions.any
    transactions.update(2, running=False)
    transactions.update(2, running=False)
    assert not transactions.any
