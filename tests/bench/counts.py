"""How many requests things cost, on a real Synapse."""

from __future__ import annotations

from typing import Any

from tests.bench.options import Options
from tests.bench.world import Arena, WorkerProcess, arena

__all__ = ["counts"]


def counts(size: Options) -> dict[str, Any]:
    """Requests for fresh and known members, for a room that equals its course, and for one
    change in a large room."""
    memberships = size.courses * size.people
    with arena(threads=size.workers) as site:
        worker = site.workers[0]
        ids = site.courses("known", size.courses, size.people)
        fresh = site.synced("fresh", worker, ids, new=True).requests
        again = site.courses_again("again", ids)
        known = site.synced("known", worker, again, new=True).requests
        site.check(site.remote_ids(again), size.people)
        found = {
            "fresh_membership": round(fresh / memberships, 4),
            "known_membership": round(known / memberships, 4),
            "unchanged_room": _asked(site, worker, ids[:1]),
            **_in_a_large_room(site, worker, size.big),
        }
    for name, value in found.items():
        print(f"   {name.replace('_', ' '):32} {value}", flush=True)
    return found


def _asked(site: Arena, worker: WorkerProcess, ids: list[str]) -> int:
    return site.synced("", worker, ids, new=False).requests


def _in_a_large_room(site: Arena, worker: WorkerProcess, people: int) -> dict[str, Any]:
    """One event a person makes the large room in half the time."""
    ids = site.courses("large", 1, people)
    with site.fast_fill():
        filled = site.synced("large", worker, ids, new=True)
    site.check(site.remote_ids(ids), people)
    unchanged = _asked(site, worker, ids)
    site.enrol_one(ids[0], "latecomer")
    one = _asked(site, worker, ids)
    site.check(site.remote_ids(ids), people + 1)
    return {
        "large_room_people": people,
        "large_room_fill_seconds": round(filled.seconds, 1),
        "unchanged_large_room": unchanged,
        "one_change_in_large_room": one,
    }
