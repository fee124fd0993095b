"""Carries out firmware updates: download, verification, installation when idle, activation by a reboot (L01, L02)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal
from foundation.supervision import result_or_exception, run_together
from foundation.waiting import Flag
from station.charging.evse_state import WithholdReason
from station.core.hardware.updater import ActivationResult, ImageError, InstallError
from station.core.model import BootReason
from station.maintenance.firmware import images
from station.maintenance.firmware.context import FirmwareUpdateContext
from station.maintenance.firmware.firmware_settings import FirmwareSettings
from station.maintenance.firmware.orders import (
    OrderRules,
    UpdateOrderResult,
    UpdateOrderStatus,
    check_order,
    decode_signature,
    rejected,
)
from station.maintenance.firmware.state import (
    FirmwareStatus,
    FirmwareUpdate,
    UpdateOrder,
    UpdateStep,
    cancelable,
    next_step,
)
from station.maintenance.firmware.trial import FirmwareTrial
from station.security.file_transfer.file_transfer import TransferError, TransferFailure, download
from station.security.security_events import SecurityEventType

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from station.charging.evse import Evse
    from station.maintenance.firmware.record import FirmwareRecord
    from station.security.security_events import SecurityEvents

_log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 60.0
"""longest sleep before a date, since the wall clock may be corrected meanwhile"""
_ANSWER_TIMEOUT_S = 10.0
"""an update starts after its response was sent, or after this time at the latest"""
_REPORT_TIMEOUT_S = 30.0
"""longest wait of a reboot for pending statuses and events to reach the CSMS"""
_REASON_REPORT_TIMEOUT_S = 5.0
"""longest wait for pending statuses to reach the CSMS before EVSEs go out of service, so that it knows the reason"""
_PAUSE_OUT_OF_SERVICE_S = 2.0
"""pause before the installation, for EVSEs to go out of service and the CSMS to be notified"""
_MACHINE_REBOOT_TIMEOUT_S = 600.0
"""longest wait for a reboot by the machine; after it the activation has failed"""


class FirmwareUpdates:
    """Carries out firmware updates of the station, one at a time, ordered by the CSMS or locally (L01, L02)."""

    def __init__(
        self,
        record: FirmwareRecord,
        evses: Mapping[int, Evse],
        security_events: SecurityEvents,
        context: FirmwareUpdateContext,
        settings: FirmwareSettings,
        clock: Clock,
        auxiliary: AuxiliaryCalls,
    ) -> None:
        self.record = record
        self._evses = evses
        self._security_events = security_events
        self._context = context
        self._settings = settings
        self._clock = clock
        self._auxiliary = auxiliary
        self.trial = FirmwareTrial(context.updater, evses.values(), context.folder / "faults-before.json", clock)
        self._order_lock = asyncio.Lock()  # no update starts while an order is processed
        self._running: asyncio.Task[None] | None = None
        self._changed = ChangeSignal()
        self._order_answered = Flag()
        self._order_answered.set()
        self._holds_evses = False
        self._pausing = False
        self.booted_new_firmware = False
        """whether this boot was to activate new firmware and has a result: it runs, is on trial, or was rolled back"""

    @property
    def version(self) -> str | None:
        """The version of the firmware that an update has installed; None if none was."""
        return self._context.updater.version

    @property
    def uploaded_image(self) -> Path:
        """Path of an image uploaded locally, until an order takes it; the file may not exist."""
        return self._context.folder / "brought"

    @property
    def allows_unsigned(self) -> bool:
        """Whether the installation file allows images without a signature."""
        return self._context.allow_unsigned

    @property
    def busy(self) -> bool:
        """Whether an OnIdle reset must wait for the update (B11, errata 2025-09 2.14).

        A scheduled download or installation and a pause before the next download attempt do not count: they may last
        days, and the update continues after a reset.
        """
        update = self.record.update
        if update is None or update.finished or self._pausing:
            return False
        return update.status not in (None, FirmwareStatus.DOWNLOAD_SCHEDULED, FirmwareStatus.INSTALL_SCHEDULED)

    @property
    def reset_refusal_code(self) -> str | None:
        """The reasonCode for rejecting a reset now (B11.FR.06), or None."""
        update = self.record.update
        installing = update is not None and update.status in _INSTALLING
        return "FwUpdateInProgress" if installing else None

    async def load(self) -> None:
        """Load the update in progress, and take the EVSEs out of service if it was installing.

        Called before EVSEs start; `run` continues the update.

        Raises:
            StorageError: the disk cannot be read.
        """
        await self.record.load()
        update = self.record.update
        activated = update is not None and update.status is FirmwareStatus.INSTALL_REBOOTING
        if activated:
            self.booted_new_firmware = await self._context.updater.activation() is not ActivationResult.NOT_YET
        await self.trial.load()
        installing = update is not None and update.status in _INSTALLING and not self.booted_new_firmware
        if installing or not self.trial.decided.is_set():  # on trial, whatever the record says
            self._take_out_of_service()

    # Orders

    async def order(self, order: UpdateOrder) -> UpdateOrderResult:
        """Check and store the order of an update, or reject it; an accepted one cancels the current update (L01.FR.24).

        `run` carries it out once the follow-up of the result was called, or after 10 s. Nothing is downloaded yet.

        Raises:
            StorageError: not saved, and not accepted.
        """
        with self._clock.outside_wait():  # in a thread: loads a library, and calculates
            refusal = await asyncio.to_thread(self._refusal_of, order)
        if refusal is not None:
            return refusal
        async with self._order_lock:
            last = self.record.update
            ongoing = last is not None and not last.finished
            if last is not None and not cancelable(last, installation=self._context.updater.may_interrupt):
                return rejected("FwUpdateInProgress", "the current update cannot be cancelled any more")  # L01.FR.27
            await self._cancel_update()
            self._order_answered.clear()
            await self.record.begin(order)
            self._changed.notify()
        answer = UpdateOrderStatus.ACCEPTED_CANCELED if ongoing else UpdateOrderStatus.ACCEPTED
        _log.info("firmware update, request %s: %s", order.request_id, answer)
        return UpdateOrderResult(answer, follow_up=self._allow_start)

    def _refusal_of(self, order: UpdateOrder) -> UpdateOrderResult | None:
        context = self._context
        rules = OrderRules(context.allow_unsigned, context.manufacturer_roots(), self._clock.now())
        return check_order(order, rules, self._security_events)

    async def _allow_start(self) -> None:
        """Let `run` start the ordered update: the response to the order was sent."""
        self._order_answered.set()

    async def _cancel_update(self) -> None:
        """Cancel the work on the current update, and release its EVSEs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._release_evses()

    # Work

    async def run(self) -> None:
        """Carry out ordered and interrupted updates, one after another, until cancelled; a reboot may end it."""
        allows_sessions = self._settings.changed(FirmwareSettings.allow_new_sessions_pending_firmware_update)
        unsubscribe = self._auxiliary.subscribe(allows_sessions, lambda _: self._changed.notify())
        try:
            watchers = {f"firmware-{evse.id}": self._watch_evse(evse) for evse in self._evses.values()}
            await run_together({**watchers, "firmware": self._run_updates()})
        finally:
            unsubscribe()

    async def _run_updates(self) -> None:
        """Decide the trial of the running firmware, then carry out updates, until cancelled."""
        if self.trial.decided.is_set():
            await self.trial.keep_running_firmware()
        else:
            await self.trial.decide()
            self._release_evses()
        await self._process_updates()

    async def _watch_evse(self, evse: Evse) -> None:
        """L01.FR.07: take an EVSE out of service that becomes idle while an installation waits."""
        change_count = evse.changed.count
        while True:
            change_count = await evse.changed.wait(change_count)
            if self._holds_evses:
                self._take_out_of_service()
            self._changed.notify()

    async def _process_updates(self) -> None:
        """Carry out each stored update that is not finished."""
        while True:
            change_count = self._changed.count
            async with asyncio.TaskGroup() as group, self._order_lock:
                update = self.record.update
                if update is not None and not update.finished:
                    self._running = group.create_task(self._carry_out(update), name="firmware-update")
            if self.record.update is None or self.record.update.finished:
                await self._changed.wait(change_count)

    async def _carry_out(self, update: FirmwareUpdate) -> None:
        """Carry out the remaining steps of an update, up to its end or the reboot that activates it."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(_ANSWER_TIMEOUT_S):
                await self._order_answered.wait()
        image = self._context.folder / f"image-{update.id}"
        steps: Mapping[UpdateStep, Callable[[FirmwareUpdate, Path], Awaitable[FirmwareStatus]]] = {
            UpdateStep.DOWNLOAD: self._download,
            UpdateStep.VERIFY: self._verify,
            UpdateStep.INSTALL: self._install,
            UpdateStep.ACTIVATE: self._activate,
        }
        while not update.finished:
            status = await steps[next_step(update)](update, image)
            if status.final:
                await asyncio.to_thread(images.discard, self._context.folder)  # first: a power cut leaves none
            update = await self.record.store_status(update, status)
        self._release_evses()

    async def _download(self, update: FirmwareUpdate, image: Path) -> FirmwareStatus:
        """Download the image (L01.FR.13, L01.FR.30). Transactions are not affected."""
        order = update.order
        if self._clock.now() < order.retrieve_at:
            update = await self.record.store_status(update, FirmwareStatus.DOWNLOAD_SCHEDULED)
            await self._sleep_until(order.retrieve_at)
        await self.record.store_status(update, FirmwareStatus.DOWNLOADING)
        try:
            await asyncio.to_thread(images.clear, self._context.folder, image)
            if order.location is not None:
                await asyncio.to_thread(images.discard_uploaded, self.uploaded_image)
        except OSError as error:
            _log.error("the image directory cannot be prepared: %s", error.strerror)
            return FirmwareStatus.DOWNLOAD_FAILED
        if order.location is None:
            return await asyncio.to_thread(images.move_uploaded, self.uploaded_image, image)
        for attempt in range(1, order.attempts + 1):
            if attempt > 1:
                self._pausing = True
                try:
                    await self._clock.sleep(order.pause_s)
                finally:
                    self._pausing = False
            failure = await result_or_exception(
                download(
                    order.location,
                    image,
                    max_bytes=self._settings.firmware_most_bytes,
                    clock=self._clock,
                    tls=self._context.trust,
                )
            )
            if failure is None:
                return FirmwareStatus.DOWNLOADED
            expected = isinstance(failure, TransferError)  # any other must not stop the station
            text, trace = "firmware image cannot be downloaded (attempt %d of %d): %s", None if expected else failure
            _log.warning(text, attempt, order.attempts, failure, exc_info=trace)
            if expected and failure.failure in _PERMANENT_FAILURES:
                break
        return FirmwareStatus.DOWNLOAD_FAILED

    async def _verify(self, update: FirmwareUpdate, image: Path) -> FirmwareStatus:
        """Verify the signature (L01.FR.03, L01.FR.04); a missing one is invalid too (L01, scenario 5)."""
        order, problem = update.order, "the firmware image has no signature"
        if order.signature is not None and order.signing_certificate is not None:
            signature, pem = decode_signature(order.signature), order.signing_certificate
            try:
                with self._clock.outside_wait():
                    if await asyncio.to_thread(_is_signed, image, signature, pem):
                        return FirmwareStatus.SIGNATURE_VERIFIED
                problem = "the signature does not match the firmware image"
            except OSError as error:
                problem = f"the firmware image cannot be read: {error.strerror}"
        await self._security_events.report(SecurityEventType.INVALID_FIRMWARE_SIGNATURE, problem)
        return FirmwareStatus.INVALID_SIGNATURE

    async def _install(self, update: FirmwareUpdate, image: Path) -> FirmwareStatus:
        """Install the image (L01.FR.05, L01.FR.06, L01.FR.16, L01.FR.29, L01.FR.34)."""
        order = update.order
        if order.install_at is not None and self._clock.now() < order.install_at:
            update = await self.record.store_status(update, FirmwareStatus.INSTALL_SCHEDULED)
            await self._sleep_until(order.install_at)
        if update.status is not FirmwareStatus.INSTALLING:
            await self._wait_reported(_REASON_REPORT_TIMEOUT_S)
            update = await self._wait_for_idle(update)
            self._take_out_of_service()
            await self._clock.sleep(_PAUSE_OUT_OF_SERVICE_S)
            await self.record.store_status(update, FirmwareStatus.INSTALLING)
        try:
            await self._context.updater.install(image)
        except ImageError as error:
            _log.error("the new firmware cannot be installed: %s", error)
            return FirmwareStatus.INSTALL_VERIFICATION_FAILED
        except InstallError as error:
            _log.error("the new firmware cannot be installed: %s", error)
            return FirmwareStatus.INSTALLATION_FAILED
        return FirmwareStatus.INSTALL_REBOOTING

    async def _activate(self, *_: object) -> FirmwareStatus:
        """Activate the firmware, or report the result of the activation (L01.FR.28, L01.FR.31, L01.FR.32 (a))."""
        updater = self._context.updater
        try:
            match await updater.activation():
                case ActivationResult.RUNNING | ActivationResult.ON_TRIAL:  # its trial is decided before this
                    pass
                case ActivationResult.ROLLED_BACK:  # its trial boot is a verification of its own (L01.FR.29)
                    _log.error("the new firmware did not start; the previous one is running")
                    return FirmwareStatus.INSTALL_VERIFICATION_FAILED
                case ActivationResult.NOT_YET:
                    await asyncio.to_thread(images.discard, self._context.folder)  # it is installed
                    await self._wait_reported(_REPORT_TIMEOUT_S)  # L01.FR.15
                    if self._context.online():
                        await self._context.outbox.wait_delivered(within_s=_REPORT_TIMEOUT_S)
                    await self._store_present_faults()
                    await updater.activate()
                    return await self._reboot()
        except InstallError as error:
            _log.error("the new firmware cannot be activated: %s", error)
            return FirmwareStatus.INSTALLATION_FAILED
        await self._security_events.report(SecurityEventType.FIRMWARE_UPDATED, self.version or "")
        return FirmwareStatus.INSTALLED

    async def _store_present_faults(self) -> None:
        """Let the self-test of the new firmware know which faults are older; without that, it fails with each fault."""
        try:
            await asyncio.to_thread(self.trial.store_present_faults)
        except OSError as error:
            _log.error("the faults before the update cannot be stored: %s", error.strerror)

    async def _reboot(self) -> FirmwareStatus:
        """Reboot the machine, or wait for it to reboot itself; returns only if that does not happen: a failure.

        Raises:
            InstallError: nor can the activation be taken back.
        """
        if not self._context.updater.reboots_by_itself:
            self._context.reboot(BootReason.FIRMWARE_UPDATE)
        await self._clock.sleep(_MACHINE_REBOOT_TIMEOUT_S)
        _log.error("the machine did not reboot to activate the new firmware")
        await self._context.updater.take_back()
        return FirmwareStatus.INSTALLATION_FAILED

    async def _wait_reported(self, within_s: float) -> None:
        """Wait until all statuses are reported to the CSMS, at most `within_s` seconds; not while offline."""
        if self._context.online():
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(within_s):
                    await self.record.wait_all_reported()

    async def _wait_for_idle(self, update: FirmwareUpdate) -> FirmwareUpdate:
        """Wait until no transaction is running or about to start (L01.FR.06, L01.FR.07, L01.FR.33, L01.FR.34).

        Also wait for a restart that would interrupt the installation (B11.FR.06).
        """
        change_count = self._changed.count
        while self._context.restarting() or any(_in_use(evse) for evse in self._evses.values()):
            if update.status is not FirmwareStatus.INSTALL_SCHEDULED:
                update = await self.record.store_status(update, FirmwareStatus.INSTALL_SCHEDULED)
                await self._wait_reported(_REASON_REPORT_TIMEOUT_S)
                continue  # the state may have changed meanwhile
            if self._settings.allow_new_sessions_pending_firmware_update:
                self._release_evses()
            else:
                self._take_out_of_service()
            change_count = await self._changed.wait(change_count)
        return update

    async def _sleep_until(self, moment: datetime) -> None:
        while (left_s := (moment - self._clock.now()).total_seconds()) > 0.0:
            await self._clock.sleep(min(left_s, _LONGEST_SLEEP_S))

    # EVSEs

    def _take_out_of_service(self) -> None:
        """Take every idle EVSE out of service."""
        self._holds_evses = True
        for evse in self._evses.values():
            if not _in_use(evse):
                evse.set_withheld(WithholdReason.FIRMWARE, True)

    def _release_evses(self) -> None:
        """Put the EVSEs into service again, unless the running firmware is still on trial."""
        if self._holds_evses and self.trial.decided.is_set():
            self._holds_evses = False
            for evse in self._evses.values():
                evse.set_withheld(WithholdReason.FIRMWARE, False)


_INSTALLING = frozenset({FirmwareStatus.INSTALLING, FirmwareStatus.INSTALL_REBOOTING})
_PERMANENT_FAILURES = frozenset(
    {TransferFailure.BAD_LOCATION, TransferFailure.TOO_LARGE, TransferFailure.NOT_SUPPORTED}
)
"""failures for which a retry is useless"""


def _in_use(evse: Evse) -> bool:
    return evse.state.transaction is not None or evse.state.authorization is not None


def _is_signed(image: Path, signature: bytes, pem: str) -> bool:
    """Return whether a signature over the whole file is by the key of the certificate. Blocks: call it in a thread."""
    from station.maintenance.firmware.signature import is_signed  # late: cryptography

    return is_signed(image, signature, pem)
