"""File transfer over HTTP(S): GET with ranges, PUT, and POST of a form."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

import httpx

from station.security.file_transfer.location import (
    CONNECT_S,
    IDLE_S,
    USER_AGENT,
    DownloadFile,
    FileLocation,
    TransferError,
    TransferFailure,
    UploadFile,
    connection_error,
)

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})
"""the only redirects after which a body may be sent again (RFC 9110 15.4)"""
_BOUNDARY = "borne-log-7f1c2b9e4d"
"""a compressed log does not contain it"""

Body = Callable[[], AsyncIterator[bytes]]


async def fetch(location: FileLocation, sink: DownloadFile, tls: ssl.SSLContext) -> None:
    """GET the rest of a file into `sink`, or all of it if the file has changed on the server.

    Raises:
        TransferError: the download failed.
    """
    headers = {"Accept-Encoding": "identity"}
    if sink.size and sink.validator is not None:
        headers |= {"Range": f"bytes={sink.size}-", "If-Range": sink.validator}
    async with _request(location, "GET", headers, tls) as response:
        _check_status(response)
        if response.status_code == 206:
            _check_range(response, sink.size)
        else:
            sink.restart()
        sink.validator = _validator(response)
        sink.expect(_total_bytes(response, sink.size))
        async for chunk in response.aiter_raw():
            await sink.write(chunk)


async def send(location: FileLocation, source: UploadFile, tls: ssl.SSLContext) -> None:
    """PUT a file, or POST it as a form if the server does not support PUT; always from its beginning.

    Raises:
        TransferError: the upload failed; it cannot be resumed.
    """
    location = _with_file_name(location, source.name)
    try:
        status = await _put_file(location, source, tls)
        if status in (405, 501):
            await _post_form(location, source, tls)
    except TransferError as error:
        error.broken_off = False  # HTTP cannot resume an upload
        raise


async def _put_file(location: FileLocation, source: UploadFile, tls: ssl.SSLContext) -> int:
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{source.name}"',
        "Content-Length": str(source.size),
    }
    async with _request(location, "PUT", headers, tls, lambda: _chunks(source), _redirects(source)) as response:
        if response.status_code not in (405, 501):
            _check_status(response)
        return response.status_code


async def _post_form(location: FileLocation, source: UploadFile, tls: ssl.SSLContext) -> None:
    """POST the file as a multipart form (N01.FR.19)."""
    head = (
        f"--{_BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{source.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        "Content-Length": str(len(head) + source.size + len(tail)),
    }

    async def form() -> AsyncIterator[bytes]:
        yield head
        async for chunk in _chunks(source):
            yield chunk
        yield tail

    async with _request(location, "POST", headers, tls, form, _redirects(source)) as response:
        _check_status(response)


def _redirects(source: UploadFile) -> int:
    return _MAX_REDIRECTS if source.follows_redirects else 0


async def _chunks(source: UploadFile) -> AsyncIterator[bytes]:
    source.seek(0)
    while chunk := source.read():
        yield chunk


@contextlib.asynccontextmanager
async def _request(
    location: FileLocation,
    method: str,
    headers: Mapping[str, str],
    tls: ssl.SSLContext,
    body: Body | None = None,
    redirects: int = _MAX_REDIRECTS,
) -> AsyncGenerator[httpx.Response]:
    """Send a request and follow so many redirects; credentials are only sent to the host of the original URL."""
    timeout = httpx.Timeout(IDLE_S, connect=CONNECT_S)
    try:
        async with httpx.AsyncClient(
            timeout=timeout, verify=tls, trust_env=False, headers={"User-Agent": USER_AGENT}
        ) as client:
            url = httpx.URL(location.url)
            for _ in range(redirects + 1):
                request = client.build_request(method, url, headers=headers, content=body() if body else None)
                auth = _credentials(location, url)
                response = await client.send(request, auth=auth, stream=True, follow_redirects=False)
                try:
                    if redirects == 0 and response.status_code in _REDIRECTS:
                        raise TransferError(TransferFailure.REDIRECTED, "the server redirects, which is not allowed")
                    if _is_redirect(response, repeatable=body is None):
                        url = _redirect_target(url, response.headers["location"])
                        continue
                    yield response
                    return
                finally:
                    await response.aclose()
            raise TransferError(TransferFailure.BAD_MESSAGE, f"more than {_MAX_REDIRECTS} redirects")
    except (
        httpx.InvalidURL,
        ValueError,
    ) as error:  # a URL of the CSMS or of a redirect, which httpx takes apart itself
        raise TransferError(TransferFailure.BAD_LOCATION, str(error)) from error
    except (httpx.HTTPError, OSError) as error:
        raise connection_error(error) from error


def _is_redirect(response: httpx.Response, *, repeatable: bool) -> bool:
    statuses = _REDIRECTS if repeatable else _SAME_METHOD
    return response.status_code in statuses and "location" in response.headers


def _redirect_target(url: httpx.URL, target: str) -> httpx.URL:
    redirected = url.join(target)
    if redirected.scheme not in ("http", "https") or (url.scheme == "https" and redirected.scheme == "http"):
        raise TransferError(
            TransferFailure.BAD_MESSAGE,
            f"redirect from {url.scheme} to {redirected.scheme or 'a URL without scheme'} is not allowed",
        )
    return redirected.copy_with(username=None, password=None)


def _credentials(location: FileLocation, url: httpx.URL) -> httpx.BasicAuth | None:
    original = httpx.URL(location.url)
    same_host = (original.scheme, original.host, original.port) == (url.scheme, url.host, url.port)
    if location.user is None or not same_host:
        return None
    return httpx.BasicAuth(location.user, location.password or "")


def _with_file_name(location: FileLocation, name: str) -> FileLocation:
    """The location with the file name appended, if it is a directory."""
    if not location.is_directory:
        return location
    without_query, separator, query = location.url.partition("?")
    url = f"{without_query.rstrip('/')}/{name}{separator}{query}"
    return FileLocation(
        location.scheme, location.host, location.port, location.path, url, location.user, location.password
    )


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_success:
        return
    reason = f"HTTP {status} {response.reason_phrase}".rstrip()
    if status in (401, 403, 407):
        raise TransferError(TransferFailure.PERMISSION_DENIED, reason)
    if status == 400:
        raise TransferError(TransferFailure.BAD_MESSAGE, reason)
    if status in (405, 501):
        raise TransferError(TransferFailure.NOT_SUPPORTED, reason)
    raise TransferError(TransferFailure.FAILED, reason)


def _check_range(response: httpx.Response, offset: int) -> None:
    if not re.match(rf"bytes {offset}-", response.headers.get("content-range", "")):
        raise TransferError(TransferFailure.BAD_MESSAGE, "the server sent another part of the file than requested")


def _validator(response: httpx.Response) -> str | None:
    """The validator for If-Range (RFC 9110 13.1.5): a strong entity tag, or else the date of modification."""
    tag: str = response.headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("last-modified")


def _total_bytes(response: httpx.Response, offset: int) -> int | None:
    length: str = response.headers.get("content-length", "")
    return int(length) + offset if length.isascii() and length.isdigit() else None
