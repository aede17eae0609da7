"""How the college is served. Notes every thread that is started, and says so on request."""

from __future__ import annotations

import atexit
import json
import os
import threading
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["COLLEGE_FOLDER"])
started: list[str] = []
_start = threading.Thread.start


def _noted(thread: threading.Thread, *args: Any, **kwargs: Any) -> None:
    target = getattr(thread, "_target", None)
    started.append(f"{type(thread).__module__}.{thread.name} {getattr(target, '__module__', '')}")
    _start(thread, *args, **kwargs)


threading.Thread.start = _noted  # type: ignore[method-assign]

from commweb.providers import Registry  # noqa: E402
from tests.embedding.college import create_app, csrf  # noqa: E402
from tests.simulated import SimulatedProvider, SimulatedServer  # noqa: E402

app = create_app(FOLDER, Registry([SimulatedProvider(SimulatedServer())]), COMMWEB_QUEUE_URL=None)


@app.get("/threads")
def threads() -> dict[str, Any]:
    """What was started in this process, and what runs."""
    running = [thread.name for thread in threading.enumerate()]
    return {"pid": os.getpid(), "started": started, "running": running}


@app.post("/settled")
@csrf.exempt
def settled() -> dict[str, Any]:
    """A paper, written without the door."""
    from tests.embedding.college.views import write_paper

    return {"paper": write_paper("Astronomy").number}


@atexit.register
def _say_at_the_end() -> None:
    if "THREADS_FILE" in os.environ:
        Path(os.environ["THREADS_FILE"]).write_text(json.dumps(started))
