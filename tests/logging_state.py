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
        for handler in [added for added in root.handlers if added not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, logger in _loggers().items():
            saved_state = before.get(name, (logging.NOTSET, True))
            if _state(logger) != saved_state:
                logger.setLevel(saved_state[0])
                logger.propagate = saved_state[1]


def _loggers() -> dict[str, logging.Logger]:
    """All loggers but the root."""
    loggers = logging.getLogger().manager.loggerDict
    return {name: logger for name, logger in list(loggers.items()) if isinstance(logger, logging.Logger)}


def _state(logger: logging.Logger) -> tuple[int, bool]:
    return logger.level, logger.propagate
