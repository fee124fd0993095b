"""Routes for uploading and installing a firmware image, signed like one that the CSMS orders."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import HTTPException, Request
from pydantic import Field
from starlette.requests import ClientDisconnect
from typing_extensions import TypedDict

from foundation.clock import Clock
from station.configuration.installation_file import Configuration
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.maintenance.firmware.firmware import FirmwareUpdates
from station.maintenance.firmware.firmware_settings import FirmwareSettings
from station.maintenance.firmware.image_upload import ImageTooLargeError, UploadSupersededError, receive_image
from station.maintenance.firmware.orders import UpdateOrderStatus
from station.maintenance.firmware.state import FirmwareStatus, UpdateOrder
from station.security.access.accounts import Role

router = api_router("firmware")

_Firmware = Annotated[FirmwareUpdates, part(FirmwareUpdates)]
_Pem = Annotated[str, Field(max_length=5_500)]
_Base64 = Annotated[str, Field(max_length=800)]


class ImageSignature(Command):
    """Body of POST /api/firmware: the signature of the uploaded image; needed unless unsigned images are allowed."""

    model_config = example(
        signing_certificate="-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n", signature="MEUCIQDx"
    )

    signing_certificate: _Pem | None = None
    """certificate of the signer as PEM, issued by the manufacturer's root certificate; null: the image is not signed"""
    signature: _Base64 | None = None
    """signature over the whole image, base64; null: the image is not signed"""


class FirmwareUpdateShown(TypedDict):
    """The status of the latest firmware update, running or finished, and who ordered it."""

    status: FirmwareStatus | None
    """how far it has come (FirmwareStatusEnumType); null: ordered, no status yet"""
    finished: bool
    """whether the update has ended, successfully or not"""
    ordered_by: Literal["station", "csms"]
    """who ordered it: `station`: a user of this API"""


class FirmwareShown(TypedDict):
    """Response of GET /api/firmware: the running firmware, and the latest update."""

    version: str | None
    """the version that runs now; null: not known"""
    allow_unsigned: bool
    """whether images without a signature are accepted"""
    most_bytes: int
    """the largest accepted image, in bytes"""
    brought: bool
    """whether an uploaded image waits to be installed"""
    update: FirmwareUpdateShown | None
    """the latest update; null: there was none"""


class ImageStored(TypedDict):
    """Response of PUT /api/firmware/image: the image is stored, not installed."""

    accepted: Literal[True]
    """always true: the request was accepted"""
    bytes: int
    """number of bytes of the stored image"""


@router.get("/api/firmware", dependencies=[require_role(Role.SERVICE)], summary="Read the firmware and its last update")
async def read_firmware(
    firmware: _Firmware,
    settings: Annotated[FirmwareSettings, part(FirmwareSettings)],
    configuration: Annotated[Configuration, part(Configuration)],
) -> FirmwareShown:
    """Returns the running version, whether an uploaded image waits, and the state of the latest update."""
    update = firmware.record.update
    return {
        "version": firmware.version or configuration.station.firmware_version,
        "allow_unsigned": firmware.allows_unsigned,
        "most_bytes": settings.firmware_most_bytes,
        "brought": firmware.uploaded_image.exists(),
        "update": None
        if update is None
        else {
            "status": update.status,
            "finished": update.finished,
            "ordered_by": "station" if update.order.request_id is None else "csms",
        },
    }


@router.put(
    "/api/firmware/image",
    status_code=202,
    dependencies=[require_role(Role.SERVICE)],
    responses={
        400: {"description": "The connection ended before the whole image was received."},
        507: {"description": "The image could not be stored, for example because the disk is full."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary"},
                    "examples": {"image": {"summary": "the bytes of the image: curl --data-binary @image.bin"}},
                }
            },
        }
    },
    summary="Store a firmware image",
)
async def store_firmware_image(
    request: Request,
    firmware: _Firmware,
    settings: Annotated[FirmwareSettings, part(FirmwareSettings)],
) -> ImageStored:
    """Store the body as the image to install, in place of an earlier one; installs nothing.

    413 if it is too large; 409 if another upload has replaced it.
    """
    most = settings.firmware_most_bytes
    try:
        return {"accepted": True, "bytes": await receive_image(request.stream(), firmware.uploaded_image, most)}
    except ImageTooLargeError:
        raise HTTPException(413, f"the image is larger than {most} bytes") from None
    except UploadSupersededError:
        raise HTTPException(409, "another upload has replaced this one") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the whole image was received") from None
    except OSError as error:
        raise HTTPException(507, f"the image could not be stored: {error.strerror}") from error


@router.post(
    "/api/firmware",
    status_code=202,
    dependencies=[require_role(Role.SERVICE)],
    summary="Install the stored firmware image",
)
async def install_firmware(
    firmware: _Firmware, clock: Annotated[Clock, part(CLOCK)], body: ImageSignature, settle: Settle
) -> Accepted:
    """Start installing the stored image if its signature is valid; GET /api/firmware then returns the progress.

    409 if no image is stored, the signature is not valid, or an update cannot be cancelled any more.
    """
    if not firmware.uploaded_image.exists():
        raise HTTPException(409, "no image is stored; upload one first: PUT /api/firmware/image")
    order = UpdateOrder(None, None, clock.now(), None, body.signing_certificate or None, body.signature or None)
    verdict = await firmware.order(order)
    if verdict.follow_up is not None:
        await verdict.follow_up()
    if verdict.status not in {UpdateOrderStatus.ACCEPTED, UpdateOrderStatus.ACCEPTED_CANCELED}:
        raise HTTPException(409, verdict.info or verdict.status.value)
    await settle()
    return ACCEPTED
