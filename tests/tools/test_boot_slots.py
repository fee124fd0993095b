"""The script that keeps the slots of a station image: data fit their slot after a power cut at each of its steps.

It runs as in the image, with its files in a folder of the test. What the boot loader does is done here as in grub.cfg.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.project import ROOT

_SCRIPT: Final = ROOT / "deploy/image/root" / "usr/lib/borne/boot-slots"
_STEPS: Final = ("cp", "mv", "rm", "sync", "grub-editenv", "mkdir")
"""the commands of the script that change something"""

pytestmark = pytest.mark.skipif(shutil.which("grub-editenv") is None, reason="grub-editenv is not installed")


class Machine:
    """A machine with two slots: its disk is a folder, and each of its versions writes its own name into the data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slot = "A"
        self.versions = {"A": "old", "B": "new"}
        (folder / "boot").mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "borne").mkdir()
        subprocess.run(["grub-editenv", self.variables_file, "create"], check=True)
        self._set_variables({"ORDER": "A B", "A_OK": "1", "A_TRY": "0", "B_OK": "0", "B_TRY": "0"})
        for name in _STEPS:
            # Counts the steps of a run; the script is killed before the one at which the power shall fail.
            count = (
                'read -r n < "$BORNE_STEPS"; echo $((n + 1)) > "$BORNE_STEPS"; [ $n != $BORNE_CUT_AT ] || kill -9 $PPID'
            )
            only = '[ "$2" = list ] || { ' + count + "; }" if name == "grub-editenv" else count
            wrapper = folder / "bin" / name
            # Nothing here survives by being on a disk.
            command = "true" if name == "sync" else f'exec {shutil.which(name)} "$@"'
            wrapper.write_text(f"#!/bin/sh\n{only}\n{command}\n", encoding="utf-8")
            wrapper.chmod(0o755)
        self.boot()

    @property
    def variables_file(self) -> Path:
        """The variables of the boot loader."""
        return self.folder / "boot" / "grubenv"

    @property
    def data(self) -> str:
        """The version that has written the data last."""
        return (self.folder / "borne" / "version").read_text(encoding="utf-8")

    @property
    def state(self) -> str:
        """The state of the slots; empty: none."""
        file = self.folder / "slots" / "state"
        return file.read_text(encoding="utf-8").strip() if file.exists() else ""

    def call(self, *arguments: str, cut_at: int = 0) -> str | None:
        """Run the script, and return what it printed; None: the power has failed at this step."""
        steps = self.folder / "steps"
        steps.write_text("1\n", encoding="utf-8")
        command_line = self.folder / "cmdline"
        command_line.write_text(f"root=x rauc.slot={self.slot} quiet\n", encoding="utf-8")
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "BORNE_SLOTS": str(self.folder / "slots"),
            "BORNE_DATA": str(self.folder / "borne"),
            "BORNE_DATA_PARTITION": str(self.folder / "partition"),
            "BORNE_GRUBENV": str(self.variables_file),
            "BORNE_COMMAND_LINE": str(command_line),
            "BORNE_UPTIME": str(self.folder / "uptime"),
            "BORNE_SLOTS_LOCK": str(self.folder / "lock"),
            "BORNE_STEPS": str(steps),
            "BORNE_CUT_AT": str(cut_at),
        }
        completed = subprocess.run(
            ["sh", _SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if completed.returncode == -9:
            return None
        assert completed.returncode == 0, completed.stderr
        return completed.stdout.strip()

    def stand_in(self, name: str, command: str) -> None:
        """Put a program in the place of one of the machine's."""
        program = self.folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        program.chmod(0o755)

    def reboots_at_the_end_of_the_trial(
        self,
        *,
        mounted: bool = True,
        bound: bool = True,
        writable: bool = True,
        active: bool = True,
        uptime_s: int = 600,
    ) -> bool:
        """Whether it is rebooted ten minutes after its start, or `uptime_s`.

        `mounted`: the data; `bound`: they are where the station expects them; `writable`: their file system;
        `active`: the station runs.
        """
        orders = self.folder / "orders"
        orders.write_text("", encoding="utf-8")
        (self.folder / "uptime").write_text(f"{uptime_s}.42 1234.56\n", encoding="utf-8")
        (self.folder / "partition").unlink(missing_ok=True)
        if writable:
            (self.folder / "partition").touch()
        self.stand_in(
            "systemctl",
            f'case "$*" in *is-active*var-lib-borne.mount) {str(bound).lower()} ;;'
            f' *is-active*borne.service) {str(active).lower()} ;; *) echo "$@" >> {orders} ;; esac',
        )
        self.stand_in("mountpoint", f'[ "$2" = {self.folder}/partition ] && {str(mounted).lower()}')
        self.call("end-trial")
        return orders.read_text(encoding="utf-8") == "reboot\n"

    def start_boot_loader(self) -> None:
        """Choose a slot as grub.cfg does, and count the attempt."""
        for _ in range(2):
            variables = self._variables()
            for slot in variables["ORDER"].split():
                if variables[f"{slot}_OK"] == "1" and int(variables[f"{slot}_TRY"]) < 3:
                    self._set_variables({f"{slot}_TRY": str(int(variables[f"{slot}_TRY"]) + 1)})
                    self.slot = slot
                    return
            self._set_variables({"A_TRY": "0", "B_TRY": "0"})
        raise AssertionError("no slot is good")

    def boot(self) -> None:
        """Start the machine: boot loader, data, and the program, which migrates its data to its version."""
        self.start_boot_loader()
        self.call("start")
        self.run_program()

    def run_program(self) -> None:
        """The program of the slot that runs: it can read its own data, and those of an older version."""
        file = self.folder / "borne" / "version"
        found = file.read_text(encoding="utf-8") if file.exists() else ""
        assert not (found == "new" and self.versions[self.slot] == "old"), "the old version finds data of the new one"
        file.write_text(self.versions[self.slot], encoding="utf-8")

    def install(self) -> None:
        """What RAUC asks for while it writes the other slot, up to the order to start it."""
        self.call("set-state", "B", "bad")

    def _variables(self) -> dict[str, str]:
        for file in (self.variables_file, self.variables_file.with_suffix(".backup")):
            listed = subprocess.run(["grub-editenv", file, "list"], capture_output=True, text=True, check=False)
            if listed.returncode == 0:
                return dict(line.split("=", 1) for line in listed.stdout.splitlines())
        raise AssertionError("the boot loader cannot read its variables")

    def _set_variables(self, values: dict[str, str]) -> None:
        words = [f"{name}={value}" for name, value in values.items()]
        subprocess.run(["grub-editenv", self.variables_file, "set", *words], check=True)


def each_cut(folder: Path, *arguments: str, prepare: str) -> Iterator[tuple[Machine, bool]]:
    """Machines in which the power fails at each step of a call of the script in turn; in the last one it does not."""
    first = Machine(folder / "prepared")
    prepared(first, prepare)
    cut_at = 0
    done = False
    while not done:
        cut_at += 1
        machine = copy.copy(first)
        machine.folder = folder / str(cut_at)
        shutil.copytree(first.folder, machine.folder)
        done = machine.call(*arguments, cut_at=cut_at) is not None
        yield machine, done
    assert cut_at > 3


def prepared(machine: Machine, stage: str) -> None:
    """Bring a machine to a stage of an update."""
    machine.install()
    if stage == "installed":
        return
    machine.call("set-primary", "B")
    if stage == "chosen":
        return
    machine.start_boot_loader()
    if stage == "third boot":
        machine.start_boot_loader()
        machine.start_boot_loader()
    if stage == "first boot":
        return
    machine.call("start")
    machine.run_program()
    if stage in {"on trial", "third boot"}:
        return
    machine.call("set-state", "B", "bad")
    machine.start_boot_loader()
    assert stage == "given up"


def test_an_update_is_tried_kept_and_its_copy_removed(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    assert (machine.call("get-current"), machine.call("get-primary"), machine.state) == ("A", "A", "")
    prepared(machine, "on trial")
    assert (machine.slot, machine.state, machine.data) == ("B", "trial B", "new")
    assert (tmp_path / "m/slots/data/version").read_text(encoding="utf-8") == "old"
    machine.call("set-state", "B", "good")
    assert (machine.state, machine.call("get-primary")) == ("kept B", "B")
    assert not (tmp_path / "m/slots/data").exists()
    machine.boot()
    assert (machine.slot, machine.state, machine.data) == ("B", "kept B", "new")


def test_a_slot_that_never_keeps_itself_is_left_after_three_attempts_with_the_old_data(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "on trial")
    for _ in range(2):
        machine.boot()
        assert machine.slot == "B"
    machine.boot()
    assert (machine.slot, machine.state, machine.data) == ("A", "fell-back B", "old")
    assert (machine.call("get-primary"), machine.call("get-state", "B")) == ("A", "bad")
    # The records of the rejected version can still be looked at, until the next update.
    assert (tmp_path / "m/borne.rejected/version").read_text(encoding="utf-8") == "new"
    machine.install()
    assert not (tmp_path / "m/borne.rejected").exists()


def test_an_update_after_a_failed_one_forgets_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "given up")
    machine.call("start")
    assert machine.state == "fell-back B"
    machine.install()
    assert machine.state == ""
    machine.call("set-primary", "B")
    machine.boot()
    assert (machine.slot, machine.state, machine.data) == ("B", "trial B", "new")


def test_the_end_of_the_trial_gives_up_only_a_slot_that_is_on_trial(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "on trial")
    machine.call("set-state", "B", "good")
    assert not machine.reboots_at_the_end_of_the_trial()
    other = Machine(tmp_path / "n")
    prepared(other, "on trial")
    assert other.reboots_at_the_end_of_the_trial()
    other.boot()
    assert (other.slot, other.state, other.data) == ("A", "fell-back B", "old")


def test_a_power_cut_while_the_other_slot_is_chosen_leaves_one_of_both(tmp_path: Path) -> None:
    for machine, _ in each_cut(tmp_path, "set-primary", "B", prepare="installed"):
        machine.boot()
        if machine.slot == "B":
            assert (machine.state, machine.data) == ("trial B", "new")
        else:
            assert (machine.state, machine.data) == ("", "old")


@pytest.mark.parametrize(("prepare", "after"), [("first boot", "B"), ("given up", "A")])
def test_a_power_cut_while_the_data_are_copied_or_restored_loses_none(prepare: str, after: str, tmp_path: Path) -> None:
    for machine, _ in each_cut(tmp_path, "start", prepare=prepare):
        machine.boot()  # fails if the old version finds data of the new one
        assert machine.slot == after
        assert machine.data == machine.versions[after]
        assert machine.state == {"B": "trial B", "A": "fell-back B"}[after]


@pytest.mark.parametrize("prepare", ["on trial", "third boot"])
def test_a_power_cut_while_a_slot_is_kept_never_brings_back_old_data(prepare: str, tmp_path: Path) -> None:
    for machine, done in each_cut(tmp_path, "set-state", "B", "good", prepare=prepare):
        kept = machine.state == "kept B"
        assert kept or not done
        machine.boot()
        if machine.slot == "A":  # the third attempt was the last, and was not kept
            assert (prepare, kept, machine.state, machine.data) == ("third boot", False, "fell-back B", "old")
            continue
        assert (machine.slot, machine.data) == ("B", "new")
        assert machine.state == ("kept B" if kept else "trial B")
        assert (machine.folder / "slots/data").exists() is not kept


def test_a_power_cut_while_a_slot_is_given_up_leads_back_in_the_end(tmp_path: Path) -> None:
    for machine, _ in each_cut(tmp_path, "set-state", "B", "bad", prepare="on trial"):
        for _ in range(3):
            machine.boot()
        assert (machine.slot, machine.state, machine.data) == ("A", "fell-back B", "old")


def test_variables_that_a_power_cut_has_spoilt_are_read_from_their_backup(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    machine.call("set-state", "A", "good")
    machine.variables_file.write_bytes(b"")
    assert (machine.call("get-primary"), machine.call("get-state", "B")) == ("A", "bad")
    machine.call("set-state", "A", "good")
    assert machine.variables_file.stat().st_size == 1024


def test_short_power_ups_of_a_kept_slot_are_no_failed_attempts(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "on trial")
    machine.call("set-state", "B", "good")
    for _ in range(7):
        machine.start_boot_loader()
        machine.call("start")  # and the power fails before the program has started
        assert machine.slot == "B"
    machine.boot()
    assert (machine.slot, machine.data) == ("B", "new")


def test_a_rejected_slot_is_not_tried_again_when_the_other_one_has_failed_attempts(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "on trial")
    for _ in range(3):
        machine.boot()
    assert machine.slot == "A"
    for _ in range(7):
        machine.start_boot_loader()
        assert machine.slot == "A"


def test_a_version_without_a_copy_of_the_data_does_not_start(tmp_path: Path) -> None:
    """The disk is full: the previous version goes on with its data."""
    machine = Machine(tmp_path / "m")
    prepared(machine, "first boot")
    copy_command = machine.folder / "bin" / "cp"
    command = copy_command.read_text(encoding="utf-8")
    copy_command.write_text(command.replace("exec ", '[ "$1" != -a ] || exit 1\nexec '), encoding="utf-8")
    with pytest.raises(AssertionError):
        machine.call("start")
    assert machine.data == "old"
    assert not (machine.folder / "slots" / "data.new").exists()
    machine.boot()
    assert (machine.slot, machine.state, machine.data) == ("A", "fell-back B", "old")


def test_a_slot_that_cannot_mount_the_data_is_left_by_attempts_that_the_boot_loader_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "first boot")
    shutil.move(machine.folder / "slots", machine.folder / "unmounted")
    assert machine.reboots_at_the_end_of_the_trial(mounted=False, active=False)
    machine.start_boot_loader()
    machine.start_boot_loader()
    assert machine.slot == "B"
    shutil.rmtree(machine.folder / "slots", ignore_errors=True)
    shutil.move(machine.folder / "unmounted", machine.folder / "slots")  # slot A can mount them
    machine.boot()
    assert (machine.slot, machine.state, machine.data) == ("A", "fell-back B", "old")


def test_power_ups_too_short_for_anything_do_not_bring_back_the_former_version_for_good(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "on trial")
    machine.call("set-state", "B", "good")
    for _ in range(4):
        machine.start_boot_loader()  # and the power fails again
    assert (machine.slot, machine.state) == ("A", "kept B")
    machine.call("start")
    assert not machine.reboots_at_the_end_of_the_trial()  # its station runs
    assert machine.reboots_at_the_end_of_the_trial(active=False)  # it cannot read the records of the other one
    assert not machine.reboots_at_the_end_of_the_trial(active=False, uptime_s=1200)  # somebody has stopped it
    machine.boot()
    assert (machine.slot, machine.state, machine.data) == ("B", "kept B", "new")
    machine.boot()
    assert machine.slot == "B"


@pytest.mark.parametrize("damage", ["mounted", "bound", "writable"])
def test_a_machine_whose_data_cannot_be_used_reboots_unless_its_station_runs(damage: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    for uptime_s in (600, 86_400):
        assert not machine.reboots_at_the_end_of_the_trial(active=False, uptime_s=uptime_s)  # somebody has stopped it
        assert machine.reboots_at_the_end_of_the_trial(active=False, uptime_s=uptime_s, **{damage: False})
        assert not machine.reboots_at_the_end_of_the_trial(uptime_s=uptime_s, **{damage: False})


@pytest.mark.parametrize("stage", ["first boot", "on trial", "kept"])
def test_a_slot_whose_state_cannot_be_read_is_on_trial_until_it_keeps_itself(stage: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, "on trial" if stage == "kept" else stage)
    if stage == "kept":
        machine.call("set-state", "B", "good")
    machine.stand_in(
        "cat", f'grep -qs spoilt "$1" && exit 1; exec {shutil.which("cat")} "$@"'
    )  # a bad block of the disk
    (machine.folder / "slots" / "state").write_text("spoilt", encoding="utf-8")
    machine.slot = "B"
    machine.call("start")
    assert machine.state == "trial B"
    before = machine.folder / "slots" / "data" / "version"
    assert before.read_text(encoding="utf-8") == ("new" if stage == "kept" else "old")
    machine.call("set-state", "B", "good")
    assert machine.state == "kept B"
    assert not before.parent.exists()


def test_a_choice_that_is_taken_back_leaves_no_slot_that_could_start_without_a_trial(tmp_path: Path) -> None:
    for machine, done in each_cut(tmp_path, "set-primary", "A", prepare="chosen"):
        if done:
            assert (machine.state, machine.call("get-state", "B")) == ("", "bad")
        for _ in range(4):
            machine.start_boot_loader()
            assert machine.slot == "A" or machine.state == "chosen B"


@pytest.mark.parametrize("prepare", ["installed", "given up"])
def test_a_boot_partition_that_cannot_be_written_stops_no_start(prepare: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    prepared(machine, prepare)
    before = machine.variables_file.read_bytes()
    machine.stand_in("cp", f'case "$*" in *grubenv*) exit 1 ;; esac\nexec {shutil.which("cp")} "$@"')
    for _ in range(3):
        machine.call("start")
        assert machine.data == "old"
        assert machine.state == ("fell-back B" if prepare == "given up" else "")
    assert machine.variables_file.read_bytes() == before


def test_a_rejected_slot_that_starts_after_all_is_on_trial_again(tmp_path: Path) -> None:
    """As after a fall-back that could not be written to the boot partition."""
    machine = Machine(tmp_path / "m")
    prepared(machine, "given up")
    machine.call("start")
    assert (machine.slot, machine.state) == ("A", "fell-back B")
    machine.slot = "B"
    machine.call("start")
    assert (machine.state, (tmp_path / "m/slots/data/version").read_text(encoding="utf-8")) == ("trial B", "old")
