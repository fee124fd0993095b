"""The register of a simulated meter: it begins like that of a used meter, and keeps what it has counted."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from metering.reading import Phases
from simulator.register import EnergyRegister, used_meter_wh


@pytest.mark.parametrize("phases", [1, 3])
def test_a_meter_begins_at_a_plausible_value_which_is_the_same_for_the_same_seed(phases: int) -> None:
    begins = {used_meter_wh(f"DEV-{number}/1", phases=phases) for number in range(50)}
    assert len(begins) == 50
    assert used_meter_wh("DEV-1/1", phases=phases) in begins
    for phases_wh in begins:
        assert 500_000 <= sum(phases_wh) <= 4_000_000
        assert [energy_wh > 0.0 for energy_wh in phases_wh] == [number < phases for number in range(3)]


def test_what_is_counted_is_kept_beside_what_the_meter_began_with(tmp_path: Path) -> None:
    begin = Phases(1_000.0, 2_000.0, 3_000.0)
    register = EnergyRegister(tmp_path / "register", begin)
    register.add(Phases(1.0, 2.0, 3.0))
    register.close()
    again = EnergyRegister(tmp_path / "register", used_meter_wh("another", phases=3))
    assert (again.energy_wh, again.counted_wh) == (6_006.0, 6.0)
    assert again.energies_wh == Phases(1_001.0, 2_002.0, 3_003.0)
    again.close()


@pytest.mark.parametrize("durable", [True, False])
def test_what_a_durable_register_shows_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, durable: bool
) -> None:
    """A real meter keeps its register over a power cut; one that runs backwards after it is a fault of the station."""
    synchronized: list[bytes] = []
    path = tmp_path / "register"

    def fsync(_: object) -> None:
        synchronized.append(path.read_bytes())

    monkeypatch.setattr("os.fsync", fsync)
    register = EnergyRegister(path, durable=durable)
    register.add(Phases(1.0, 2.0, 3.0))
    register.close()
    first, counted = struct.pack("<5d", 0.0, 0.0, 0.0, 0.0, 0.0), struct.pack("<5d", 6.0, 1.0, 2.0, 3.0, 0.0)
    assert synchronized == ([first, first, counted] if durable else [])  # the first time also its name in the folder


def test_a_file_of_an_older_version_began_at_0(tmp_path: Path) -> None:
    (tmp_path / "register").write_bytes(struct.pack("<4d", 6.0, 1.0, 2.0, 3.0))
    for counted_wh in (6.0, 9.0):
        register = EnergyRegister(tmp_path / "register", used_meter_wh("another", phases=3))
        assert (register.energy_wh, register.counted_wh) == (counted_wh, counted_wh)
        register.add(Phases(1.0, 1.0, 1.0))
        register.close()
