"""The setting groups that an EVSE uses."""

from __future__ import annotations

from foundation.frozen import Frozen
from station.charging.sampling_settings import SamplingSettings
from station.charging.transaction_settings import TransactionSettings
from station.storage.record_settings import RecordSettings


class EvseSettings(Frozen):
    """The setting groups that `Evse` and its `EventRecorder` read; the same objects for all EVSEs."""

    transactions: TransactionSettings
    sampling: SamplingSettings
    records: RecordSettings
