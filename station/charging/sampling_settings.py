"""Settings of sampled and signed meter values.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from collections.abc import Sequence

from station.core.sampling import Measurand
from station.core.setting_kinds import Choice, Integer, Members, Switch
from station.core.setting_values import SettingGroup, SupportedChoices

_MEASURANDS = tuple(Measurand)
_REGISTER = (Measurand.ENERGY_IMPORT_REGISTER,)


class SamplingSettings(SettingGroup):
    """Settings of which meter values are sampled, when, and which are signed, changeable by the CSMS.

    SampledDataCtrlr, AlignedDataCtrlr, FiscalMetering. An interval of 0 s: no periodic samples.
    """

    sampled_data_enabled = Switch(True)
    sampled_tx_started_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_updated_measurands = Members(
        (Measurand.ENERGY_IMPORT_REGISTER, Measurand.POWER_IMPORT, Measurand.CURRENT_IMPORT), _MEASURANDS
    )
    sampled_tx_updated_interval_s = Integer(60, maximum=86_400)
    sampled_tx_ended_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_ended_interval_s = Integer(0, maximum=86_400)
    # Billing uses the total; registers per phase would add three values to every sample.
    register_values_without_phases = Switch(True)
    aligned_data_enabled = Switch(True)
    aligned_measurands = Members(_REGISTER, _MEASURANDS)
    aligned_interval_s = Integer(0, maximum=86_400)
    aligned_tx_ended_measurands = Members(_REGISTER, _MEASURANDS)
    aligned_tx_ended_interval_s = Integer(0, maximum=86_400)
    aligned_send_during_idle = Switch(False)
    sampled_sign_readings = Switch(False)
    sampled_sign_started_readings = Switch(True)
    # Off by default, since it signs every sample.
    sampled_sign_updated_readings = Switch(False)
    aligned_sign_readings = Switch(False)
    aligned_sign_updated_readings = Switch(False)
    public_key_with_signed_meter_value = Choice(
        "OncePerTransaction", ("Never", "OncePerTransaction", "EveryMeterValue")
    )
    public_key_format = Choice("oca", ("oca", "hex", "base64"))

    def restrict_measurands(self, measurands: Sequence[str]) -> None:
        """Reject other measurands than these in the settings, and ignore them if stored: no meter supports them."""
        self._restrict_choices(
            _MEASURANDS,
            SupportedChoices(tuple(measurands), "supported by the meters of the station", may_be_empty=True),
        )
