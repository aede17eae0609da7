"""A process that uses one processor for a given share of the time, and does nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["busy_neighbour"]

# Walks through memory as a Python program does; ends with its parent.
_WORK = """
import os, select, sys, time
share = int(sys.argv[1]) / 100
things = [{"key": number} for number in range(50_000)]
while not select.select([0], [], [], 0)[0]:
    ends = time.monotonic() + 0.02 * share
    while time.monotonic() < ends:
        for thing in things[:2000]:
            thing["key"] += 1
    time.sleep(0.02 * (1 - share))
"""


@contextmanager
def busy_neighbour(percent: int) -> Iterator[None]:
    """Keep a processor busy ``percent`` of the time; 0: nothing is started."""
    if not percent:
        yield
        return
    with subprocess.Popen(
        [sys.executable, "-c", _WORK, str(percent)], stdin=subprocess.PIPE
    ) as process:
        try:
            yield
        finally:
            assert process.stdin
            process.stdin.close()
