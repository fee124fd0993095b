"""Settings of the communication with the vehicle of one EVSE.

The attribute names are stored (facts `vehicle-…`) and must not change.
"""

from __future__ import annotations

from typing import Final

from station.core.setting_kinds import Country, Switch, Text
from station.core.setting_values import SettingGroup

UNKNOWN_EVSE_ID: Final = "ZZ00000"
"""the EVSEID of an EVSE that has none (ISO 15118-2)"""


class VehicleSettings(SettingGroup):
    """Settings of ISO 15118 of one EVSE (ISO15118Ctrlr, EVSE.ISO15118EvseId); each EVSE has a group of its own."""

    central_contract_validation_allowed = Switch(False)
    """whether the CSMS may validate a contract certificate that the station cannot (C07.FR.06)"""
    contract_certificate_installation_enabled = Switch(True)
    """whether vehicles may request contract certificates (M01, M02)"""
    contract_validation_offline = Switch(False)
    """whether contract certificates are accepted while the CSMS cannot be asked (C07.FR.07, C07.FR.08)"""
    country_name = Country("")
    """C in the certificate of the SECC (ISO 3166-1)"""
    organization_name = Text("", maximum=64)
    """O in the certificate of the SECC"""
    pnc_enabled = Switch(True)
    """whether contract certificates are accepted at all: Plug & Charge (C07)"""
    request_metering_receipt = Switch(False)
    """whether vehicles are asked to sign meter readings"""
    secc_id = Text("", maximum=64)
    """CN in the certificate of the SECC"""
    v2g_certificate_installation_enabled = Switch(True)
    """whether the certificate of the SECC may be renewed by the CSMS (A02, A03)"""
    iso15118_evse_id = Text("", maximum=38)
    """the EVSEID that vehicles see"""
