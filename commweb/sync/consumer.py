"""The worker process: Huey's consumer for wake-ups, and the sweep in a thread."""

from __future__ import annotations

import threading

from huey.consumer import Consumer

from commweb.state import State
from commweb.sync.worker import Worker

__all__ = ["consume"]


def consume(state: State, workers: int) -> None:
    """Work until SIGTERM or SIGINT; rooms in work are given back. Raises `MisuseError` for a
    database in memory."""
    state.database.require_shared()
    ending = threading.Event()
    huey = state.queue.huey
    if huey is None:
        Worker(state, stop=ending.is_set).sweep(ending.wait, lambda _times: None)
        return
    # The default delay of up to 10 s between looks would make every change wait; the default
    # signal drops what is being done.
    consumer = Consumer(
        huey,
        workers=workers,
        initial_delay=0.02,
        max_delay=0.2,
        backoff=1.3,
        periodic=False,
        graceful_signal="TERM",
        shutdown_timeout=10,
    )

    def stopping() -> bool:
        return ending.is_set() or consumer.stop_flag.is_set()

    worker = Worker(state, stop=stopping)
    state.queue.on_work(worker.try_work)
    sweep = threading.Thread(
        target=worker.sweep,
        args=(ending.wait, lambda times: state.queue.wake(max(0, times))),
        name="commweb-sweep",
        daemon=True,
    )
    sweep.start()
    try:
        consumer.run()
    finally:
        ending.set()
        sweep.join(timeout=12)
        state.queue.close()
        state.database.dispose()
