"""How a simulated vehicle communicates (ISO 15118): identity, contract, what it wants, and how it misbehaves."""

from __future__ import annotations

from enum import StrEnum

from foundation.frozen import Frozen
from station.core.vehicle_link import ISO_15118_2, CertificateAction, Contract


class CommunicationFault(StrEnum):
    """How the communication of a simulated vehicle misbehaves."""

    SILENT = "silent"
    """it asks for authorization and then says nothing more"""
    WRONG_ORDER = "wrong-order"
    """it requests energy before it is authorized"""
    LATE = "late"
    """it sends its needs a minute too late"""
    GARBAGE = "garbage"
    """its certificate request is not base64"""
    IGNORES_LIMIT = "ignores-limit"
    """it draws its own maximum, whatever the limit is"""
    FAILS_DURING_CHARGE = "fails-during-charge"
    """its session breaks off ten seconds after the energy has begun to flow"""


class CommunicationModel(Frozen):
    """How a simulated vehicle communicates, and what it wants."""

    evccid: str = "0201020304AF"
    protocol: str = ISO_15118_2
    contract: Contract | None = None
    """None: it is authorized by external identification means"""
    contract_only: bool = False
    """whether it leaves if its contract is not accepted, instead of waiting for a card"""
    certificate_action: CertificateAction | None = None
    """whether it requests a contract certificate before it presents its contract"""
    energy_wh: float | None = None
    """energy that it requests; None: what its battery takes"""
    departs_in_s: int | None = None
    min_current_a: float = 6.0
    schedule: int = 1
    """which schedule it chooses, from 1; the last one if there are fewer"""
    plans: bool = True
    """whether it sends its plan with its choice"""
    plan_factor: float = 1.0
    """its plan as a part of the schedule that it has chosen; above 1 it plans too much"""
    max_periods: int | None = None
    renegotiate_after_s: float | None = None
    """seconds of charging after which it negotiates anew"""
    pause_after_s: float | None = None
    """seconds of charging after which it sleeps"""
    resume_after_s: float | None = None
    """seconds of sleep after which it resumes; None: when the station wakes it, or `SimulatedEvcc.wake` is called"""
    stop_after_s: float | None = None
    """seconds of charging after which it ends its session"""
    reports_soc: bool = False
    message_s: float = 0.25
    """time between two of its messages"""
    faults: frozenset[CommunicationFault] = frozenset()
