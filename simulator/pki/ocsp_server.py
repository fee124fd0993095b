"""Serves the OCSP responder of a test PKI by HTTP (RFC 6960 appendix A), until interrupted."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.pki.ocsp import OcspResponder

_MOST_BYTES: Final = 4_096
"""longest request; one for a certificate has some 120 bytes"""
_MEDIA_TYPE: Final = "application/ocsp-response"


def ocsp_application(responder: OcspResponder) -> FastAPI:
    """The HTTP application: POST /ocsp with a request, or GET /ocsp/ with one in base64."""
    application = FastAPI(openapi_url=None)

    async def answer_post(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                raise HTTPException(413, f"an OCSP request has at most {_MOST_BYTES} bytes")
        return Response(responder.answer(body), media_type=_MEDIA_TYPE)

    async def answer_get(encoded: str) -> Response:
        try:
            request = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise HTTPException(400, "the OCSP request is not base64") from error
        return Response(responder.answer(request[:_MOST_BYTES]), media_type=_MEDIA_TYPE)

    application.add_api_route("/ocsp", answer_post, methods=["POST"])
    application.add_api_route("/ocsp/{encoded:path}", answer_get, methods=["GET"])
    return application


def serve_ocsp(responder: OcspResponder, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; blocks. Prints where by `say`.

    Raises:
        OSError: it cannot listen on the address.
    """
    config = uvicorn.Config(ocsp_application(responder), host=host, port=port, log_level="warning")
    with config.bind_socket() as listener:
        say(f"OCSP responder at http://{host}:{listener.getsockname()[1]}/ocsp")
        uvicorn.Server(config).run(sockets=[listener])
