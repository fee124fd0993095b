"""The name service of the machine, for tests of the event loops."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest


class FakeNameService:
    """Takes the place of `socket.getaddrinfo`: notes each question, and returns what `answer` makes of its host."""

    def __init__(self) -> None:
        self.questions: list[tuple[Any, ...]] = []
        """the arguments of each look-up"""
        self.answer: Callable[[str], list[Any]] = lambda host: [host]
        """from the host to its addresses; may raise `socket.gaierror`, or block"""

    def getaddrinfo(self, host: str, *rest: object) -> list[Any]:
        """Fake of socket.getaddrinfo."""
        self.questions.append((host, *rest))
        return self.answer(host)

    def resolve_to(self, *addresses: tuple[str, int]) -> None:
        """Resolve every host to these addresses."""
        self.answer = lambda _: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]


@pytest.fixture
def name_service(monkeypatch: pytest.MonkeyPatch) -> FakeNameService:
    """The name service that answers in this test."""
    service = FakeNameService()
    monkeypatch.setattr(socket, "getaddrinfo", service.getaddrinfo)
    return service
