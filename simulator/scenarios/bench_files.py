"""The file server of scenarios: firmware images to download, and a place for the uploads of logs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from simulator.firmware_maker import FirmwareMaker
from station.interfaces.http.connection_limits import connection_limits
from station.interfaces.http.server import WebServer

if TYPE_CHECKING:
    from starlette.requests import Request

    from simulator.firmware_maker import SignedImage

FIRMWARE_VERSION: Final = "9.9.9-scenario"
"""the version of the firmware that the server offers"""
FIRMWARE_NAMES: Final = frozenset({"firmware_signature", "firmware_certificate", "manufacturer_root"})
"""names of values that a scenario with signed firmware uses"""
_HOST: Final = "127.0.0.1"
_LARGEST_UPLOAD: Final = 64 * 1024 * 1024
_MOST_UPLOADS: Final = 1_000


class BenchFiles:
    """The files of all scenarios of a run, each below the identity of its station.

    `firmware` is an image with the right signature, `damaged` one with a wrong one; every other file is missing. An
    upload to `refused` is refused with 403, any other accepted; only name and size of the last one are kept.
    """

    def __init__(self) -> None:
        self.port = 0
        """the TCP port of the server; 0 before `serving`"""
        self._maker: FirmwareMaker | None = None
        self._image: SignedImage | None = None
        self._uploads: dict[str, dict[str, object]] = {}
        """the last upload of each station"""

    def url(self, identity: str) -> str:
        """The URL of the files of a station, without a slash at its end."""
        return f"http://{_HOST}:{self.port}/{identity}"

    def firmware_values(self) -> Mapping[str, str]:
        """The signature of the firmware, the certificate with which it is signed, and the root of that, by name."""
        maker, image = self._signed()
        return {
            "firmware_signature": image.signature,
            "firmware_certificate": maker.signing_certificate.pem,
            "manufacturer_root": maker.root.pem,
        }

    def last_upload(self, identity: str) -> Mapping[str, object] | None:
        """Name and size of the last file that a station has uploaded; None: it has uploaded none."""
        return self._uploads.get(identity)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncGenerator[BenchFiles]:
        """Serve the files on a free port of this machine while the block runs."""
        server = WebServer(_HOST, 0, connection_limits(tls=False))
        server.bind()
        self.port = server.port
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.run(self._application, None), name="files of scenarios")
            try:
                yield self
            finally:
                serving.cancel()

    def _signed(self) -> tuple[FirmwareMaker, SignedImage]:
        if self._maker is None or self._image is None:
            self._maker = FirmwareMaker()
            self._image = self._maker.image(FIRMWARE_VERSION)
        return self._maker, self._image

    def _application(self) -> Starlette:
        path = "/{identity}/{name}"
        return Starlette(
            routes=[
                Route(path, self._download, methods=["GET"]),
                Route(path, self._upload, methods=["PUT", "POST"]),
            ]
        )

    async def _download(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in {"firmware", "damaged"}:
            return PlainTextResponse("there is no such file", 404)
        content = self._signed()[1].content
        return Response(content if name == "firmware" else content + b"damaged", media_type="application/octet-stream")

    async def _upload(self, request: Request) -> Response:
        identity, name = str(request.path_params["identity"]), str(request.path_params["name"])
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > _LARGEST_UPLOAD:
                return PlainTextResponse("the file is too large", 413)
        if name == "refused":
            return PlainTextResponse("uploads to this name are refused", 403)
        if len(self._uploads) < _MOST_UPLOADS or identity in self._uploads:
            self._uploads[identity] = {"name": name, "size": size}
        return Response(status_code=201)
