"""The limits of the connection that its meter reports: contract, cut-off power, electronic fuse, power limiter.

`ReportedLimits` is stored over a restart: until the meter sends again, the limits that it reported last apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from energy.grid import GridSample


class ReportedLimits(Frozen):
    """The limits that the grid meter reported last; None: it reports no limit of that kind."""

    subscribed_a: float | None = None
    """amperes per phase that the contract allows"""
    cut_off_va: float | None = None
    """power of all phases together beyond which the meter disconnects (Linky: PCOUP, else PREF)"""
    fuse_a: float | None = None
    """amperes per phase of the meter's electronic fuse"""
    limiter_w: float | None = None
    """power of all phases together that the meter's limiter allows"""

    def after(self, sample: GridSample) -> ReportedLimits:
        """Return the limits after one more sample.

        A contract missing in it is kept: short frames leave it out. A fuse or limiter missing in it is not set.
        """
        return ReportedLimits(
            sample.subscribed_current_a or self.subscribed_a,
            sample.cut_off_va or sample.subscribed_va or self.cut_off_va,
            sample.fuse_a,
            sample.limiter_w,
        )

    def restrict_more_than(self, other: ReportedLimits) -> bool:
        """Return whether one of these limits is lower than the same one of `other`, or does not exist there."""
        pairs = (
            (self.subscribed_a, other.subscribed_a),
            (self.cut_off_va, other.cut_off_va),
            (self.fuse_a, other.fuse_a),
            (self.limiter_w, other.limiter_w),
        )
        return any(mine is not None and (theirs is None or mine < theirs) for mine, theirs in pairs)

    def cut_off_a(self, phases: int, voltage_v: float) -> float | None:
        """The current at the cut-off power of a Linky, amperes per phase; None: no cut-off power is reported.

        A power limitation may lower it below the contract.
        """
        volts = max(voltage_v, NOMINAL_VOLTAGE_V)  # at a lower voltage, which is a sag, the current would be higher
        return self.cut_off_va / phases / volts if self.cut_off_va is not None else None

    def limit_a(self, phases: int, voltage_v: float) -> float | None:
        """The lowest limit, amperes per phase, for this number of phases and this voltage; None: no limit."""
        limiter_a = self.limiter_w / phases / NOMINAL_VOLTAGE_V if self.limiter_w is not None else None
        known = (self.subscribed_a, self.cut_off_a(phases, voltage_v), self.fuse_a, limiter_a)
        return min((limit_a for limit_a in known if limit_a is not None), default=None)


class StoredMeterState(Frozen):
    """The state of the grid meter that an earlier run of the station has stored."""

    limits: ReportedLimits = ReportedLimits()
    """the limits that it reported last"""
    silent_s: float = 0.0
    """seconds for which it had been silent when this run began; 0: it was sending at the end of the last run"""


NO_STORED_STATE = StoredMeterState()
"""the state at the first start of a station: nothing is stored"""
