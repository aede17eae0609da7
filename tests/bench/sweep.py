"""What rooms at rest cost a sweep, and how many statements it takes to claim many rooms.

No homeserver: the database is real, the rooms are a dictionary.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert

from commweb.models import RoomRow, now
from commweb.providers import Registry
from commweb.sync.worker import Worker
from tests.bench.measure import median
from tests.bench.options import Options
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, site, student

__all__ = ["sweep"]

LOOKS = 200
Seen = list[tuple[str, Any]]


def sweep(size: Options) -> dict[str, Any]:
    """An idle sweep with few and with many rooms at rest; then many rooms that are due."""
    with tempfile.TemporaryDirectory(prefix="commweb-bench-") as folder:
        registry = Registry([SimulatedProvider(SimulatedServer())])
        with site(Path(folder), registry) as made:
            with made.app.app_context():
                made.comm.set_enabled(True)
            worker = Worker(made.state)
            empty = _idle_ms(worker)
            _rest(made, size.rooms)
            full, plans = _idle_ms(worker), _plans(made, worker)
            claimed = _claim_all(made, worker, size.dirty)
            worker.close()
    found = {
        "rooms_at_rest": size.rooms,
        "idle_sweep_ms_without_rooms": empty,
        "idle_sweep_ms_with_rooms": full,
        "query_plans": plans,
        **claimed,
    }
    _show(found)
    return found


def _show(found: dict[str, Any]) -> None:
    print(
        f"   an idle sweep takes {found['idle_sweep_ms_without_rooms']} ms without rooms and "
        f"{found['idle_sweep_ms_with_rooms']} ms with {found['rooms_at_rest']} rooms at rest"
    )
    for statement, lines in found["query_plans"].items():
        print(f"     {statement}")
        for line in lines:
            print(f"       {line}")
    print(
        f"   {found['due_rooms']} due rooms: {found['claiming_statements']} statements claimed "
        f"them, {found['statements_a_room']} statements a room in all",
        flush=True,
    )


def _idle_ms(worker: Worker) -> float:
    """The median of a sweep that finds nothing to do, in milliseconds of this process."""
    taken = []
    for _number in range(LOOKS):
        started = time.process_time()
        worker.work()
        worker.next_look_seconds()
        taken.append(time.process_time() - started)
    return round(1000 * median(taken), 3)


def _rest(made: Site, count: int) -> None:
    """Rooms that equal their courses."""
    rows = [
        {
            "course_id": f"rest{number}",
            "group_id": "",
            "provider": "simulated",
            "status": "ready",
            "revision": 1,
            "synced_revision": 1,
            "remote_id": f"!rest{number}",
            "updated_at": now(),
        }
        for number in range(count)
    ]
    with made.state.database.write() as connection:
        connection.execute(insert(RoomRow), rows)


@contextmanager
def _watched(made: Site) -> Iterator[Seen]:
    """The statements of the worker's engine, with their parameters."""
    seen: Seen = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((" ".join(statement.split()), parameters))

    engine = made.state.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _plans(made: Site, worker: Worker) -> dict[str, list[str]]:
    """How SQLite answers what a sweep asks about rooms."""
    with _watched(made) as seen:
        worker.work()
        worker.next_look_seconds()
    plans: dict[str, list[str]] = {}
    with made.state.database.read() as connection:
        for statement, parameters in seen:
            if "commweb_room" in statement and statement not in plans:
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans[statement] = [row[3] for row in rows]
    return plans


def _claim_all(made: Site, worker: Worker, count: int) -> dict[str, Any]:
    """Run many due rooms of one person each; how many statements claimed them."""
    for number in range(count):
        made.campus.add(f"due{number}", student(f"person{number}"))
    with made.app.app_context():
        for number in range(count):
            made.comm.course_created(f"due{number}", provider="simulated")
        made.db.session.commit()
    worker.fold()
    with _watched(made) as seen:
        run = worker.work()
    if run < count:
        raise RuntimeError(f"{run} of {count} rooms were run.")
    claims = [one for one, _values in seen if "UPDATE" in one and "RETURNING" in one]
    asks = [one for one, _values in seen if one.startswith("SELECT") and " LIMIT " in one
            and "lease_until" in one]  # fmt: skip
    return {
        "due_rooms": run,
        "claiming_statements": len(claims) + len(asks),
        "statements_a_room": round(len(seen) / run, 1),
    }
