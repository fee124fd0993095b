"""Settings of certificates, security profiles and network profiles.

The attribute names are stored (table `settings`) and must not change.
"""

from __future__ import annotations

from station.core.setting_kinds import Integer, Switch, Text
from station.core.setting_values import SettingGroup


class SecuritySettings(SettingGroup):
    """Settings of certificates, TLS, security profiles and network profiles (SecurityCtrlr, OCPPCommCtrlr)."""

    allow_security_profile_downgrade = Switch(False)
    """whether the CSMS may set a profile of security 2 while 3 is used"""
    allow_csms_tls_wildcards = Switch(False)
    organization_name = Text("", maximum=64)  # limit of O in an X.509 name (RFC 5280, ub-organization-name)
    # A certificate authority may sign manually: wait five minutes for the certificate, then ten, twenty, forty.
    cert_signing_wait_minimum_s = Integer(300, minimum=1, maximum=86_400)
    cert_signing_repeat_times = Integer(3, maximum=20)
    max_certificate_chain_size = Integer(10_000, minimum=1, maximum=10_000)  # limit of the message schema
    """characters of the PEM in CertificateSigned"""
    additional_root_certificate_check = Switch(False)
    """whether a new CSMS root must be signed by the present one, which it replaces"""
    network_profile_connection_attempts = Integer(3, minimum=1, maximum=100)
    """with one network profile, before the next is tried"""
