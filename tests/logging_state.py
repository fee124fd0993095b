"""Logging belongs to the process: tests that set it up give it back as it was."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator


@contextlib.contextmanager
def logging_restored() -> Generator[None]:
    """Give back the handlers of the root logger, and the level and propagation of every logger, as they were."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    before = {name: _state(logger) for name, logger in _loggers().items()}
    level = root.level
    try:
        yield
    finally:
        for handler in [one for one in root.handlers if one not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, logger in _loggers().items():
            wanted = before.get(name, (logging.NOTSET, True))
            if _state(logger) != wanted:
                logger.setLevel(wanted[0])
                logger.propagate = wanted[1]


def _loggers() -> dict[str, logging.Logger]:
    """All loggers but the root."""
    known = logging.getLogger().manager.loggerDict
    return {name: one for name, one in list(known.items()) if isinstance(one, logging.Logger)}


def _state(logger: logging.Logger) -> tuple[int, bool]:
    return logger.level, logger.propagate
