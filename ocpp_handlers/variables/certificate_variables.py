"""The variables of SecurityCtrlr that are about certificates (part 2, 2.8 and appendix; A02, A03, M05)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.variables.device_model import DataType, Mutability, Place, Variable, told
from station.security.certificates.certificate_store import MOST_CERTIFICATES

if TYPE_CHECKING:
    from station.core.setting_kinds import Setting
    from station.core.settings import Settings
    from station.security.certificates.certificate_store import Certificates

T = TypeVar("T")

_PLACE = Place("SecurityCtrlr")


def certificate_variables(settings: Settings, certificates: Certificates) -> Iterator[Variable]:
    """How many certificates there may be, and how a new one is asked for."""
    yield told(
        _PLACE,
        "CertificateEntries",
        DataType.INTEGER,
        lambda: str(certificates.count),
        minimum=0,
        maximum=MOST_CERTIFICATES,
    )
    kind = type(settings)
    for name, data_type, setting, unit in (
        ("CertSigningWaitMinimum", DataType.INTEGER, kind.cert_signing_wait_minimum_s, "s"),
        ("CertSigningRepeatTimes", DataType.INTEGER, kind.cert_signing_repeat_times, None),
    ):
        yield _bound(settings, name, data_type, setting, unit, writable=True)
    yield _bound(settings, "MaxCertificateChainSize", DataType.INTEGER, kind.max_certificate_chain_size)
    yield _bound(settings, "AdditionalRootCertificateCheck", DataType.BOOLEAN, kind.additional_root_certificate_check)


def _bound(
    settings: Settings,
    name: str,
    data_type: DataType,
    setting: Setting[T],
    unit: str | None = None,
    *,
    writable: bool = False,
) -> Variable:
    async def write(text: str) -> None:
        await settings.change(setting, text)

    return Variable(
        _PLACE,
        name,
        data_type,
        Mutability.READ_WRITE if writable else Mutability.READ_ONLY,
        read=lambda: settings.text_of(setting),
        write=write,
        override=lambda text: settings.override(setting, setting.parse(text)),
        restore=lambda: settings.restore(setting),
        preset=lambda text: settings.preset(setting, setting.parse(text)),
        unit=unit,
        minimum=setting.bounds[0],
        maximum=setting.bounds[1],
    )
