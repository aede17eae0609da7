"""The course site with a counter at its door: how many requests a worker process sends.

``flask --app tests.bench.counted commweb worker`` is the ordinary worker otherwise. The count is
the first eight bytes of the file that BENCH_COUNTER names.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from dataclasses import replace
from pathlib import Path

from flask import Flask

import app as course_site
from commweb.state import state_of

__all__ = ["create_app", "new_counter", "read_counter"]


def new_counter(path: Path) -> Path:
    path.write_bytes(struct.pack("<q", 0))
    return path


def read_counter(path: Path) -> int:
    return int(struct.unpack("<q", path.read_bytes()[:8])[0])


def create_app() -> Flask:
    app = course_site.create_app()
    with open(os.environ["BENCH_COUNTER"], "r+b") as file:
        shared = mmap.mmap(file.fileno(), 8)
    lock = threading.Lock()

    def count() -> None:
        with lock:
            struct.pack_into("<q", shared, 0, struct.unpack_from("<q", shared)[0] + 1)

    state = state_of(app)
    state.network = replace(state.network, before_send=count)
    return app
