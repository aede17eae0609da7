"""Everything that a program says about itself: log lines with their tracebacks, faults with the
variables of every function they went through, and what its objects call themselves."""

from __future__ import annotations

import logging
import traceback
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from flask import Flask, got_request_exception

from commweb.encryption import Secret

# Everything that speaks when asked to say all it can.
CHATTY = (
    "",
    "sqlalchemy.engine",
    "sqlalchemy.pool",
    "sqlalchemy.orm",
    "urllib3",
    "huey",
    "requests",
)


class Lines(logging.Handler):
    """Keeps every line, as a file would hold it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {self.format(record)}")

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def everything_said() -> Iterator[Lines]:
    """Log everything at the lowest level. Engines look at the level when they are made."""
    handler = Lines()
    root = logging.getLogger()
    before = {name: logging.getLogger(name).level for name in CHATTY}
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def faults_of(app: Flask) -> Iterator[list[BaseException]]:
    """The exceptions that no view caught."""
    faults: list[BaseException] = []

    def keep(_app: Flask, exception: BaseException, **_more: Any) -> None:
        faults.append(exception)

    with got_request_exception.connected_to(keep, app):
        yield faults


def with_variables(error: BaseException) -> str:
    """The fault as tools that report faults show it, with its causes."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    return repr(error) + "".join(found.format())


PLAIN = (str, bytes, int, float, bool, type(None), type, types.ModuleType, types.FunctionType)
NOT_OURS = ("flask", "werkzeug", "jinja2", "sqlalchemy", "logging", "threading", "importlib")


def reprs(root: object, *, most: int = 20_000) -> Iterator[str]:
    """What every object that can be reached from ``root`` calls itself. What is inside a
    `Secret` is not asked: it is what must not be shown by anything else."""
    seen: set[int] = set()
    waiting: list[object] = [root]
    while waiting and len(seen) < most:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen.add(id(value))
        with suppress(Exception):  # some refuse outside a request; then they say nothing
            yield repr(value)
            yield str(value)
        if not isinstance(value, PLAIN) and not isinstance(value, Secret):
            waiting.extend(_inside(value))


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from list(value.keys())
        yield from list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif type(value).__module__.split(".")[0] not in NOT_OURS:
        yield from vars(value).values() if hasattr(value, "__dict__") else ()
        for name in getattr(type(value), "__slots__", ()):
            yield getattr(value, name, None)
