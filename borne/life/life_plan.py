"""What days of life are played, and what comes of them."""

from __future__ import annotations

from typing import Final

from foundation.frozen import Frozen

_IDENTITY: Final = "LIFE-1"


class LifePlan(Frozen):
    """What is played: number of days, seed, house, and length of a day."""

    days: int
    seed: int = 0
    linky: bool = False
    """a house with a Linky, whose current the station shares"""
    day_hours: float = 24.0
    """length of a day; its events keep their share of it, so that a short day has as many"""
    identity: str = _IDENTITY
    """identity of the station"""
    csms_url: str | None = None
    """URL of the CSMS without identity; None: one that checks each event"""
    csms_api: str | None = None
    """URL of the adapter that tells this CSMS what to send, and reads its bills; None: nobody can"""
    password: str | None = None
    """password of the station at this CSMS"""


class LifeFigures(Frozen):
    """Result of the days: their CPU time and counts of transactions."""

    days: int
    cpu_s: float
    """CPU time of the process, with its CSMS"""
    transactions: int | None = None
    """transactions whose bills were compared; None: nobody could read the bills of the CSMS"""
    unbilled: int = 0
    """transactions without a register at begin or end, because the meter was silent"""
    billed_wh: float = 0.0
    refused_orders: int = 0
    """requests that the adapter of another CSMS has not let it send"""

    @property
    def cpu_s_per_day(self) -> float:
        """CPU time of one day."""
        return self.cpu_s / self.days


class LifeFailedError(Exception):
    """An invariant did not hold; `day` is the shortest prefix of days that fails."""

    def __init__(self, plan: LifePlan, day: int, reason: str, *, at_end: bool = False) -> None:
        options = {
            "--linky": plan.linky,
            f"--hours {plan.day_hours:g}": plan.day_hours != 24.0,
            f"--identity {plan.identity}": plan.identity != _IDENTITY,
            f"--csms {plan.csms_url}": plan.csms_url is not None,
            f"--csms-api {plan.csms_api}": plan.csms_api is not None,
            "--password …": plan.password is not None,
        }
        more = "".join(f" {option}" for option, given in options.items() if given)
        when = f"after {day} days" if at_end else f"day {day} fails"
        super().__init__(f"{when}: {reason}\nto repeat: borne life --days {day} --seed {plan.seed}{more}")
        self.day = day
