"""Real FTP(S) and SFTP servers for tests, which can drop a connection in the middle of a file."""

# pyftpdlib has no types, and the server side of asyncssh only some.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

USER, PASSWORD = "station", "p@ss/word"
QUOTED = "station:p%40ss%2Fword"
"""user and password as in a URL"""


@dataclass
class Served:
    """The folder and port of a server, and its configured failures."""

    folder: Path
    port: int = 0
    break_after: list[int] = field(default_factory=list[int])
    """bytes after which each of the next connections is dropped"""
    commands: list[str] = field(default_factory=list[str])
    """commands received by an FTP server"""

    def url(self, path: str, scheme: str) -> str:
        """The URL of a path, with user and password."""
        return f"{scheme}://{QUOTED}@127.0.0.1:{self.port}/{path}"


def _dropping_connection_class(served: Served, base: type[Any]) -> type[Any]:
    """A subclass of a data connection that is dropped after a number of bytes."""

    class DroppingConnection(base):
        """Counts transferred bytes, and drops the connection."""

        passed = 0

        def _count(self, data: bytes) -> bytes:
            self.passed += len(data)
            if served.break_after and self.passed >= served.break_after[0]:
                del served.break_after[0]
                self.cmd_channel.close()
                self.close()
            return data

        def recv(self, size: int) -> bytes:
            return self._count(super().recv(size))

        def send(self, data: bytes) -> int:
            self._count(data)
            return super().send(data) if self.connected else 0

    return DroppingConnection


@contextlib.contextmanager
def ftp_server(folder: Path, *, certificate: Path | None = None) -> Generator[Served]:
    """Run an FTP server for a folder, in a thread; with a certificate it requires TLS."""
    served = Served(folder)
    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(folder), perm="elradfmw")
    base: type[Any] = FTPHandler if certificate is None else TLS_FTPHandler

    class Handler(base):
        """Records commands."""

        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            served.commands.append(cmd)
            super().pre_process_command(line, cmd, arg)

        def log(self, msg: str, logfun: object = None) -> None:
            """Say nothing."""

        def logline(self, msg: str, logfun: object = None) -> None:
            """Say nothing."""

    handler: Any = Handler
    handler.authorizer = authorizer
    handler.use_sendfile = False  # would bypass the byte counter
    handler.dtp_handler = _dropping_connection_class(served, DTPHandler if certificate is None else TLS_DTPHandler)
    if certificate is not None:
        handler.certfile = str(certificate)
        handler.tls_control_required = handler.tls_data_required = True
    loop = IOLoop()
    server: Any = FTPServer(("127.0.0.1", 0), handler, ioloop=loop)
    served.port = server.socket.getsockname()[1]
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            server.serve_forever(timeout=0.02, blocking=False)
        server.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield served
    finally:
        stopping.set()
        thread.join()


@contextlib.asynccontextmanager
async def sftp_server(folder: Path) -> AsyncGenerator[Served]:
    """Run an SFTP server for a folder."""
    served = Served(folder)

    class Guard(asyncssh.SSHServer):
        """Requires the password."""

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    class Files(asyncssh.SFTPServer):
        """Serves the folder; drops connections as configured."""

        passed = 0

        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(folder).encode())

        def _count(self, size: int) -> None:
            self.passed += size
            if served.break_after and self.passed >= served.break_after[0]:
                del served.break_after[0]
                self.channel.get_connection().abort()

        def write(self, file_obj: object, offset: int, data: bytes) -> Any:
            self._count(len(data))
            return super().write(file_obj, offset, data)

        def read(self, file_obj: object, offset: int, size: int) -> Any:
            self._count(size)
            return super().read(file_obj, offset, size)

    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Guard, server_host_keys=[key], sftp_factory=Files)
    served.port = server.get_port()
    try:
        yield served
    finally:
        server.close()
        await server.wait_closed()
