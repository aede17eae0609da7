"""What a worker says, with the time, for operators who did not set up logging of their own."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["UtcFormatter", "log_with_time"]

LOGGERS = ("commweb", "huey")


class UtcFormatter(logging.Formatter):
    """Lines that begin with the time as ISO 8601 in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """2030-01-31T23:59:59.123+00:00."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def log_with_time(stream: TextIO | None = None) -> None:
    """Write warnings of commweb and its queue to ``stream`` (standard error), each with a time.
    A logger that somebody gave a handler is left alone."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not logger.hasHandlers():
            handler = logging.StreamHandler(stream)
            handler.setFormatter(UtcFormatter())
            logger.addHandler(handler)
