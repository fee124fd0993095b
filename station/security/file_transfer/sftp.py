"""File transfer over SFTP (SSH)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import cast

import asyncssh

from station.security.file_transfer.location import (
    CHUNK,
    CONNECT_S,
    IDLE_S,
    DownloadFile,
    FileLocation,
    TransferError,
    TransferFailure,
    UploadFile,
    connection_error,
)

_log = logging.getLogger(__name__)

_BURST = 4 * CHUNK
"""bytes per read; asyncssh requests the blocks of one read concurrently, which hides latency"""
_HOME = "/~/"
_ALIVE_S = IDLE_S / 3


async def fetch(location: FileLocation, sink: DownloadFile) -> None:
    """Download a file over one connection, continuing at the size of `sink`.

    Raises:
        TransferError: the download failed.
    """
    async with _connected(location) as client:
        path = _path(location)
        sink.expect((await client.stat(path)).size)
        async with client.open(path, "rb") as file:
            await file.seek(sink.size)
            while chunk := cast("bytes", await file.read(_BURST)):
                await sink.write(chunk)


async def send(location: FileLocation, source: UploadFile) -> None:
    """Upload a file over one connection, continuing where `source` ended.

    If the URL names a directory, the file gets the name of `source` in it.

    Raises:
        TransferError: the upload failed.
    """
    async with _connected(location) as client:
        path = await _target(client, location, source.name)
        begun = source.sent > 0
        offset = min(source.sent, (await client.stat(path)).size or 0) if begun else 0
        async with client.open(path, "r+b" if begun else "wb") as file:
            source.seek(offset)
            await file.seek(offset)
            while chunk := source.read(_BURST):
                await file.write(chunk)


@contextlib.asynccontextmanager
async def _connected(location: FileLocation) -> AsyncGenerator[asyncssh.SFTPClient]:
    """Open an SFTP session. Any host key is accepted, since OCPP cannot provide it; its fingerprint is logged."""
    try:
        async with asyncssh.connect(
            location.host,
            location.port,
            username=location.user or "anonymous",
            password=location.password or "",
            known_hosts=None,
            config=None,
            client_keys=None,
            agent_path=None,
            connect_timeout=CONNECT_S,
            login_timeout=CONNECT_S,
            keepalive_interval=_ALIVE_S,
            keepalive_count_max=3,
        ) as connection:
            key = connection.get_server_host_key()
            _log.info("SFTP host key of %s: %s", location.host, key.get_fingerprint() if key is not None else "none")
            async with connection.start_sftp_client() as client:
                yield client
    except asyncssh.PermissionDenied as error:
        raise TransferError(TransferFailure.PERMISSION_DENIED, error.reason) from error
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ConnectionLost) as error:
        raise connection_error(error) from error
    except asyncssh.SFTPError as error:
        raise TransferError(_transfer_failure(error), error.reason or type(error).__name__) from error
    except asyncssh.Error as error:
        raise TransferError(TransferFailure.FAILED, error.reason) from error
    except OSError as error:
        raise connection_error(error) from error


async def _target(client: asyncssh.SFTPClient, location: FileLocation, name: str) -> str:
    path = _path(location)
    if location.is_directory or await client.isdir(path):
        return f"{path.rstrip('/')}/{name}" if path != "." else name
    return path


def _path(location: FileLocation) -> str:
    """The path from the root, or from the user's home if it begins with /~/ (as in curl)."""
    if location.path.startswith(_HOME):
        return location.path.removeprefix(_HOME) or "."
    return location.path or "."


def _transfer_failure(error: asyncssh.SFTPError) -> TransferFailure:
    match error:
        case asyncssh.SFTPPermissionDenied():
            return TransferFailure.PERMISSION_DENIED
        case asyncssh.SFTPBadMessage():
            return TransferFailure.BAD_MESSAGE
        case asyncssh.SFTPOpUnsupported():
            return TransferFailure.NOT_SUPPORTED
        case _:
            return TransferFailure.FAILED
