"""A bare client in a process of its own: it says ``ready``, waits for ``go`` and is measured.

The parent writes the job as one line of JSON. The answer is one line of JSON: what was asked for
from "go" to the last answer, in seconds, requests, processor seconds and room ids.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Count", "run_child", "serve"]

ROOT = Path(__file__).resolve().parents[2]


class Count:
    """Requests of one thread; added up at the end, so that no lock is taken in between."""

    def __init__(self) -> None:
        self.requests = 0
        self.rooms: list[str] = []


def serve(work: Callable[[dict[str, Any]], list[Count]]) -> None:
    """What the child does: ``work(job)`` between "go" and the last answer."""
    job = json.loads(sys.stdin.readline())
    print("ready", flush=True)
    if sys.stdin.readline().strip() != "go":
        return  # the parent is gone
    used, started = time.process_time(), time.monotonic()
    counts = work(job)
    result = {
        "seconds": time.monotonic() - started,
        "cpu": time.process_time() - used,
        "requests": sum(count.requests for count in counts),
        "rooms": [room for count in counts for room in count.rooms],
    }
    print(json.dumps(result), flush=True)
    sys.stdin.readline()  # stay to be measured


def run_child(
    module: str, job: Mapping[str, Any], around: Callable[[Callable[[], Any], int], Any]
) -> Any:
    """Start ``python -m module`` and hand ``around`` what starts it and answers the result, and
    the process's id; what ``around`` returns."""
    with subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def tell(line: str) -> str:
            stdin.write(line + "\n")
            stdin.flush()
            return stdout.readline()

        if tell(json.dumps(job)).strip() != "ready":
            raise RuntimeError(f"{module} did not start.")
        return around(lambda: json.loads(tell("go")), process.pid)
