"""NetworkConfiguration: a slot is written variable by variable, and checked when it is used (OCPP 2.1, B09)."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ocpp_handlers.variables.network_configuration import network_configuration
from ocpp_handlers.variables.variable import Mutability, Variable
from ocpp_handlers.wire.edition import V21
from station.core.rejected_value import RejectedValueError
from station.security.network_profile import NetworkProfile
from tests.network_profile_harness import PASSWORD, PLAIN, SECURED, NetworkProfileHarness, booted

WRITTEN = {
    "OcppCsmsUrl": "ws://two.example/ocpp",
    "OcppInterface": "Any",
    "OcppTransport": "JSON",
    "OcppVersion": "OCPP21",
    "MessageTimeout": "45",
    "SecurityProfile": "1",
    "Identity": "OTHER",
}
OWN_PASSWORD = "own-0123456789abcdef"


class Slots:
    """The variables by slot and name."""

    def __init__(self, harness: NetworkProfileHarness) -> None:
        self.variables = {
            (variable.component.instance, variable.name): variable
            for variable in network_configuration(harness.network)
        }

    def variable(self, slot: int, name: str) -> Variable:
        return self.variables[str(slot), name]

    def values(self, slot: int) -> dict[str, str]:
        """All values of a slot by name."""
        return {name: variable.read() for (instance, name), variable in self.variables.items() if instance == str(slot)}

    async def write(self, slot: int, name: str, text: str) -> None:
        """Write a variable as SetVariables does."""
        write = self.variable(slot, name).access.write
        assert write is not None
        await write(text)


async def refused(slots: Slots, slot: int, name: str, text: str) -> str:
    """The reason code with which a value is refused; nothing of the slot changes."""
    before = slots.values(slot)
    with pytest.raises(RejectedValueError) as error:
        await slots.write(slot, name, text)
    assert slots.values(slot) == before
    return error.value.reason_code


async def test_every_slot_has_all_variables_whether_it_is_used_or_not(tmp_path: Path) -> None:
    """B09.FR.08, B09.FR.10, B09.FR.13."""
    async with booted(tmp_path, replace(PLAIN, versions=("2.1", "2.0.1"))) as harness:
        slots = Slots(harness)
        assert slots.values(1) == {
            "OcppCsmsUrl": "ws://one",
            "OcppInterface": "Wired0",
            "OcppTransport": "JSON",
            "OcppVersion": "OCPP21",
            "MessageTimeout": "30",
            "SecurityProfile": "1",
            "Identity": "",
            "VpnEnabled": "false",
            "ApnEnabled": "false",
            "BasicAuthPassword": "",
        }
        empty = slots.values(1) | {"OcppCsmsUrl": "", "OcppInterface": "Any"}
        assert slots.values(2) == slots.values(3) == empty
        for variable in slots.variables.values():
            assert variable.description.since is V21
            assert variable.mutability == {
                "BasicAuthPassword": Mutability.WRITE_ONLY,
                "VpnEnabled": Mutability.READ_ONLY,
                "ApnEnabled": Mutability.READ_ONLY,
            }.get(variable.name, Mutability.READ_WRITE)


async def test_a_slot_is_written_step_by_step_and_used_after_it_was_added_to_the_order(tmp_path: Path) -> None:
    """B09.FR.18, B09.FR.23, B09.FR.33."""
    async with booted(tmp_path) as harness:
        slots = Slots(harness)
        for name, text in WRITTEN.items():
            await slots.write(2, name, text)
        await slots.write(2, "BasicAuthPassword", OWN_PASSWORD)
        assert {name: text for name, text in slots.values(2).items() if name in WRITTEN} == WRITTEN
        assert slots.values(2)["BasicAuthPassword"] == ""
        await harness.network.set_priority("2,1")
    async with booted(tmp_path) as harness:
        profile = harness.network.profile
        assert profile is not None
        assert (profile.url, profile.message_timeout_s, profile.interface) == ("ws://two.example/ocpp", 45.0, "Any")
        login = harness.network.login(profile)
        assert login.password is not None
        assert (login.identity, login.password.get_secret_value()) == ("OTHER", OWN_PASSWORD)


async def test_what_makes_no_profile_is_found_when_the_slot_is_added_to_the_order(tmp_path: Path) -> None:
    """B09.FR.20, B09.FR.34: as in TC_B_107."""
    async with booted(tmp_path) as harness:
        slots, network = Slots(harness), harness.network
        await slots.write(2, "OcppCsmsUrl", "ws://invalidurl.example.com/")
        await slots.write(2, "SecurityProfile", "2")
        with pytest.raises(RejectedValueError, match="ocppCsmsUrl must begin with wss") as error:
            await network.set_priority("1,2")
        assert (error.value.reason_code, network.priority) == ("InvalidNetworkConf", (1,))
        await slots.write(2, "OcppCsmsUrl", "wss://validurl.example.com:443/")
        await network.set_priority("1,2")
        await network.set_priority("1")
        with pytest.raises(RejectedValueError, match="empty"):
            await network.set_priority("1,3")


@pytest.mark.parametrize(
    ("name", "text"), [("MessageTimeout", "123"), ("MessageTimeout", "-1"), ("OcppCsmsUrl", "x"), ("Identity", "")]
)
async def test_a_slot_in_the_order_cannot_be_written(tmp_path: Path, name: str, text: str) -> None:
    """B09.FR.22; whatever the value is."""
    async with booted(tmp_path) as harness:
        await harness.network.store(2, SECURED)
        await harness.network.set_priority("1,2")
        slots = Slots(harness)
        for slot in (1, 2):
            assert await refused(slots, slot, name, text) == "PriorityNetworkConf"
            assert await refused(slots, slot, "BasicAuthPassword", OWN_PASSWORD) == "PriorityNetworkConf"
        assert (tmp_path / "passwords.json").exists() is False


@pytest.mark.parametrize(
    ("allowed", "active", "asked"), [(False, 3, "2"), (False, 2, "1"), (True, 3, "1"), (True, 2, "1")]
)
async def test_less_security_is_refused(tmp_path: Path, active: int, asked: str, *, allowed: bool) -> None:
    """B09.FR.32, B09.FR.35: as in TC_B_111 and TC_B_113."""
    async with booted(tmp_path, NetworkProfile("wss://one", active, 30.0)) as harness:
        harness.settings.preset(harness.settings.__class__.allow_security_profile_downgrade, allowed)
        slots = Slots(harness)
        await slots.write(2, "OcppCsmsUrl", "wss://two")
        assert await refused(slots, 2, "SecurityProfile", asked) == "NoSecurityDowngrade"
        await harness.network.store(2, NetworkProfile("wss://two", int(asked), 30.0))  # from before it was upgraded
        assert await refused(slots, 2, "SecurityProfile", asked) == "NoSecurityDowngrade", "that it has it is no reason"
        await slots.write(2, "MessageTimeout", "60")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OcppCsmsUrl", "http://two"),
        ("OcppCsmsUrl", "ws://two/" + "x" * 2_000),
        ("OcppInterface", "Wired4"),
        ("OcppTransport", "SOAP"),
        ("OcppVersion", "2.1"),
        ("MessageTimeout", "0"),
        ("MessageTimeout", "1.5"),
        ("SecurityProfile", "4"),
        ("Identity", "a b"),
        ("Identity", "x" * 49),
        ("BasicAuthPassword", "short"),
        ("VpnEnabled", "true"),
    ],
)
async def test_a_value_that_no_profile_has_is_refused(tmp_path: Path, name: str, text: str) -> None:
    async with booted(tmp_path) as harness:
        slots = Slots(harness)
        before = slots.values(2)
        with pytest.raises(ValueError, match=r"must|is read-only"):
            await slots.write(2, name, text)
        assert slots.values(2) == before


async def test_an_identity_with_a_colon_is_no_user_name(tmp_path: Path) -> None:
    """A00.FR.204."""
    async with booted(tmp_path) as harness:
        slots = Slots(harness)
        await slots.write(2, "OcppCsmsUrl", "ws://two")
        await slots.write(2, "Identity", "a:b")
        with pytest.raises(RejectedValueError, match="identity must not contain a colon"):
            await harness.network.set_priority("1,2")


async def test_an_empty_password_removes_that_of_the_slot(tmp_path: Path) -> None:
    """B09.FR.16: the common one is used then."""
    async with booted(tmp_path) as harness:
        slots, network = Slots(harness), harness.network
        await slots.write(2, "OcppCsmsUrl", "ws://two")
        await slots.write(2, "BasicAuthPassword", OWN_PASSWORD)
        await slots.write(2, "BasicAuthPassword", "")
        login = network.login(network.slots[2])
        assert login.password is not None
        assert login.password.get_secret_value() == PASSWORD
        assert OWN_PASSWORD not in (tmp_path / "passwords.json").read_text()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
async def test_passwords_that_cannot_be_read_leave_the_common_one(tmp_path: Path, content: bytes) -> None:
    async with booted(tmp_path) as harness:
        slots = Slots(harness)
        await slots.write(2, "OcppCsmsUrl", "ws://two")
        await slots.write(2, "BasicAuthPassword", OWN_PASSWORD)
    (tmp_path / "passwords.json").write_bytes(content)
    async with booted(tmp_path) as harness:
        login = harness.network.login(harness.network.slots[2])
        assert login.password is not None
        assert login.password.get_secret_value() == PASSWORD
