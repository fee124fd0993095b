"""The variables of SecurityCtrlr about certificates (part 2, 2.8 and appendix; A02, A03, M05)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ocpp_handlers.variables.setting_binding import SettingBinding
from ocpp_handlers.variables.variable import Component, DataType, Mutability, Variable, read_only_variable
from station.core.setting_groups import SettingGroups
from station.security.certificates.certificate_store import MAX_CERTIFICATES
from station.security.security_settings import SecuritySettings

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from station.security.certificates.certificate_store import CertificateStore

_COMPONENT = Component("SecurityCtrlr")


def certificate_variables(
    settings: SecuritySettings,
    certificates: CertificateStore,
    secc_chains: Callable[[], int],
    auxiliary: AuxiliaryCalls,
) -> Iterator[Variable]:
    """Yield CertificateEntries, the expiry, CertSigningWaitMinimum and -RepeatTimes, and those of chain checks.

    `secc_chains` returns how many V2G chains are installed, which count as entries too.
    CertificateDaysLeft is a vendor variable: the days until the station certificate expires, empty without one.
    """
    yield read_only_variable(
        _COMPONENT,
        "CertificateEntries",
        DataType.INTEGER,
        lambda: str(certificates.count + secc_chains()),
        minimum=0,
        maximum=MAX_CERTIFICATES,
        changes=certificates.expiry_checked,
    )
    yield read_only_variable(
        _COMPONENT,
        "CertificateDaysLeft",
        DataType.INTEGER,
        lambda: str(certificates.days_left) if certificates.days_left is not None else "",
        unit="d",
        changes=certificates.expiry_checked,
    )
    binding, kind = SettingBinding(SettingGroups((settings,)), auxiliary), SecuritySettings
    for name, setting, unit in (
        ("CertSigningWaitMinimum", kind.cert_signing_wait_minimum_s, "s"),
        ("CertSigningRepeatTimes", kind.cert_signing_repeat_times, None),
    ):
        yield binding.variable(_COMPONENT, name, setting, unit=unit)
    fixed = Mutability.READ_ONLY
    yield binding.variable(_COMPONENT, "MaxCertificateChainSize", kind.max_certificate_chain_size, mutability=fixed)
    yield binding.variable(
        _COMPONENT, "AdditionalRootCertificateCheck", kind.additional_root_certificate_check, mutability=fixed
    )
