"""Carries firmware updates out: fetched, verified, installed when nobody charges, activated by a reboot (L01, L02)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal
from foundation.frozen import frozen
from foundation.supervision import result_or_exception
from station.charging.evse_state import WithholdReason
from station.core.hardware.updater import ActivationResult, ImageError, InstallError
from station.core.model import BootReason
from station.core.setting_groups import FirmwareSettings
from station.maintenance.firmware import images
from station.maintenance.firmware.orders import OrderRules, UpdateOrderResult, UpdateOrderStatus, check_order, rejected
from station.maintenance.firmware.signature import decode_signature, is_signed
from station.maintenance.firmware.state import (
    FirmwareStatus,
    FirmwareUpdate,
    UpdateOrder,
    UpdateStep,
    cancelable,
    next_step,
)
from station.security.file_transfer.file_transfer import TransferError, TransferFailure, download
from station.security.security_events import SecurityEventType

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate

    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.core.hardware.updater import Updater
    from station.maintenance.firmware.record import FirmwareRecord
    from station.security.file_transfer.file_transfer import TlsContextFactory
    from station.security.security_events import SecurityEvents
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 60.0
"""the wall clock may be corrected while a date is being waited for"""
_ANSWER_S = 10.0
"""an update begins after its answer has left; should that never leave, after so long"""
_TELL_S = 30.0
"""how long a reboot waits for the CSMS to take what it has to be told before"""
_TELL_SOON_S = 5.0
"""the same for EVSEs that go out of service: the CSMS then knows why"""
_OUT_OF_SERVICE_S = 2.0
"""EVSEs that are taken out of service have so long to obey, and the CSMS to hear of it, before the installation"""
_MACHINE_S = 600.0
"""a machine that was told to reboot and has not done so by then does not do it"""


@frozen
class FirmwareUpdateContext:
    """What an update works on and with."""

    evses: Mapping[int, Evse]
    updater: Updater
    security_events: SecurityEvents
    outbox: Outbox
    folder: Path
    """where images are fetched to"""
    manufacturer_roots: Callable[[], Sequence[Certificate]]
    """the manufacturer's root certificates"""
    trust: TlsContextFactory
    """TLS for the server that the image comes from"""
    reboot: Callable[[BootReason], None]
    restarting: Callable[[], bool]
    """whether the station restarts for another reason right now; an installation begins after that"""
    online: Callable[[], bool]
    """whether the CSMS is connected and has accepted the station, so that it can be sent anything"""
    allow_unsigned: bool = False
    """whether non-secure updates (L02) are carried out; a station that can verify signatures should not"""


class FirmwareUpdates:
    """The firmware of the station, and the update under way."""

    def __init__(
        self, record: FirmwareRecord, context: FirmwareUpdateContext, settings: FirmwareSettings, clock: Clock
    ) -> None:
        self.record = record
        self._context = context
        self._settings = settings
        self._clock = clock
        self._turn = asyncio.Lock()  # nothing begins while an order is being taken
        self._running: asyncio.Task[None] | None = None
        self._changed = ChangeSignal()
        self._answered = asyncio.Event()
        self._answered.set()
        self._withholds = False
        self._pausing = False
        self.booted_new_firmware = False
        """whether this life began because new firmware was activated"""

    @property
    def version(self) -> str | None:
        """The version of the firmware that an update brought; None while it is the one of the installation."""
        return self._context.updater.version

    @property
    def uploaded_image(self) -> Path:
        """Where an image lies that somebody brings to the station, until an order takes it."""
        return self._context.folder / "brought"

    @property
    def allows_unsigned(self) -> bool:
        """Whether an image without a signature is installed."""
        return self._context.allow_unsigned

    @property
    def busy(self) -> bool:
        """Whether something goes on that a reset on idle should wait for (B11, errata 2025-09 2.14).

        The next attempt to download is not: it may be days away, and is made after the reset as well.
        """
        update = self.record.update
        if update is None or update.finished or self._pausing:
            return False
        return update.status not in (None, FirmwareStatus.DOWNLOAD_SCHEDULED, FirmwareStatus.INSTALL_SCHEDULED)

    @property
    def reset_refusal_code(self) -> str | None:
        """The reasonCode for which a reset is refused now (B11.FR.06); None when there is none."""
        update = self.record.update
        installing = update is not None and update.status in _INSTALLING
        return "FwUpdateInProgress" if installing else None

    async def load(self) -> None:
        """Take up what the last life left; before anything else, since an EVSE may have to stay out of service.

        Raises:
            StorageError: the disk cannot be read.
        """
        await self.record.load()
        update = self.record.update
        if update is not None and update.status is FirmwareStatus.INSTALL_REBOOTING:
            self.booted_new_firmware = await self._context.updater.activation() is not ActivationResult.NOT_YET
        if update is not None and update.status in _INSTALLING and not self.booted_new_firmware:
            self._take_out_of_service()

    # Orders

    async def order(self, order: UpdateOrder) -> UpdateOrderResult:
        """Whether this update is carried out; it takes the place of one that is under way (L01.FR.24).

        Raises:
            StorageError: it could not be saved and is not carried out.
        """
        with self._clock.outside_wait():  # in a thread: it loads a library, and calculates
            refusal = await asyncio.to_thread(self._refusal_of, order)
        if refusal is not None:
            return refusal
        async with self._turn:
            last = self.record.update
            ongoing = last is not None and not last.finished
            if last is not None and not cancelable(last, installation=self._context.updater.may_interrupt):
                return rejected("FwUpdateInProgress", "the update under way cannot be cancelled")  # L01.FR.27
            await self._stop()
            self._answered.clear()
            await self.record.begin(order)
            self._changed.notify()
        answer = UpdateOrderStatus.ACCEPTED_CANCELED if ongoing else UpdateOrderStatus.ACCEPTED
        _log.info("firmware update, request %s: %s", order.request_id, answer)
        return UpdateOrderResult(answer, follow_up=self._begin)

    def _refusal_of(self, order: UpdateOrder) -> UpdateOrderResult | None:
        around = self._context
        rules = OrderRules(around.allow_unsigned, around.manufacturer_roots(), self._clock.now())
        return check_order(order, rules, around.security_events)

    async def _begin(self) -> None:
        self._answered.set()

    async def _stop(self) -> None:
        """End what is being done for the update under way; its EVSEs are free again."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._release()

    # Work

    async def run(self) -> None:
        """Carry out what is ordered until cancelled."""
        allows_sessions = self._settings.changed(FirmwareSettings.allow_new_sessions_pending_firmware_update)
        unsubscribe = allows_sessions.subscribe(lambda _: self._changed.notify())
        try:
            async with asyncio.TaskGroup() as group:
                for evse in self._context.evses.values():
                    group.create_task(self._follow(evse), name=f"firmware-{evse.id}")
                group.create_task(self._work(), name="firmware")
        finally:
            unsubscribe()

    async def _follow(self, evse: Evse) -> None:
        """L01.FR.07: an EVSE that becomes free while an installation waits goes out of service too."""
        seen = evse.changed.count
        while True:
            seen = await evse.changed.wait(seen)
            if self._withholds:
                self._take_out_of_service()
            self._changed.notify()

    async def _work(self) -> None:
        while True:
            seen = self._changed.count
            async with asyncio.TaskGroup() as group, self._turn:
                update = self.record.update
                if update is not None and not update.finished:
                    self._running = group.create_task(self._carry_out(update), name="firmware-update")
            if self.record.update is None or self.record.update.finished:
                await self._changed.wait(seen)

    async def _carry_out(self, update: FirmwareUpdate) -> None:
        """From wherever it is to its end, or to the reboot that activates it."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(_ANSWER_S):
                await self._answered.wait()
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
                await asyncio.to_thread(images.discard, self._context.folder)  # so no power cut leaves one
            update = await self.record.enter(update, status)
        self._release()

    async def _download(self, update: FirmwareUpdate, image: Path) -> FirmwareStatus:
        """L01.FR.13, L01.FR.30. Fetching disturbs no transaction, and does not wait for one."""
        order = update.order
        if self._clock.now() < order.retrieve_at:
            update = await self.record.enter(update, FirmwareStatus.DOWNLOAD_SCHEDULED)
            await self._until(order.retrieve_at)
        await self.record.enter(update, FirmwareStatus.DOWNLOADING)
        try:
            await asyncio.to_thread(images.clear, self._context.folder, image)
        except OSError as error:
            _log.error("no place for the image: %s", error.strerror)
            return FirmwareStatus.DOWNLOAD_FAILED
        if order.location is None:
            return await asyncio.to_thread(images.take, self.uploaded_image, image)
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
                    most_bytes=self._settings.firmware_most_bytes,
                    clock=self._clock,
                    tls=self._context.trust,
                )
            )
            if failure is None:
                return FirmwareStatus.DOWNLOADED
            known = isinstance(failure, TransferError)  # a server that nobody foresaw fails a download, not the station
            text, trace = "firmware cannot be fetched (attempt %d of %d): %s", None if known else failure
            _log.warning(text, attempt, order.attempts, failure, exc_info=trace)
            if known and failure.failure in _PERMANENT_FAILURES:
                break
        return FirmwareStatus.DOWNLOAD_FAILED

    async def _verify(self, update: FirmwareUpdate, image: Path) -> FirmwareStatus:
        """L01.FR.03, L01.FR.04: also a signature that is missing entirely is no valid one (L01, scenario 5)."""
        order, why = update.order, "there is no signature"
        if order.signature is not None and order.signing_certificate is not None:
            signature, pem = decode_signature(order.signature), order.signing_certificate
            try:
                with self._clock.outside_wait():
                    if await asyncio.to_thread(is_signed, image, signature, pem):
                        return FirmwareStatus.SIGNATURE_VERIFIED
                why = "the signature is not that of the image"
            except OSError as error:
                why = f"the image cannot be read: {error.strerror}"
        await self._context.security_events.report(SecurityEventType.INVALID_FIRMWARE_SIGNATURE, why)
        return FirmwareStatus.INVALID_SIGNATURE

    async def _install(self, update: FirmwareUpdate, image: Path) -> FirmwareStatus:
        """L01.FR.05, L01.FR.06, L01.FR.16, L01.FR.29, L01.FR.34."""
        order = update.order
        if order.install_at is not None and self._clock.now() < order.install_at:
            update = await self.record.enter(update, FirmwareStatus.INSTALL_SCHEDULED)
            await self._until(order.install_at)
        if update.status is not FirmwareStatus.INSTALLING:
            await self._tell(_TELL_SOON_S)
            update = await self._wait_for_idle(update)
            self._take_out_of_service()
            await self._clock.sleep(_OUT_OF_SERVICE_S)
            await self.record.enter(update, FirmwareStatus.INSTALLING)
        try:
            await self._context.updater.install(image)
        except ImageError as error:
            _log.error("the new firmware is not installed: %s", error)
            return FirmwareStatus.INSTALL_VERIFICATION_FAILED
        except InstallError as error:
            _log.error("the new firmware is not installed: %s", error)
            return FirmwareStatus.INSTALLATION_FAILED
        return FirmwareStatus.INSTALL_REBOOTING

    async def _activate(self, *_: object) -> FirmwareStatus:
        """L01.FR.28, L01.FR.31, L01.FR.32 (a): told by the firmware that boots."""
        match await self._context.updater.activation():
            case ActivationResult.RUNNING:
                await self._context.security_events.report(SecurityEventType.FIRMWARE_UPDATED, self.version or "")
                return FirmwareStatus.INSTALLED
            case ActivationResult.ROLLED_BACK:
                _log.error("the new firmware did not come up")
                return FirmwareStatus.INSTALLATION_FAILED
            case ActivationResult.NOT_YET:
                pass
        await self._tell(_TELL_S)  # L01.FR.15
        if self._context.online():
            await self._context.outbox.delivered(within_s=_TELL_S)
        try:
            await self._context.updater.activate()
        except InstallError as error:
            _log.error("the new firmware is not activated: %s", error)
            return FirmwareStatus.INSTALLATION_FAILED
        if not self._context.updater.reboots_by_itself:
            self._context.reboot(BootReason.FIRMWARE_UPDATE)
        await self._clock.sleep(_MACHINE_S)
        _log.error("the machine does not reboot")
        return FirmwareStatus.INSTALLATION_FAILED

    async def _tell(self, within_s: float) -> None:
        """Wait until the CSMS has heard every status, `within_s` seconds at the most, where it can hear anything."""
        if self._context.online():
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(within_s):
                    await self.record.wait_all_reported()

    async def _wait_for_idle(self, update: FirmwareUpdate) -> FirmwareUpdate:
        """L01.FR.06, L01.FR.07, L01.FR.33, L01.FR.34: until all transactions have ended and none is about to begin.

        Nor does an installation begin that a restart would interrupt (B11.FR.06).
        """
        seen = self._changed.count
        while self._context.restarting() or any(_in_use(evse) for evse in self._context.evses.values()):
            if update.status is not FirmwareStatus.INSTALL_SCHEDULED:
                update = await self.record.enter(update, FirmwareStatus.INSTALL_SCHEDULED)
                await self._tell(_TELL_SOON_S)
                continue  # things may have changed meanwhile
            if self._settings.allow_new_sessions_pending_firmware_update:
                self._release()
            else:
                self._take_out_of_service()
            seen = await self._changed.wait(seen)
        return update

    async def _until(self, moment: datetime) -> None:
        while (left_s := (moment - self._clock.now()).total_seconds()) > 0.0:
            await self._clock.sleep(min(left_s, _LOOK_AGAIN_S))

    # EVSEs

    def _take_out_of_service(self) -> None:
        """Every EVSE that nobody uses is out of service."""
        self._withholds = True
        for evse in self._context.evses.values():
            if not _in_use(evse):
                evse.set_withheld(WithholdReason.FIRMWARE, True)

    def _release(self) -> None:
        if self._withholds:
            self._withholds = False
            for evse in self._context.evses.values():
                evse.set_withheld(WithholdReason.FIRMWARE, False)


_INSTALLING = frozenset({FirmwareStatus.INSTALLING, FirmwareStatus.INSTALL_REBOOTING})
_PERMANENT_FAILURES = frozenset(
    {TransferFailure.BAD_LOCATION, TransferFailure.TOO_LARGE, TransferFailure.NOT_SUPPORTED}
)
"""failures that another attempt would not change"""


def _in_use(evse: Evse) -> bool:
    return evse.state.transaction is not None or evse.state.authorization is not None
