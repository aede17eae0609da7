"""The worker process: Huey's consumer for wake-ups, the sweep, and a thread the sweep wakes.

The queue is a hint: a worker that cannot open it, or loses it, works on with its own threads.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

from huey.consumer import Consumer

from commweb.state import State
from commweb.sync.sweep import Sweep
from commweb.sync.upkeep import Upkeep
from commweb.sync.worker import SWEEP_SECONDS, Worker

__all__ = ["consume"]

END_SECONDS = 12.0

log = logging.getLogger(__name__)


def consume(state: State, workers: int) -> None:
    """Work until SIGTERM or SIGINT; rooms in work are given back. Raises `MisuseError` for a
    database in memory."""
    state.database.require_shared()
    state.database.expect(workers)
    ending = threading.Event()
    huey = _queue(state)
    consumer = None if huey is None else _consumer(huey, workers)

    def stopping() -> bool:
        return ending.is_set() or (consumer is not None and consumer.stop_flag.is_set())

    worker = Worker(state, stop=stopping)
    state.queue.on_work(worker.try_work)
    threads = _own_threads(state, worker, ending, workers if consumer is None else 1)
    try:
        if consumer is None:
            _wait_for_signal(ending)
        else:
            consumer.run()
    finally:
        ending.set()
        for thread in threads:
            thread.join(timeout=END_SECONDS)
        state.queue.close()
        state.database.dispose()


def _queue(state: State) -> Any:
    try:
        return state.queue.huey
    except Exception as error:  # noqa: BLE001  (a damaged file, no space, no such folder)
        log.warning("The queue cannot be opened (%s); working without it.", error)
        return None


def _consumer(huey: Any, workers: int) -> Consumer:
    # The default delay of up to 10 s between looks would make every change wait; the default
    # signal drops what is being done.
    return Consumer(
        huey,
        workers=workers,
        initial_delay=0.02,
        max_delay=0.2,
        backoff=1.3,
        periodic=False,
        graceful_signal="TERM",
        shutdown_timeout=10,
    )


def _own_threads(
    state: State, worker: Worker, ending: threading.Event, count: int
) -> list[threading.Thread]:
    """Started: the sweep, the upkeep of sessions, and ``count`` threads that work when the sweep
    finds something."""
    bell = threading.Event()

    def wake(times: int) -> None:
        bell.set()
        state.queue.wake(times - 1)

    def work() -> None:
        while not ending.is_set():
            if bell.wait(SWEEP_SECONDS):
                bell.clear()
            worker.try_work()
        worker.close()

    def wait(seconds: float) -> bool:
        ended = ending.wait(seconds)
        if ended:
            bell.set()
        return ended

    sweep = Sweep(state, worker, wake)
    upkeep = Upkeep(state)
    targets: list[Callable[[], None]] = [
        lambda: sweep.run(wait),
        lambda: upkeep.run(ending.wait),
        *[work] * count,
    ]
    threads = [
        threading.Thread(target=target, name=f"commweb-{number}", daemon=True)
        for number, target in enumerate(targets)
    ]
    for thread in threads:
        thread.start()
    return threads


def _wait_for_signal(ending: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ending.set())
    ending.wait()
