"""The script of a charge with a contract: a vehicle that communicates by ISO 15118, and nobody presents a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from borne.demo.script import SceneFailedError, apply_csms_profile, cut_network, switch_household_loads
from simulator.communication_model import CommunicationModel
from simulator.vehicle import VehicleModel
from station.security.certificates.certificate_store import CertificateStore, CertificateUse

if TYPE_CHECKING:
    from borne.demo.script import DemoScenario
    from simulator.pki.v2g_pki import TestPki

_ENERGY_WH: Final = 22_000.0
_DEPARTS_IN_S: Final = 9 * 3_600
_FULL_CURRENT_A: Final = 25.0


async def play_plug_and_charge(stage: DemoScenario, pki: TestPki) -> None:
    """Play one charge with a contract: needs, limits of the house and of the CSMS, a network cut, the end.

    Raises:
        SceneFailedError: an expected event did not happen in time.
    """
    await stage.wait_connected()
    await stage.wait_until("the CSMS installs roots", lambda: _has_roots(stage), 20.0)
    stage.show_scene("The CSMS has installed the roots of V2G and of a mobility operator")
    await stage.wait_grid_sample()
    stage.show_scene("A car with a contract arrives. Nobody presents a card")
    model = CommunicationModel(contract=pki.contract("valid"), energy_wh=_ENERGY_WH, departs_in_s=_DEPARTS_IN_S)
    stage.plug(VehicleModel(phases=1, communication=model))
    await stage.wait_until("its contract is authorized", lambda: stage.evse.state.authorization is not None, 20.0)
    await stage.wait_transaction_started()
    stage.show_scene(f"The CSMS has accepted the contract {pki.contract('valid').emaid}")
    details = stage.evse.vehicle_details
    await stage.wait_until("the car says what it needs", lambda: details.current.needs is not None, 20.0)
    stage.show_scene(
        f"The car wants {_ENERGY_WH / 1000:.0f} kWh{_until(stage)}; the CSMS knows, and may send a schedule"
    )
    await stage.wait_until("the car charges at full current", lambda: stage.drawn_a > _FULL_CURRENT_A, 60.0)
    await switch_household_loads(stage)
    await cut_network(stage)
    await apply_csms_profile(stage)
    stage.switch_off("oven")
    stage.show_scene("The car ends its session: the charge ends")
    evcc = stage.board.secc.evcc if stage.board.secc is not None else None
    if evcc is None:
        raise SceneFailedError("the car does not communicate")
    evcc.stop()
    await stage.wait_transaction_ended()
    stage.board.unplug()
    stage.show_scene("The car leaves")
    await stage.wait_delivered()


def _has_roots(stage: DemoScenario) -> bool:
    certificates = stage.runtime.parts.get(CertificateStore)
    return all(map(certificates.trusted_roots, (CertificateUse.V2G_ROOT, CertificateUse.MO_ROOT)))


def _until(stage: DemoScenario) -> str:
    """When the car leaves, in words; empty if it has not said."""
    departs_at = stage.evse.vehicle_details.current.departs_at
    return "" if departs_at is None else f" until {departs_at.astimezone():%H:%M}"
