"""The network connection profiles: storage, order of attempts, permitted security profiles (B09, B10, A05).

Changes apply from the next boot on. The order, and profiles in slots other than the connected one, apply after the next
connection loss already. A successful connection with a higher security profile removes the lower ones (A05.FR.06).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field
from msgspec.structs import replace

from foundation.events import Event
from station.core.rejected_value import RejectedValueError
from station.security.credentials import Login
from station.security.network_profile import (
    OFFERED_VERSIONS,
    NetworkProfile,
    NetworkProfileRefusal,
    OcppVersion,
    profile_error,
)
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.database import StorageError
from station.storage.fact_store import save_fact
from station.storage.stored_format import FlatFormat, names
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from station.security.certificates.certificate_store import CertificateStore
    from station.security.credentials import Credentials
    from station.security.profile_passwords import ProfilePasswords
    from station.security.security_settings import SecuritySettings
    from station.storage.database import Database

_log = logging.getLogger(__name__)

_FACT = "network"
SLOTS = (1, 2, 3)
"""the configuration slots (B09.FR.06: at least two)"""
INSTALLED_SLOT = 1
"""the slot of the installation file's CSMS"""
_FORMER = 0
"""pseudo-slot for the last profile that worked, if its slot has been overwritten since"""
_USUAL_TIMEOUT_S = 30.0
"""recommended by the specification"""


class _StoredProfiles(Struct):
    """The stored profiles, as one fact, so that changes are atomic."""

    installed: NetworkProfile | None
    """the installation file's profile when this was stored; if its CSMS changes there, it replaces the stored data"""
    slots: dict[int, NetworkProfile]
    priority: tuple[int, ...]
    security_profile: int
    last_good: NetworkProfile | None = None
    """the profile of the last successful connection (B10.FR.07), even if its slot was overwritten since"""

    def to_text(self) -> str:
        return json.dumps(
            _STORED_PROFILES.to_dict(self)
            | {
                "installed": _profile_to_dict(self.installed),
                "slots": {slot: _profile_to_dict(profile) for slot, profile in self.slots.items()},
                "last_good": _profile_to_dict(self.last_good),
            }
        )


_PROFILE: Final = FlatFormat(
    NetworkProfile,
    names(
        "url",
        "security_profile",
        "message_timeout_s",
        "interface",
        "versions",
        "identity",
        "password_key",
        "ocpp_version",
    ),
)
_STORED_PROFILES: Final = FlatFormat(
    _StoredProfiles, names("installed", "slots", "priority", "security_profile", "last_good")
)


def _profile_to_dict(profile: NetworkProfile | None) -> dict[str, object] | None:
    return _PROFILE.to_dict(profile) if profile is not None else None


def _profile_from_dict(stored: dict[str, object]) -> NetworkProfile:
    profile = _PROFILE.from_dict(stored)
    return replace(profile, versions=tuple(profile.versions))  # JSON has lists only


class _ProfilesInUse(Struct):
    """The profiles in use, as of boot or of the last connection loss."""

    slots: dict[int, NetworkProfile] = field(default_factory=dict[int, NetworkProfile])
    priority: tuple[int, ...] = ()
    last_good: int | None = None
    """the slot of the last successful connection, or _FORMER"""


class NetworkProfiles:
    """The network profiles in the configuration slots, and the order in which the station tries them (B09, B10, A05).

    Stored on disk; the profiles in use only change at a boot or connection loss.
    """

    def __init__(
        self,
        database: Database,
        settings: SecuritySettings,
        credentials: Credentials,
        certificates: CertificateStore,
        security_events: SecurityEvents,
        passwords: ProfilePasswords,
    ) -> None:
        self._database = database
        self._settings = settings
        self._credentials = credentials
        self._certificates = certificates
        self._security_events = security_events
        self._passwords = passwords
        self._stored = _StoredProfiles(None, {}, (), 0)
        self._profiles_in_use = _ProfilesInUse()
        """slots and order as of the boot or the last connection loss, and the last slot that worked"""
        self._replaced: set[int] = set()
        """slots whose profile was replaced, to be used at the next connection"""
        self.active: int | None = None
        """the slot connected or being tried (ActiveNetworkProfile)"""
        self.changed: Event[None] = Event()
        """published when the profiles, their order, the active slot or the identity used there may have changed"""

    async def load(self, installed: NetworkProfile | None, *, allows_downgrade: bool = False) -> None:
        """Load the stored profiles; if the installation file has another CSMS since, use only its profile `installed`.

        If that would lower the security profile, the stored profiles stay in use, unless `allows_downgrade`: the file
        allows it expressly. Both are reported as a security event, until the station has connected with the change.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT value FROM facts WHERE name = ?", (_FACT,))
        read = self._database.unreadable.read
        profiles = read(_from_text, str(rows[0][0]), RowAddress("facts", _FACT)) if rows else None
        if rows and profiles is None:
            _log.error("the stored network profiles cannot be read; the one of the installation file is used")
        self._stored = await self._chosen_profiles(profiles, installed, allows_downgrade=allows_downgrade)
        self._profiles_in_use = _profiles_after_boot(self._stored)
        self.active = next(iter(self._slot_order(None)), None)
        await self._forget_unused_passwords()

    @property
    def priority(self) -> tuple[int, ...]:
        """The stored order of slots, applied at the next boot or connection loss (NetworkConfigurationPriority)."""
        return self._stored.priority

    @property
    def security_profile(self) -> int:
        """The security profile of the last successful connection, the minimum for new profiles (SecurityProfile).

        Before a connection, that of the installation file.
        """
        return self._stored.security_profile

    @property
    def slots(self) -> Mapping[int, NetworkProfile]:
        """The stored profiles by slot, which the next boot uses; the ones in use may still differ."""
        return self._stored.slots

    @property
    def versions(self) -> tuple[OcppVersion, ...]:
        """The versions of OCPP of the installation file, which also apply to the profiles that a CSMS sets."""
        installed = self._stored.installed
        return installed.versions if installed is not None else OFFERED_VERSIONS

    @property
    def migrating(self) -> bool:
        """Whether the profile being tried differs from the last one that worked (B10)."""
        return self._stored.last_good is not None and self.profile != self._stored.last_good

    @property
    def profile(self) -> NetworkProfile | None:
        """The profile connected or being tried; None if there is none."""
        return self._profiles_in_use.slots.get(self.active) if self.active is not None else None

    @property
    def message_timeout_s(self) -> float:
        """Timeout of a CALL in seconds, from the current profile; 30 s without one (MessageTimeout)."""
        profile = self.profile
        return profile.message_timeout_s if profile is not None else _USUAL_TIMEOUT_S

    def login(self, profile: NetworkProfile) -> Login:
        """Identity and password of the next connection request with a profile: its own, else the common ones.

        B09.FR.16, B09.FR.18.
        """
        common = self._credentials.login_for(profile.url)
        own = self._passwords.password(profile.password_key) if profile.password_key is not None else None
        return Login(profile.identity or common.identity, own or common.password)

    def uses_common_login(self, profile: NetworkProfile) -> bool:
        """Whether a request with a profile contains the common identity or password, as `Credentials` has them."""
        return profile.identity is None or (profile.uses_password and profile.password_key is None)

    # B09

    async def check_profile(self, slot: int, profile: NetworkProfile) -> NetworkProfileRefusal | None:
        """Return why a profile may not be stored in a slot, or None; stores nothing.

        A slot in the priority also needs the credentials and certificates of its profile.
        """
        if slot not in SLOTS:  # B09.FR.05
            return NetworkProfileRefusal(
                "InvalidConfSlot", f"configurationSlot must be one of {', '.join(map(str, SLOTS))}"
            )
        if profile.security_profile >= 0 and self._is_downgrade(profile):  # B09.FR.04, B09.FR.31
            return NetworkProfileRefusal(
                "NoSecurityDowngrade", f"the current security profile is {self.security_profile}"
            )
        if (problem := profile_error(profile)) is not None:  # B09.FR.02
            return NetworkProfileRefusal("InvalidNetworkConf", problem)
        if slot in self.priority and (problem := await self._missing_requirement(profile)) is not None:
            return NetworkProfileRefusal(
                "InvalidNetworkConf", problem
            )  # a slot in use must meet the requirements of A05
        return None

    async def store(
        self, slot: int, profile: NetworkProfile, password: str | None = None, *, at_next_connection: bool = False
    ) -> None:
        """Store a profile, accepted by `check_profile`, in a slot, and report a security event (B09.FR.01).

        It is used from the next boot on; in another slot than the connected one, already after a connection loss.

        Args:
            slot: one of `SLOTS`.
            profile: without the key of a password.
            password: that of this profile alone; None: the common one is used.
            at_next_connection: it is used after a connection loss in the connected slot too, as OCPP 2.1 has it.

        Raises:
            ValueError: the password is not allowed; the message does not contain it.
            StorageError: the profile is not stored.
        """
        if password is not None:
            profile = replace(profile, password_key=await self._passwords.add(password))
        await self._save(self._changed(slots={**self._stored.slots, slot: profile}))
        if at_next_connection:
            self._replaced.add(slot)
        await self._forget_unused_passwords()
        await self._report_change(
            f"network profile in slot {slot} set: security profile {profile.security_profile}, {profile.url}"
        )

    def configuration(self, slot: int) -> NetworkProfile:
        """The stored profile of a slot; an empty slot has one without URL."""
        return self._stored.slots.get(slot) or NetworkProfile(
            "", self.security_profile, _USUAL_TIMEOUT_S, "Any", self.versions
        )

    async def configure(self, slot: int, change: Callable[[NetworkProfile], NetworkProfile]) -> None:
        """Change a profile that is not in the priority; the result may be incomplete or contradictory (B09.FR.23).

        It is only checked when the slot is added to the priority. `change` gets a profile without URL for an empty
        slot; a ValueError of it passes.

        Raises:
            RejectedValueError: the slot is in the priority (B09.FR.22).
            StorageError: the change is not stored.
        """
        self._require_unused(slot)
        await self._save(self._changed(slots={**self._stored.slots, slot: change(self.configuration(slot))}))

    async def configure_security_profile(self, slot: int, number: int) -> None:
        """Set the security profile of a profile that is not in the priority, also to the one that it has.

        Raises:
            RejectedValueError: as `configure`, or it is a forbidden downgrade (B09.FR.32, B09.FR.35).
            StorageError: the change is not stored.
        """
        self._require_unused(slot)
        changed = replace(self.configuration(slot), security_profile=number)
        if self._is_downgrade(changed):
            raise RejectedValueError("NoSecurityDowngrade", f"must be at least {self.security_profile}")
        await self.configure(slot, lambda _: changed)

    async def configure_password(self, slot: int, text: str) -> None:
        """Set the password of a profile that is not in the priority, and report a security event; empty: remove it.

        Raises:
            RejectedValueError: as `configure`.
            ValueError: the password is not allowed; the message does not contain it.
            StorageError: the password is not stored.
        """
        self._require_unused(slot)
        key = await self._passwords.add(text) if text else None
        await self.configure(slot, lambda profile: replace(profile, password_key=key))
        await self._forget_unused_passwords()
        await self._report_change(f"the password of the network profile in slot {slot} was changed")

    def _require_unused(self, slot: int) -> None:
        if slot in self.priority:
            raise RejectedValueError("PriorityNetworkConf", f"of slot {slot}, which is in NetworkConfigurationPriority")

    async def use_common_identity(self) -> None:
        """Remove the identity of the active profile, so that the common one is used there (B09.FR.26).

        Publishes `changed` even if the profile has no identity of its own: the common one may be another than before.

        Raises:
            StorageError: it is not removed.
        """
        await self._change_active(lambda profile: replace(profile, identity=None))
        self.changed.publish(None)

    async def use_common_password(self) -> None:
        """Remove the password of the active profile, so that the common one is used there (B09.FR.27).

        Raises:
            StorageError: it is not removed.
        """
        await self._change_active(lambda profile: replace(profile, password_key=None))
        await self._forget_unused_passwords()

    async def _change_active(self, change: Callable[[NetworkProfile], NetworkProfile]) -> None:
        """Change the profile of the active slot, as stored, as in use, and as the last one that worked."""
        slot, in_use, stored = self.active, self._profiles_in_use.slots, self._stored
        if slot is None or slot not in in_use:
            return
        slots = {number: change(profile) if number == slot else profile for number, profile in stored.slots.items()}
        last_good = change(in_use[slot]) if stored.last_good == in_use[slot] else stored.last_good
        if (changed := self._changed(slots=slots, last_good=last_good)) != stored:
            await self._save(changed)
        in_use[slot] = change(in_use[slot])

    # B10

    async def set_priority(self, text: str) -> None:
        """Check and store the order of slots, "2,1" for example, and report a security event (B10.FR.01).

        It applies from the next boot or connection loss on.

        Raises:
            ValueError: not a list of slots.
            RejectedValueError: not allowed, with the reason (B10.FR.02, B09.FR.34, A05.FR.02, A05.FR.03, A05.FR.09,
                A05.FR.10).
            StorageError: not stored; the order is unchanged.
        """
        priority = self._parse_priority(text)
        if not set(priority) < set(self.priority):  # B09.FR.20: slots may always be removed
            await self._require_usable(priority)
        await self._save(self._changed(priority=priority))
        await self._report_change(f"NetworkConfigurationPriority set to {text}")

    def override_priority(self, text: str) -> None:
        """Apply an order of slots at once without storing it, for test benches; keeps the present connection.

        Raises:
            ValueError: a slot is unknown, empty or given twice.
        """
        self._stored = self._changed(priority=self._parse_priority(text))
        self._profiles_in_use = _profiles_after_boot(self._stored)

    def override_security_profile(self, number: int) -> None:
        """Set the minimum security profile of new profiles without storing it, for test benches; changes no profile."""
        self._stored = self._changed(security_profile=number)

    async def store_only_profile(self, profile: NetworkProfile | None) -> None:
        """Store this profile as the only one from the next boot on, for test benches; None: the installation file's.

        Raises:
            ValueError: the profile is invalid; the message says why.
            StorageError: the profile is not stored.
        """
        if profile is not None and (problem := profile_error(profile)) is not None:
            raise ValueError(problem)
        chosen, installed = profile or self._stored.installed, self._stored.installed
        slots = {INSTALLED_SLOT: chosen} if chosen is not None else {}
        await self._save(
            _StoredProfiles(installed, slots, tuple(slots), chosen.security_profile if chosen is not None else 0)
        )

    def attempt_slots(self, begin_with: int | None = None) -> Iterator[int]:
        """Yield the slot of each attempt, endlessly (B10.FR.03, B10.FR.04, B10.FR.07, B10.FR.08, B10.FR.09).

        After a boot in the order of priority; after a connection loss in the current order, but beginning with the slot
        that was connected. After all have failed, the last profile that worked is tried equally often, even if it is
        not in the order any more, so that a wrong profile does not lock out the CSMS. Then all slots again.
        Each step is an attempt: it sets `active`, and after each round the station certificate alternates. Ends only
        without any slot.
        """
        if begin_with is not None:
            self._apply_order(begin_with)
        while order := self._slot_order(begin_with):
            for slot in order:
                yield from self._repeat_attempts(slot)
            self._certificates.alternate_station_certificate()  # A02.FR.28
            last_good = self._profiles_in_use.last_good
            if last_good is not None and order != [last_good]:
                yield from self._repeat_attempts(last_good)

    async def note_connected(self, slot: int) -> bool:
        """Record a successful connection with a slot; returns whether the previous one used another profile.

        Stores it as the last profile that worked. With a higher security profile than before, the profiles with a lower
        one are removed (A05.FR.06). Disk errors are only logged.
        """
        self.active = slot
        profile = self._profiles_in_use.slots[slot]
        switched = self._stored.last_good is not None and self._stored.last_good != profile
        raised = profile.security_profile > self.security_profile
        self._profiles_in_use.last_good = slot
        changed = self._changed(security_profile=profile.security_profile, last_good=profile)
        if raised:  # A05.FR.06
            changed.slots = _slots_at_least(profile.security_profile, changed.slots)
            changed.priority = tuple(number for number in changed.priority if number in changed.slots)
            self._profiles_in_use.slots = _slots_at_least(profile.security_profile, self._profiles_in_use.slots)
            self._profiles_in_use.priority = tuple(
                number for number in self._profiles_in_use.priority if number in self._profiles_in_use.slots
            )
            if not changed.priority and slot in changed.slots:  # it was tried only as the last profile that worked
                changed.priority = (slot,)
        if changed != self._stored:
            before, self._stored = self._stored, changed
            if before.security_profile != profile.security_profile:
                await self._report_change(
                    f"security profile changed to {profile.security_profile} (was {before.security_profile})"
                )
            try:
                await self._save(changed)
            except StorageError as error:
                _log.error("the network profile of the successful connection is not stored: %s", error)
        self.changed.publish(None)
        return switched

    def _apply_order(self, connected: int) -> None:
        """Apply the stored order after a connection loss (B10.FR.03, errata 2.13).

        The profiles of the connected slot and of the last one that worked are only replaced at boot (B09), unless they
        were stored to be used at the next connection: then the one that worked is tried when all have failed.
        """
        in_use = self._profiles_in_use
        if in_use.last_good in self._replaced:
            in_use.slots[_FORMER] = in_use.slots[in_use.last_good]
            in_use.last_good = _FORMER
        for slot in self._replaced & self._stored.slots.keys():
            in_use.slots[slot] = self._stored.slots[slot]
        self._replaced.clear()
        retained = {slot: profile for slot, profile in in_use.slots.items() if slot in {connected, in_use.last_good}}
        in_use.priority, in_use.slots = self._stored.priority, {**self._stored.slots, **retained}

    def _slot_order(self, begin_with: int | None) -> list[int]:
        in_use = self._profiles_in_use
        priority = [slot for slot in in_use.priority if slot in in_use.slots]
        if not priority and in_use.last_good is not None:
            priority = [in_use.last_good]
        if begin_with is None or begin_with not in in_use.slots:
            return priority
        return [begin_with, *(slot for slot in priority if slot != begin_with)]

    def _repeat_attempts(self, slot: int) -> Iterator[int]:
        """Yield a slot once per configured attempt while it has a profile; sets `active`, publishes `changed`."""
        for _ in range(self._settings.network_profile_connection_attempts):
            if slot in self._profiles_in_use.slots:
                self.active = slot
                self.changed.publish(None)
                yield slot

    def _parse_priority(self, text: str) -> tuple[int, ...]:
        words = [word.strip() for word in text.split(",")]
        slots_by_text = {str(slot): slot for slot in SLOTS}
        if unknown := [word for word in words if word not in slots_by_text]:
            raise ValueError(f"{unknown[0][:20]!r} is not one of {', '.join(slots_by_text)}")
        if len(set(words)) != len(words):
            raise ValueError("contains a slot twice")
        if empty := [word for word in words if slots_by_text[word] not in self._stored.slots]:  # B10.FR.02
            raise RejectedValueError("InvalidNetworkConf", f"contains slot {empty[0]}, which is empty")
        return tuple(slots_by_text[word] for word in words)

    async def _require_usable(self, priority: tuple[int, ...]) -> None:
        for slot in priority:
            profile = self._stored.slots[slot]
            if self._is_downgrade(profile):  # A05.FR.09, A05.FR.10
                raise RejectedValueError(
                    "NoSecurityDowngrade",
                    f"contains slot {slot}, whose security profile is lower than {self.security_profile}",
                )
            problem = profile_error(profile)  # B09.FR.34: one that was set variable by variable
            if problem is None:
                problem = await self._missing_requirement(profile)  # A05.FR.02, A05.FR.03
            if problem is not None:
                raise RejectedValueError("InvalidNetworkConf", f"contains slot {slot}: {problem}")

    def _is_downgrade(self, profile: NetworkProfile) -> bool:
        """Whether a profile is a forbidden downgrade (A00.FR.005); AllowSecurityProfileDowngrade permits 3 to 2."""
        requested, used = profile.security_profile, self.security_profile
        allowed = self._settings.allow_security_profile_downgrade and (used, requested) == (3, 2)  # A05.FR.08
        return requested < used and not allowed

    async def _missing_requirement(self, profile: NetworkProfile) -> str | None:
        """The missing credential or certificate for a profile; None if complete."""
        requested = profile.security_profile
        if profile.uses_password and profile.password_key is None and self._credentials.password is None:
            return "BasicAuthPassword is not set"
        if requested <= self.security_profile:
            return None
        if requested >= 2 and not await self._certificates.has_valid_root():  # A05.FR.02
            return "no valid CSMSRootCertificate is installed"
        if (
            profile.uses_client_certificate and not await self._certificates.has_valid_station_certificate()
        ):  # A05.FR.03
            return "no valid ChargingStationCertificate is installed"
        return None

    def _changed(
        self,
        *,
        slots: dict[int, NetworkProfile] | None = None,
        priority: tuple[int, ...] | None = None,
        security_profile: int | None = None,
        last_good: NetworkProfile | None = None,
    ) -> _StoredProfiles:
        profiles = self._stored
        return _StoredProfiles(
            profiles.installed,
            slots if slots is not None else profiles.slots,
            priority if priority is not None else profiles.priority,
            security_profile if security_profile is not None else profiles.security_profile,
            last_good if last_good is not None else profiles.last_good,
        )

    async def _save(self, profiles: _StoredProfiles) -> None:
        await save_fact(self._database, _FACT, profiles.to_text())
        self._stored = profiles
        self.changed.publish(None)

    async def _chosen_profiles(
        self, profiles: _StoredProfiles | None, installed: NetworkProfile | None, *, allows_downgrade: bool
    ) -> _StoredProfiles:
        """The profiles to use after a start: the stored ones, or that of the installation file if it has changed."""
        if profiles is None or installed is None:
            return _only_installed(installed)
        if (unchanged := _with_same_csms(profiles, installed)) is not None:
            return unchanged
        file_description = f"{installed.url}, security profile {installed.security_profile}"
        slots = ", ".join(map(str, sorted(profiles.slots)))
        stored_description = (
            f"the stored network profiles (slots {slots}; security profile {profiles.security_profile})"
        )
        if installed.security_profile >= profiles.security_profile or allows_downgrade:
            await self._report_change(
                f"the installation file has changed to {file_description}, which replaces {stored_description}"
            )
            return _only_installed(installed)
        _log.warning(
            "[csms] of the installation file has changed to %s. It is not used, since the security profile would be"
            " lower: %s stay. To lower it, set csms.allow_security_downgrade = true",
            file_description,
            stored_description,
        )
        await self._report_change(
            f"the installation file has changed to {file_description}, which is not used: {stored_description} stay"
        )
        return profiles

    async def _forget_unused_passwords(self) -> None:
        stored = self._stored
        profiles = [*stored.slots.values(), *self._profiles_in_use.slots.values(), stored.last_good]
        await self._passwords.keep_only(
            {profile.password_key for profile in profiles if profile is not None and profile.password_key is not None}
        )

    async def _report_change(self, change: str) -> None:
        await self._security_events.report(SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, change)


def _slots_at_least(security_profile: int, slots: Mapping[int, NetworkProfile]) -> dict[int, NetworkProfile]:
    return {slot: profile for slot, profile in slots.items() if profile.security_profile >= security_profile}


def _profiles_after_boot(profiles: _StoredProfiles) -> _ProfilesInUse:
    """The profiles in use after a boot, from the stored ones."""
    in_use = _ProfilesInUse(dict(profiles.slots), profiles.priority)
    if profiles.last_good is not None:
        in_use.last_good = next(
            (slot for slot, profile in profiles.slots.items() if profile == profiles.last_good), _FORMER
        )
        in_use.slots.setdefault(in_use.last_good, profiles.last_good)
    return in_use


def _with_same_csms(profiles: _StoredProfiles, installed: NetworkProfile) -> _StoredProfiles | None:
    """The stored profiles with the other fields of the installation file's; None: the file has another CSMS since."""
    before = profiles.installed
    if before is None or (before.url, before.security_profile) != (installed.url, installed.security_profile):
        return None
    slots = {slot: installed if profile == before else profile for slot, profile in profiles.slots.items()}
    last_good = installed if profiles.last_good == before else profiles.last_good
    return replace(profiles, installed=installed, slots=slots, last_good=last_good)


def _only_installed(installed: NetworkProfile | None) -> _StoredProfiles:
    """The profile of the installation file as the only one."""
    slots = {INSTALLED_SLOT: installed} if installed is not None else {}
    return _StoredProfiles(installed, slots, tuple(slots), installed.security_profile if installed is not None else 0)


def _from_text(text: str) -> _StoredProfiles:
    fields = json.loads(text)
    last_good = fields["last_good"]
    return _StoredProfiles(
        _profile_from_dict(fields["installed"]),
        {int(slot): _profile_from_dict(profile) for slot, profile in fields["slots"].items()},
        tuple(fields["priority"]),
        fields["security_profile"],
        _profile_from_dict(last_good) if last_good is not None else None,
    )
