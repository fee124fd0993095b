"""Process 1 of a container reaps the processes that others leave behind, and no child that somebody awaits."""

from __future__ import annotations

import os
import subprocess
import sys

from borne.orphans import OrphanReaper, find_zombies
from tests.patience import wait_until


def _start_and_end() -> subprocess.Popen[bytes]:
    """A child that has ended, and was not awaited."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    wait_until(lambda: process.pid in {zombie.process_id for zombie in find_zombies()})
    return process


def test_a_zombie_that_nobody_awaits_is_reaped_at_the_second_look() -> None:
    process = _start_and_end()
    reaper = OrphanReaper()
    reaper.reap()
    assert process.pid in {zombie.process_id for zombie in find_zombies()}
    reaper.reap()
    assert process.pid not in {zombie.process_id for zombie in find_zombies()}
    assert process.wait() == 0  # as Popen reports a child that is not there any more


def test_a_child_that_is_awaited_between_two_looks_keeps_its_exit_code() -> None:
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"])
    wait_until(lambda: process.pid in {zombie.process_id for zombie in find_zombies()})
    reaper = OrphanReaper()
    reaper.reap()
    assert process.wait() == 7
    reaper.reap()


def test_a_running_child_is_no_zombie() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.pid not in {zombie.process_id for zombie in find_zombies()}
        assert os.getpid() not in {zombie.process_id for zombie in find_zombies()}
        process.communicate(b"\n")
